"""Settings become live objects here, in `connections` (what speaks to the hospital), in `telling` (how its results are
told) and in `scorers`; nowhere else.

Each builder imports what it builds, so that the connecting role never loads torch, no role loads the libraries of a
protocol it does not speak, and `--help` loads neither torch nor hl7apy.
"""

import random
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from ecgfm_clinical import connections, telling
from ecgfm_clinical.extras import have
from ecgfm_clinical.liveness import worker_name
from ecgfm_clinical.settings import Settings, read_headers, read_secret, read_settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ecgfm_clinical.alerting.alerting import Alerting
    from ecgfm_clinical.auditing.sending import AuditMessages
    from ecgfm_clinical.monitoring.meters import Meters
    from ecgfm_clinical.monitoring.otlp import Push
    from ecgfm_clinical.pipeline.ingest import Ingest
    from ecgfm_clinical.pipeline.page_words import ReadWords
    from ecgfm_clinical.pipeline.reporting import Reporter
    from ecgfm_clinical.staging.heads_export import HeadsExport
    from ecgfm_clinical.staging.records import Trust
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.audit.syslog import SyslogTls
    from ecgfm_connectors.base import Handler, Listener
    from ecgfm_connectors.context import ReadingContext
    from ecgfm_connectors.rejections import Tell


Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of every live object to which none is passed."""
    return datetime.now(UTC)


def steady_clock(clock: Clock, seconds: Callable[[], float] = monotonic) -> Clock:
    """A clock for one long piece of work, which nobody sets meanwhile: `clock` as it is now, and the time that passed
    since by the monotonic one, in `seconds`. What is dated at its end is not older than what it began with.
    """
    began, at = seconds(), clock()
    return lambda: at + timedelta(seconds=seconds() - began)


# --- store and ingest -------------------------------------------------------------------------------------------------


def open_store(settings: Settings, *, clock: Clock = utc_now) -> "Store":
    """The staging store. Raises StoreNotReady, StoreTooNew, StoreUnavailable, SettingsError."""
    from ecgfm_clinical.auditing.composing import TOLD
    from ecgfm_clinical.staging.sealing import Keyring
    from ecgfm_clinical.staging.store import Store

    key_file = settings.store.key_file
    return Store.open(
        settings.store_url,
        keyring=Keyring.read(settings.resolve(key_file)) if key_file else None,
        free_bytes=lambda: shutil.disk_usage(settings.store_folder).free,
        least_free=settings.store.min_free_mb * 1_000_000,
        clock=clock,
        telling=telling.build_telling(settings),
        spooled=TOLD if settings.audit.messages is not None else frozenset(),
    )


def open_store_at(path: Path) -> "Store":
    """The staging store of a settings file, for a process that was started for its part of some work."""
    return open_store(read_settings(path))


def build_ingest(
    settings: Settings, store: "Store", source: str, *, clock: Clock = utc_now, meters: "Meters | None" = None
) -> "Ingest":
    """The Handler for what comes in by the listener or source of this name, read by its own rules."""
    from ecgfm_clinical.pipeline.ingest import Ingest
    from ecgfm_connectors.reading import read

    reader = partial(read, context=reading_context(settings, source, store))
    trust = trust_in(settings, source)
    return Ingest(store, read=reader, trust=trust, clock=clock, meters=meters, words=words_of_pages())


def words_of_pages() -> "ReadWords":
    """What reads the PDFs of other systems, where it is installed."""
    from ecgfm_clinical.pipeline.page_words import unread
    from ecgfm_connectors import pdf_words

    return pdf_words.read if have("pdf") else unread


def trust_in(settings: Settings, source: str) -> "Trust":
    """What the listener or source of this name may decide by itself."""
    from ecgfm_clinical.staging.records import Trust

    sender = settings.sender_of(source)
    return Trust(
        corrected_patient=sender.corrected_patient,
        sender_withdrawal=sender.sender_withdrawal,
        score_held=settings.scoring.held,
    )


def build_history(settings: Settings, store: "Store", *, clock: Clock = utc_now) -> "Ingest":
    """The Handler for recordings of an archive that are put in as history.

    Nothing but ECGs is taken of them: what old messages say of patients and results was dealt with in its day.
    """
    from ecgfm_clinical.pipeline.ingest import Ingest
    from ecgfm_clinical.staging.records import HISTORY
    from ecgfm_connectors.contents import Contents
    from ecgfm_connectors.reading import read

    context = reading_context(settings, HISTORY, store)

    def only_ecgs(content: bytes) -> Contents:
        found = read(content, context)
        return Contents(ecgs=found.ecgs, findings=found.findings)

    return Ingest(store, read=only_ecgs, clock=clock)


def reading_context(settings: Settings, source: str, store: "Store") -> "ReadingContext":
    """What the site knows that a payload may not say: the authority of bare numbers, the zone of bare times, merges."""
    from ecgfm_connectors.context import ReadingContext

    return ReadingContext(
        default_authority=settings.authority_of(source),
        zone=settings.site.zone,
        reports=settings.takes_reports(source),
        allowed_roots=settings.allowed_roots_of(source),
        outcome_table=settings.outcomes.table,
        order_table=settings.orders.table,
        one_person=store.identities.one_person,
    )


def build_heads_export(settings: Settings, store: "Store", *, clock: Clock = utc_now) -> "HeadsExport | None":
    """What signs the heads of the audit trail; None where no key is set. Raises SettingsError."""
    from ecgfm_clinical.staging.heads_export import HeadsExport, syslog
    from ecgfm_clinical.staging.signed_heads import HeadsFile, Signer

    if settings.audit.key_file is None:
        return None
    signer = Signer.read(settings.resolve(settings.audit.key_file))
    file = HeadsFile(settings.resolve(settings.audit.heads_file), signer)
    return HeadsExport(store, file, clock=clock, send=syslog(settings.audit.syslog) if settings.audit.syslog else None)


def build_audit_messages(settings: Settings, store: "Store", *, clock: Clock = utc_now) -> "AuditMessages | None":
    """What tells the audit repository; None where the settings name none."""
    from ecgfm_clinical.auditing.composing import House
    from ecgfm_clinical.auditing.sending import AuditMessages

    repository = build_audit_repository(settings)
    if repository is None:
        return None
    house = House(
        site=settings.site.name,
        host=socket.gethostname(),
        ae_titles=tuple(dict.fromkeys(part.ae_title for part in settings.listeners.dicom)),
        destinations={
            **dict.fromkeys(settings.destination_names, ""),
            **{part.name: part.host for part in settings.destinations.peers},
        },
    )
    return AuditMessages(store, repository, house, clock=clock, holder=worker_name("audit"))


def build_audit_repository(settings: Settings) -> "SyslogTls | None":
    """The audit repository of the settings, not yet connected."""
    from ecgfm_connectors.audit.syslog import SyslogTls

    part = settings.audit.messages
    if part is None:
        return None
    tls = connections.tls_files(settings, part.tls)
    assert tls is not None
    return SyslogTls(host=part.host, port=part.port, tls=tls)


def build_meters(settings: Settings) -> "Meters":
    """The instruments of a process; the names of its parts are their labels."""
    from ecgfm_clinical.monitoring.meters import Meters

    return Meters(
        sources=source_names(settings), listeners=settings.listeners.names, destinations=settings.destination_names
    )


def build_push(settings: Settings, registry: "CollectorRegistry", *, instance: str, clock: Clock) -> "Push | None":
    """What pushes a registry to the collector of the settings; None where they name none. `instance`: this process.

    Raises MissingExtra, SettingsError.
    """
    from ecgfm.version import version
    from ecgfm_clinical.monitoring.otlp import Push

    part = settings.monitoring.otlp
    if part is None:
        return None
    return Push(
        registry,
        url=part.url,
        headers=read_headers(settings.resolve(part.headers_file)) if part.headers_file is not None else {},
        about={"service.name": "ecgfm-clinical", "service.version": version(), "service.instance.id": instance},
        clock=clock,
        trusted=settings.resolve(part.trusted) if part.trusted is not None else None,
    )


def source_names(settings: Settings) -> tuple[str, ...]:
    """Every way in by name, `ingest` of the command line included."""
    return (*settings.listeners.names, *settings.sources.names, "ingest")


def build_alerting(
    settings: Settings, store: "Store", *, clock: Clock = utc_now, beat: Callable[[], None] = lambda: None
) -> "Alerting | None":
    """What tells the site; None where no channel and no dead man's switch is named. Raises SettingsError."""
    from ecgfm_clinical.alerting import channels
    from ecgfm_clinical.alerting.alerting import Alerting

    ping = settings.alerts.ping_url_file
    if not settings.alerts.channels and ping is None:
        return None
    return Alerting(
        settings,
        store,
        channels.build(settings),
        clock=clock,
        holder=worker_name("alerts"),
        ping_url=read_secret(settings.resolve(ping)) if ping is not None else "",
        beat=beat,
    )


