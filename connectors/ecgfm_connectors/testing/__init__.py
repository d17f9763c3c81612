"""Simulated carts, archives and EHRs with real sockets and wire formats: for tests, and for the demo."""
