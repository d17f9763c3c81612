"""The result page: one ECG with what a model answered, on one sheet of paper, as a PDF."""
