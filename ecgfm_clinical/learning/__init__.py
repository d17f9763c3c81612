"""A hospital trains, judges and governs its own heads from the feeds it already has."""
