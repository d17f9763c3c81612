"""Who works here under which name, and whether the process behind a name is certainly gone.

A worker's name holds host, process namespace and process id. Another process on the same host and in the same namespace
can see that it no longer runs, so what it held need not wait for its lease to end. Of any other process nothing is
known, and the lease decides.
"""

import os
import pwd
import socket
from pathlib import Path


def worker_name(role: str) -> str:
    """The name of this process in one role: `host:namespace:pid:role`."""
    return f"{socket.gethostname()}:{_namespace()}:{os.getpid()}:{role}"


def is_gone(worker: str) -> bool:
    """Whether the process that works under this name certainly no longer runs."""
    try:
        host, namespace, process, _ = worker.split(":", 3)
        if (host, namespace) != (socket.gethostname(), _namespace()) or not namespace:
            return False
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, PermissionError):
        return False
    return False


def is_here(worker: str) -> bool:
    """Whether the process that works under this name runs, or ran, on this host and in this process namespace."""
    return worker.split(":")[:2] == [socket.gethostname(), _namespace()]


def process_of(worker: str) -> str:
    """The process id in a worker's name."""
    return worker.split(":")[2]


def _namespace() -> str:
    """The number of this process's PID namespace; empty where the system has none."""
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""


def operator(answers: str = "") -> str:
    """Who types commands here, for the audit trail: the account and the host, and who answers (`site.operator`).

    The one name for a person everywhere in the trail and in the history of models.
    """
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}" + (f" for {answers}" if answers else "")
