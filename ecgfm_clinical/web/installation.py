"""The settings as they are in force, read-only and without any secret, and `check` run live."""

import re
from collections.abc import Iterator, Mapping
from threading import Lock
from urllib.parse import urlsplit

from starlette.responses import Response

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.operate.check import CheckLine, check_parts
from ecgfm_clinical.web.oidc import SignInRefused
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

#: User and password inside an address.
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_ONE_AT_A_TIME = Lock()


def show(visit: Visit) -> Response:
    """Every value by its key. Secrets lie in files of their own, of which the name is shown and nothing else."""
    told = visit.settings.model_dump(mode="json", exclude={"folder"})
    return visit.page("settings.html", found=list(_flat("", told)), folder=str(visit.settings.folder))


def check(visit: Visit) -> Response:
    """Try each part, as the command `check` does; one person at a time."""
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise InputError(N_("a check runs already: wait for its end"))
    try:
        found = [*check_parts(visit.settings), *_provider(visit)]
    finally:
        _ONE_AT_A_TIME.release()
    return visit.page("check.html", found=found)


def _provider(visit: Visit) -> Iterator[CheckLine]:
    """Whether who signs people in answers."""
    if (provider := visit.console.oidc) is not None:
        try:
            yield CheckLine(part="web.oidc", ok=True, text=provider.check())
        except SignInRefused as refused:
            yield CheckLine(part="web.oidc", ok=False, text=str(refused))


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping():
            for key, one in value.items():
                yield from _flat(f"{name}.{key}" if name else str(key), one)
        case list():
            for number, one in enumerate(value):
                yield from _flat(f"{name}[{number}]", one)
        case None:
            return
        case bool():
            yield name, str(value).lower()  # as the settings file has it
        case str() if name.startswith("alerts.") and name.endswith(".url"):
            address = urlsplit(value)
            yield name, f"{address.scheme}://{address.hostname}/…"  # what follows may be a secret
        case str() if name.startswith("alerts.command") and not name.endswith((".name", ".command[0]")):
            yield name, "…"  # an argument may be one too
        case _:
            yield name, _CREDENTIALS.sub("//***@", str(value))
