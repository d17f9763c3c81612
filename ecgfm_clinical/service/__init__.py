"""The running service: the parts of each role, started together, kept alive and stopped cleanly."""
