"""The ECG-FM network (arXiv 2408.05178): pretrain, fine-tune, predict, explain. No patient, no wire, no SQL."""
