"""Asking from outside whether a process lives or can work."""

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store

TIMEOUT = 10.0  #: seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer, and each reason against it."""

    well: bool
    reasons: tuple[str, ...] = ()


def ask(host: str, port: int, path: str) -> Verdict:
    """What the service's own port says."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    caller = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        caller.request("GET", path)
        answer = caller.getresponse()
        text = answer.read(65536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return Verdict(
            well=False,
            reasons=(f"nothing answers on port {port} ({type(error).__name__}); see the log of `ecgfm-clinical run`",),
        )
    finally:
        caller.close()
    return Verdict(well=answer.status == 200, reasons=tuple(text.splitlines()) if answer.status != 200 else ())


def look(store: "Store", *, now: datetime, here: Callable[[str], bool]) -> Verdict:
    """Whether a process of this host told of itself in the last minute, and none of its tasks fails or hangs."""
    mine = [one for one in store.processes.all() if here(one.holder)]
    living = [one for one in mine if not one.is_silent(now)]
    if not living:
        return Verdict(well=False, reasons=("no `ecgfm-clinical run` of this host gives signs of life; see its log",))
    ailing = tuple(f"task {one.task} is {one.state}" for process in living for one in process.ailing)
    return Verdict(well=not ailing, reasons=ailing)
