"""Who works here under which name, and whether the process behind a name is certainly gone.

A worker's name holds host, process namespace, process id and when that process began (proc_pid_stat(5), field 22), for
ids are used again. Another process on the same host and in the same namespace can see that it no longer runs, so what
it held need not wait for its lease to end. Of any other process nothing is known, and the lease decides.
"""

import os
import pwd
import socket
from pathlib import Path


def worker_name(role: str) -> str:
    """The name of this process in one role: `host:namespace:pid.began:role`."""
    known = _state_and_begin(os.getpid())
    process = f"{os.getpid()}.{known[1]}" if known is not None else f"{os.getpid()}"
    return f"{socket.gethostname()}:{_namespace()}:{process}:{role}"


def is_gone(worker: str) -> bool:
    """Whether the process that works under this name certainly no longer runs."""
    try:
        host, namespace, process, _ = worker.split(":", 3)
        if (host, namespace) != (socket.gethostname(), _namespace()) or not namespace:
            return False
        number, _, began = process.partition(".")
        os.kill(int(number), 0)
        known = _state_and_begin(int(number))
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, PermissionError):
        return False
    # A killed process stays as a zombie until its parent asks for its end; it does nothing more.
    return known is not None and (known[0] in "ZX" or began not in ("", known[1]))


def is_here(worker: str) -> bool:
    """Whether the process that works under this name runs, or ran, on this host and in this process namespace."""
    return worker.split(":")[:2] == [socket.gethostname(), _namespace()]


def process_of(worker: str) -> str:
    """The process id in a worker's name."""
    return worker.split(":")[2].partition(".")[0]


def host_of(worker: str) -> str:
    """The host in a worker's name."""
    return worker.split(":")[0]


def role_of(worker: str) -> str:
    """What the worker does, from its name."""
    return worker.split(":", 3)[3]


def _state_and_begin(process: int) -> tuple[str, str] | None:
    """State and begin, in clock ticks since the system's start; None where the system does not tell."""
    try:
        after_name = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    except OSError:
        return None
    fields = after_name.split()
    return fields[0], fields[19]


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
