"""A process that has loaded the program once and runs each command line in a copy of itself (fork).

So a test drives the program from outside, by command lines, signals and sockets, for the price of a fork and not of
an import. It is run as a script by the program's own path: nothing of the tests is imported here. It reads one JSON
request a line and answers each with one line:

{"run": [words], "input": path, "output": path, "ahead": seconds, "hangs": "module:Class.method" or "", "room": bytes}
    -> {"pid": number}; whatever calls that method waits for ever; no file becomes longer than `room`, 0 for any length
{"wait": pid, "seconds": patience}
    -> {"code": exit code, negative for a signal, null where it still runs, "peak": kB of memory at most, once it ended}
"""

import ctypes
import functools
import gc
import importlib
import json
import logging
import os
import resource
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

import typer.main

#: What command lines load on demand; a version without one of them loads the others.
_LOADED = (
    "ecgfm_clinical.cli", "ecgfm_clinical.wiring", "ecgfm_clinical.service", "ecgfm_clinical.service.service",
    "ecgfm_clinical.pipeline.ingest", "ecgfm_clinical.pipeline.live", "ecgfm_clinical.pipeline.reporting",
    "ecgfm_clinical.pipeline.explaining", "ecgfm_clinical.alerting.alerting", "ecgfm_clinical.auditing.sending",
    "ecgfm_clinical.shipped.measuring", "ecgfm_clinical.operate.check", "ecgfm_clinical.operate.replay",
    "ecgfm_clinical.operate.status", "ecgfm_clinical.operate.story", "ecgfm_clinical.auditing.composing",
    "ecgfm_clinical.staging.migrations", "ecgfm_clinical.learning.models", "ecgfm.runtimes.torch_runtime",
    "alembic.command", "apscheduler", "pydicom", "pynetdicom", "hl7apy.core", "numpy", "torch", "scipy.signal",
    "sqlalchemy", "ecgfm.predictor",
    "ecgfm_connectors.registry", "ecgfm_connectors.dicom.storage", "ecgfm_connectors.dicom.objects",
    "ecgfm_connectors.hl7.sender", "ecgfm_connectors.hl7.result", "hl7apy.v2_5_1",
    "rich.progress", "rich.status", "rich._emoji_codes",
)  # fmt: skip


def _run(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored, as `nohup` leaves it, it would be by the program too
    _move(request["input"], os.O_RDONLY, (0,))
    _move(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, (1, 2))
    code = 1
    try:
        if request["ahead"]:
            ctypes.CDLL(None).set_ahead(ctypes.c_long(request["ahead"]))
        if request["hangs"]:
            _hang(request["hangs"])
        if request["room"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["room"], request["room"]))
        code = _call(request["run"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        logging.shutdown()
        os._exit(code)


def _hang(method: str) -> None:
    module, _, path = method.partition(":")
    owner, _, name = path.partition(".")
    setattr(getattr(importlib.import_module(module), owner), name, lambda *_, **__: threading.Event().wait())


def _move(path: str, flags: int, onto: tuple[int, ...]) -> None:
    opened = os.open(path, flags, 0o600)
    for number in onto:
        os.dup2(opened, number)
    os.close(opened)


def _call(words: list[str]) -> int:
    from ecgfm_clinical import cli

    sys.argv = ["ecgfm-clinical", *words]
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _build_commands() -> None:
    """Once for all copies of this process: it takes a quarter of the time of a short command."""
    from ecgfm_clinical import cli

    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(cli.app)


def _wait(request: dict[str, Any]) -> dict[str, int | None]:
    ended = os.pidfd_open(request["wait"])
    try:
        if not select.select([ended], [], [], request["seconds"])[0]:
            return {"code": None}
    finally:
        os.close(ended)
    _, status, used = os.wait4(request["wait"], 0)
    return {"code": os.waitstatus_to_exitcode(status), "peak": used.ru_maxrss}


def main() -> None:
    for name in _LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    _build_commands()
    gc.freeze()  # or each copy looks through all of it for garbage, for a third of a second
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"pid": _run(request)} if "run" in request else _wait(request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
