"""`check`: try each configured part."""

import errno
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgfm_clinical import connections, liveness, scorers, wiring
from ecgfm_clinical.errors import ClinicalError, InputError
from ecgfm_clinical.extras import have, missing, sentence
from ecgfm_clinical.operate import outcomes
from ecgfm_clinical.service import agreement, ports
from ecgfm_clinical.settings import AnyDestination, DicomListener, Hl7Listener, OutcomeSettings, Settings
from ecgfm_connectors.errors import ConnectorError, Misconfigured

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store

CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLine:
    """The outcome of trying one part."""

    part: str
    ok: bool
    text: str


def check_parts(settings: Settings) -> Iterator[CheckLine]:
    """Try every configured part, one line each; a part that fails keeps none of the others from being tried."""
    store, line = _open_store(settings)
    yield line
    try:
        yield _try("model", lambda: _check_model(settings, store))
        for listener in settings.listeners.all:
            yield _try(f"listener {listener.name}", lambda one=listener: _check_listener(one, store))  # type: ignore[misc]  # bound now
        if store is not None:
            yield from _differing(settings, store)
        if store is not None and settings.outcomes != OutcomeSettings():
            yield _try("outcomes", lambda: outcomes.try_table(store, settings))
    finally:
        if store is not None:
            store.close()
    if (repository := wiring.build_audit_repository(settings)) is not None:
        yield _try("audit messages", repository.check)
    for one in settings.exposed():
        if not one.accepted:
            yield CheckLine(part=one.part, ok=True, text=f'OPEN: {one.text}; or write cleartext = "accepted" there')
    for source in settings.sources.all:
        yield _try(f"source {source.name}", lambda one=source: connections.build_source(settings, one).check())  # type: ignore[misc]  # bound now
    for destination in settings.destinations.all:
        yield _try(
            f"destination {destination.name}",
            lambda one=destination: _check_destination(settings, one),  # type: ignore[misc]  # bound now
        )


def _check_destination(settings: Settings, part: AnyDestination) -> str:
    destination = connections.build_destination(settings, part)
    try:
        return destination.check()
    finally:
        destination.close()


def _try(part: str, attempt: Callable[[], str]) -> CheckLine:
    try:
        return CheckLine(part=part, ok=True, text=attempt())
    except (ClinicalError, ConnectorError) as error:
        return CheckLine(part=part, ok=False, text=str(error))
    except ImportError as error:
        return CheckLine(part=part, ok=False, text=missing(error) or f"{error.name} cannot be loaded; install it again")


def _differing(settings: Settings, store: "Store") -> Iterator[CheckLine]:
    """Processes that serve this store by other settings than these."""
    mine = agreement.served(settings, frozenset())
    for process, other in agreement.others(store, None, now=wiring.utc_now()):
        if keys := mine.differs_from(other):
            who = f"process {liveness.process_of(process)} on {liveness.host_of(process)}"
            text = f"{who} serves this store by other settings: {', '.join(sorted(keys))}; start it with this file"
            yield CheckLine(part="settings", ok=False, text=text)


# --- store and model --------------------------------------------------------------------------------------------------


def _open_store(settings: Settings) -> "tuple[Store | None, CheckLine]":
    opened: list[Store] = []

    def attempt() -> str:
        opened.append(wiring.open_store(settings))
        return _check_store(settings, opened[0])

    line = _try("store", attempt)
    return (opened[0] if opened else None), line


def _check_store(settings: Settings, store: "Store") -> str:
    store.coordination.release("check", "nobody")  # a server that only answers questions takes nothing in
    counts = store.questions.counts()
    free_mb = shutil.disk_usage(settings.store_folder).free // 1_000_000
    if free_mb < settings.store.min_free_mb:
        raise InputError(
            f"{free_mb} MB of disk are free, store.min_free_mb asks for {settings.store.min_free_mb}; make room"
        )
    why = store.home.seen(wiring.sent_marks(settings))
    if why is not None:
        raise InputError(f"nothing is sent, because {why}; say which it is: `ecgfm-clinical store adopt --help`")
    return f"answers; {counts.received} ECGs received, {counts.waiting} waiting"


def _check_model(settings: Settings, store: "Store | None") -> str:
    if not have("score"):
        return f"not loaded: this installation connects and reports; scoring {sentence('score', '').strip()}"
    from ecgfm.cost import cost

    predictor = scorers.open_predictor(settings)
    registered = [head for row in store.models.models() for head in row.heads] if store is not None else []
    scorers.refuse_unknown_heads(settings, [*predictor.labels, *registered])
    demo = ", NOT FOR CLINICAL USE" if predictor.demo else ""
    heads = ", ".join(predictor.labels)
    chosen = f"; {predictor.choice}" if predictor.choice else ""
    named = f"{predictor.model_name} {predictor.model_version} ({predictor.model_id[:12]})"
    return f"{named} on {predictor.runtime}: {heads}{demo}; {cost(predictor.bundle)}{chosen}"


# --- listeners --------------------------------------------------------------------------------------------------------


def _check_listener(part: DicomListener | Hl7Listener, store: "Store | None") -> str:
    """A port is well where it is free, or where this installation's service listens on it and answers."""
    holder = ports.holder_here(store, part.port, now=wiring.utc_now()) if store is not None else None
    if _is_free(part.host, part.port):
        if holder is not None:
            raise InputError(
                f"`ecgfm-clinical run` (process {liveness.process_of(holder)}) should listen on port {part.port} and "
                "does not; see its log and start it again"
            )
        return f"port {part.port} on {part.host} is free; no `ecgfm-clinical run` listens there on this machine"
    if holder is None:
        known = "" if store is not None else " (the store, which knows the ports of our service, does not answer)"
        raise InputError(
            f"port {part.port} on {part.host} is in use, and not by an `ecgfm-clinical run` on this store{known}; "
            "stop the program that holds it, or choose another port"
        )
    return f"`ecgfm-clinical run` (process {liveness.process_of(holder)}) listens on port {part.port}; {_answer(part)}"


def _is_free(host: str, port: int) -> bool:
    """Raises InputError where the port cannot be opened for another reason than that a program listens on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise InputError(
                f"port {port} on {host} cannot be opened: {error.strerror}; mend host and port (below 1024 a service "
                "needs a permission of its own)"
            ) from error
    return True


def _answer(part: DicomListener | Hl7Listener) -> str:
    """The listener's answer on an address of this machine. Raises Unreachable, InputError."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(part.host, part.host)
    if isinstance(part, DicomListener) and part.tls is None and not part.allowed_hosts:
        return _echo(part, host)
    try:
        socket.create_connection((host, part.port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(
            f"the service that holds port {part.port} takes no connection ({error.strerror or 'no answer'}); see its "
            "log"
        ) from error
    return "it accepts connections"


def _echo(part: DicomListener, host: str) -> str:
    from ecgfm_connectors.dicom.echo import echo

    calling = part.allowed_callers[0] if part.allowed_callers else part.ae_title
    try:
        return echo(host=host, port=part.port, called=part.ae_title, calling=calling, timeout=CONNECT_SECONDS)
    except (
        Misconfigured
    ) as error:  # such as: all its associations are in use; it is this installation's listener all the same
        return str(error)
