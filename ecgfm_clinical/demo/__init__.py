"""A hospital in a box: invented patients on a loopback ward, with real sockets and real wire formats."""
