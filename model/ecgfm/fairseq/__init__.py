"""The file layout of fairseq-signals: read and import published checkpoints,
and write ones that the reference opens.
"""
