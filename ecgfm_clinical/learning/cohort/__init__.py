"""Which ECGs a head learns from, with which label, in which split: sources, rules of labelling, exclusions."""
