"""What an operator does with an installation: set it up, look at it, replay, correct."""
