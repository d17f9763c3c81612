"""A head's cohort for others: signals, labels and splits without who, when and where, and a report of what remains."""
