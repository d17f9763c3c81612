"""Recordings in files, outside the store: read, scored, embedded."""