# --- listeners ---------------------------------------------------------------------------------


def build_listeners(
    settings: Settings,
    store: "Store",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    attend: "Callable[[str, Handler], Handler]" = lambda _, handler: handler,
    turned_away: "Tell | None" = None,
) -> "Iterator[Listener]":
    """Every port the settings open, not yet bound; `attend` puts somebody beside the handlers of a listener's name,
    `turned_away` hears of callers that get no further.
    """
    from ecgfm_clinical.monitoring.rejected_callers import RejectedCallers

    meters = meters or build_meters(settings)
    turned_away = turned_away or RejectedCallers(meters)
    for dicom in settings.listeners.dicom:
        ingest = build_ingest(settings, store, dicom.name, clock=clock, meters=meters)
        yield connections.dicom_listener(settings, dicom, attend(dicom.name, ingest), turned_away, clock)
    if not settings.listeners.hl7:
        return
    from ecgfm_clinical.pipeline.strangers import Strangers

    strangers = Strangers(store, clock=clock, meters=meters)
    for hl7 in settings.listeners.hl7:
        ingest = build_ingest(settings, store, hl7.name, clock=clock, meters=meters)
        aside = attend(hl7.name, strangers)
        yield connections.hl7_listener(settings, hl7, attend(hl7.name, ingest), aside, turned_away, clock)


