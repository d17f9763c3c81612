"""How good a head is on patients nobody trained on, beside what it must beat, and whether it may be promoted."""
