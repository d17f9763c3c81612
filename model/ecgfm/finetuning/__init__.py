"""Training heads: labelled ECGs, embeddings, linear probe, full and low-rank fine-tuning, and the candidate bundle."""