# --- reporting --------------------------------------------------------------------------------------------------------


def build_reporters(
    settings: Settings,
    store: "Store",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    stopping: Callable[[], bool] = lambda: False,
) -> "Iterator[Reporter]":
    """One reporter a destination: each destination's queue moves by itself."""
    from ecgfm_clinical.pipeline.reporting import Reporter

    for destination, part in connections.build_destinations(settings):
        react, patience = telling.reaction_of(part)
        yield Reporter(
            store,
            destination,
            react=react,
            worker=worker_name(f"report-{part.name}"),
            clock=clock,
            max_attempts=part.max_attempts,
            lease=timedelta(seconds=min(max(60.0, patience), 1800.0)),  # and prolonged while this process lives
            jitter=random.random,
            mark=settings.store_folder / f"sent-{part.name}.mark",
            meters=meters,
            stopping=stopping,
            draw_page=telling.page_drawer(settings, store) if part.name in settings.destinations.with_page else None,
        )


def look_where_it_lies(settings: Settings, store: "Store", *, now: datetime, actor: str) -> str | None:
    """Why nothing is sent from this store, or None; before a result gets a filler number, which must be of a new epoch
    in a restored store. Raises StoreUnavailable.
    """
    marks: list[Path | None] = [*sent_marks(settings)]
    return next(filter(None, [store.home.look(mark, now=now, actor=actor) for mark in marks or [None]]), None)


def sent_marks(settings: Settings) -> list[Path]:
    """The files beside the store in which each sender names the last message it sent."""
    return sorted(settings.store_folder.glob("sent-*.mark"))
