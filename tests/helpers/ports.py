"""Ports for servers that tests start."""

import itertools
import os
import socket
from contextlib import closing

#: Below the range from which systems take the ports of outgoing connections (Linux 32768, others 49152): a connection
#: of another test can't take a port between its choice and the start of its server.
_FIRST, _LAST = 15000, 32000
_offsets = itertools.count(os.getpid() * 7919)  # workers, whose numbers are neighbours, begin thousands apart


def free_port() -> int:
    """A loopback port that nobody listens on; each call gives another one, and each process starts elsewhere."""
    for offset in _offsets:
        port = _FIRST + offset % (_LAST - _FIRST)
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a count has no end")


#: Settings of a DICOM and an MLLP listener on this machine, for `str.format` with the ports `dicom` and `hl7`; further
#: keys of the MLLP listener may follow.
LISTENERS = """\
[[listeners.dicom]]
name = "dicom"
host = "127.0.0.1"
port = {dicom}
[[listeners.hl7]]
name = "hl7"
host = "127.0.0.1"
port = {hl7}
"""
