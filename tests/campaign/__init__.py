"""The kill campaign: a whole hospital on loopback whose processes are killed at any line, and the proof that nothing is
lost.

`python -m tests.campaign --kills 500` runs it on this machine and on the database of your choice.
"""
