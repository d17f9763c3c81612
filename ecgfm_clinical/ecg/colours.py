"""Colours of millimetre paper and of what is drawn on it, told apart also by people who see red and green alike."""

PAPER, FINE, BOLD = "#fffaf8", "#f7d3cc", "#eaa79b"
INK, PALE = "#15171c", "#6d615f"
MARKER = "#ffc400"  #: where a model looked
PACED = "#0b5fa5"  #: pacing spikes
EARLIER = "#0072b2"  #: the ECG laid over for comparison
WRONG = "#7b3294"  #: what the quality check found, and doubts of the reader
