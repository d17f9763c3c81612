"""Settings become live objects here and nowhere else.

Each builder imports what it builds, so that the connecting role never loads torch, no role loads the libraries of a
protocol it does not speak, and `--help` loads neither torch nor hl7apy. Where the settings name a destination, every
role composes messages (scoring makes them, merges and corrections change them), for which hl7apy's tables are loaded:
20 ms.
"""

import base64
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfm.version import version
from ecgfm_clinical import log
from ecgfm_clinical.bundles import bundle_path
from ecgfm_clinical.errors import ModelError, SettingsError
from ecgfm_clinical.extras import need
from ecgfm_clinical.liveness import worker_name
from ecgfm_clinical.settings import (
    HEADS,
    DicomListener,
    DicomSource,
    DicomWebSource,
    FileDestination,
    Hl7Destination,
    Hl7Listener,
    Model,
    Settings,
    SftpSource,
    Tls,
    WatchedFolder,
    read_secret,
    read_settings,
)

if TYPE_CHECKING:
    from ecgfm.predictor import Predictor
    from ecgfm_clinical.alerting.alerting import Alerting
    from ecgfm_clinical.auditing.sending import AuditMessages
    from ecgfm_clinical.monitoring.meters import Meters
    from ecgfm_clinical.pipeline.ingest import Ingest
    from ecgfm_clinical.pipeline.live import LiveScorer, ShadowScorer
    from ecgfm_clinical.pipeline.reporting import Reporter
    from ecgfm_clinical.pipeline.scoring import Scorer
    from ecgfm_clinical.staging.heads_export import HeadsExport
    from ecgfm_clinical.staging.model_records import ModelRow
    from ecgfm_clinical.staging.records import Telling
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.audit.syslog import SyslogTls
    from ecgfm_connectors.base import Destination, Handler, Listener, Source
    from ecgfm_connectors.context import ReadingContext
    from ecgfm_connectors.hl7.result import Profile
    from ecgfm_connectors.rejections import Tell
    from ecgfm_connectors.tls import TlsFiles


Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of every live object to which none is passed."""
    return datetime.now(UTC)


def control_id() -> str:
    """A new MSH-10: 20 characters (the limit up to HL7 2.6), 95 random bits,
    so that no two workers ever draw the same.
    """
    return "E" + base64.b32encode(os.urandom(12)).decode()[:19]


# --- store and ingest -------------------------------------------------------------------------------------------------


def open_store(settings: Settings) -> "Store":
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
        telling=build_telling(settings),
        spooled=TOLD if settings.audit.messages is not None else frozenset(),
    )


def open_store_at(path: Path) -> "Store":
    """The staging store of a settings file, for a process that was started for its part of some work."""
    return open_store(read_settings(path))


def build_telling(settings: Settings) -> "Telling":
    """How results reach every destination of the settings, if there is any. Raises Misconfigured."""
    from ecgfm_clinical.staging.records import Telling

    if not settings.destinations.all:
        return Telling()
    from ecgfm_clinical.pipeline.composing import Composer
    from ecgfm_connectors.hl7.result import compose

    formats = {part.name: partial(compose, profile=_profile(settings, part)) for part in settings.destinations.all}
    compose_for = Composer(
        formats,
        device_id=f"ecgfm-clinical {version()}",
        abnormal=lambda head, label: label in settings.rules(head).abnormal,
    )
    return Telling(destinations=settings.destination_names, compose=compose_for, control_ids=control_id)


def _profile(settings: Settings, part: Hl7Destination | FileDestination) -> "Profile":
    """How one destination wants its messages: its settings bear the profile's own names (`test_settings`).

    The settings cannot hold the profile itself: its module loads hl7apy's tables, which no other command needs.
    """
    from dataclasses import fields, replace

    from ecgfm_connectors.hl7.result import Profile

    named = {one.name for one in fields(Profile)} & type(part).model_fields.keys()
    profile = replace(Profile(), **{name: getattr(part, name) for name in named})
    facility = part.sending_facility or settings.site.name
    return replace(profile, sending_facility=facility, zone=settings.site.zone)


def build_ingest(
    settings: Settings, store: "Store", source: str, *, clock: Clock = utc_now, meters: "Meters | None" = None
) -> "Ingest":
    """The Handler for what comes in by the listener or source of this name, read by its own rules."""
    from ecgfm_clinical.pipeline.ingest import Ingest
    from ecgfm_clinical.staging.records import Trust
    from ecgfm_connectors.reading import read

    sender = settings.sender_of(source)
    trust = Trust(
        corrected_patient=sender.corrected_patient,
        sender_withdrawal=sender.sender_withdrawal,
        score_held=settings.scoring.held,
    )
    reader = partial(read, context=reading_context(settings, source, store))
    return Ingest(store, read=reader, trust=trust, clock=clock, meters=meters)


def reading_context(settings: Settings, source: str, store: "Store") -> "ReadingContext":
    """What the site knows that a payload may not say: the authority of bare numbers, the zone of bare times, merges."""
    from ecgfm_connectors.context import ReadingContext

    return ReadingContext(
        default_authority=settings.authority_of(source),
        zone=settings.site.zone,
        allowed_roots=settings.allowed_roots_of(source),
        outcome_table=settings.outcomes.table,
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
            part.name: part.host if isinstance(part, Hl7Destination) else "" for part in settings.destinations.all
        },
    )
    return AuditMessages(store, repository, house, clock=clock, holder=worker_name("audit"))


def build_audit_repository(settings: Settings) -> "SyslogTls | None":
    """The audit repository of the settings, not yet connected."""
    from ecgfm_connectors.audit.syslog import SyslogTls

    part = settings.audit.messages
    if part is None:
        return None
    tls = _tls(settings, part.tls)
    assert tls is not None
    return SyslogTls(host=part.host, port=part.port, tls=tls)


def build_meters(settings: Settings) -> "Meters":
    """The instruments of a process; the names of its parts are their labels."""
    from ecgfm_clinical.monitoring.meters import Meters

    return Meters(
        sources=source_names(settings), listeners=settings.listeners.names, destinations=settings.destination_names
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


# --- listeners, sources, destinations ---------------------------------------------------------------------------------


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
        yield _dicom_listener(settings, dicom, attend(dicom.name, ingest), turned_away, clock)
    if not settings.listeners.hl7:
        return
    from ecgfm_clinical.pipeline.strangers import Strangers

    strangers = Strangers(store, clock=clock, meters=meters)
    for hl7 in settings.listeners.hl7:
        ingest = build_ingest(settings, store, hl7.name, clock=clock, meters=meters)
        aside = attend(hl7.name, strangers)
        yield _hl7_listener(settings, hl7, attend(hl7.name, ingest), aside, turned_away, clock)


def _dicom_listener(
    settings: Settings, part: DicomListener, ingest: "Handler", turned_away: "Tell", clock: Clock
) -> "Listener":
    from ecgfm_connectors.dicom.storage import StorageScp

    return StorageScp(
        name=part.name,
        ae_title=part.ae_title,
        host=part.host,
        port=part.port,
        handler=ingest,
        clock=clock,
        allowed_callers=part.allowed_callers,
        allowed_hosts=part.allowed_hosts,
        max_associations=part.max_associations,
        max_per_host=part.max_per_host,
        max_object_bytes=part.max_object_mb * 2**20,
        idle_timeout=part.idle_seconds,
        object_timeout=part.object_seconds,
        tls=_tls(settings, part.tls),
        turned_away=turned_away,
    )


def _hl7_listener(
    settings: Settings, part: Hl7Listener, ingest: "Handler", strangers: "Handler", turned_away: "Tell", clock: Clock
) -> "Listener":
    from ecgfm_connectors.hl7.listener import MllpListener

    return MllpListener(
        name=part.name,
        host=part.host,
        port=part.port,
        handler=ingest,
        clock=clock,
        allowed_hosts=part.allowed_hosts,
        allowed_senders=part.allowed_senders,
        strangers=strangers,
        max_message_bytes=part.max_message_mb * 1_000_000,
        max_connections=part.max_connections,
        max_per_host=part.max_per_host,
        idle_timeout=part.idle_seconds,
        frame_timeout=part.stall_seconds,
        message_timeout=part.message_seconds,
        tls=_tls(settings, part.tls),
        turned_away=turned_away,
    )


def build_sources(settings: Settings) -> "Iterator[tuple[Source, timedelta]]":
    """Every source with its interval. Raises MissingExtra."""
    for part in settings.sources.all:
        yield build_source(settings, part), timedelta(seconds=part.every_seconds)


def build_source(settings: Settings, part: WatchedFolder | SftpSource | DicomSource | DicomWebSource) -> "Source":
    """One source. Raises MissingExtra, SettingsError where a secret cannot be read."""
    match part:
        case WatchedFolder():
            return _folder_source(settings, part)
        case SftpSource():
            need("sftp", f"source {part.name}")
            return _sftp_source(settings, part)
        case DicomSource():
            return _dicom_source(settings, part)
        case DicomWebSource():
            need("dicomweb", f"source {part.name}")
            return _dicomweb_source(settings, part)


def _folder_source(settings: Settings, part: WatchedFolder) -> "Source":
    from ecgfm_connectors.files.folder import FolderSource

    return FolderSource(
        name=part.name,
        path=settings.resolve(part.path),
        stable_for=timedelta(seconds=part.stable_seconds),
        keep=settings.keeps_processed(part),
    )


def _sftp_source(settings: Settings, part: SftpSource) -> "Source":
    from ecgfm_connectors.files.sftp import SftpServer
    from ecgfm_connectors.files.sftp import SftpSource as Sftp

    server = SftpServer(
        host=part.host,
        port=part.port,
        user=part.user,
        known_hosts=settings.resolve(part.known_hosts),
        key=settings.resolve(part.key) if part.key else None,
        password=read_secret(settings.resolve(part.password_file)) if part.password_file else "",
    )
    stable_for = timedelta(seconds=part.stable_seconds)
    keep = settings.keeps_processed(part)
    return Sftp(name=part.name, server=server, folder=part.folder, stable_for=stable_for, keep=keep)


def _dicom_source(settings: Settings, part: DicomSource) -> "Source":
    from ecgfm_connectors.dicom.retrieve import Archive, RetrieveSource

    tls = _tls(settings, part.tls)
    return RetrieveSource(
        name=part.name,
        archive=Archive(host=part.host, port=part.port, ae_title=part.ae_title, calling=part.calling, tls=tls),
        method=part.method,
        receive_host=part.receive_host,
        receive_port=part.receive_port,
        modality=part.modality,
        overlap=part.overlap,
        lookback=part.lookback,
    )


def _dicomweb_source(settings: Settings, part: DicomWebSource) -> "Source":
    from ecgfm_connectors.dicom.web import DicomWebSource as Web

    secret = part.authorization_file
    return Web(
        name=part.name,
        url=part.url,
        headers={"Authorization": read_secret(settings.resolve(secret))} if secret else None,
        tls=_tls(settings, part.tls),
        modality=part.modality,
        overlap=part.overlap,
        lookback=part.lookback,
        connections=part.connections,
    )


def build_destinations(settings: Settings) -> "Iterator[tuple[Destination, Hl7Destination | FileDestination]]":
    """Every destination, not yet connected, with its settings."""
    for part in settings.destinations.all:
        yield build_destination(settings, part), part


def build_destination(settings: Settings, part: Hl7Destination | FileDestination) -> "Destination":
    """One destination, not yet connected."""
    return _mllp_destination(settings, part) if isinstance(part, Hl7Destination) else _file_destination(settings, part)


def _mllp_destination(settings: Settings, part: Hl7Destination) -> "Destination":
    from ecgfm_connectors.hl7.sender import MllpDestination

    return MllpDestination(
        name=part.name,
        host=part.host,
        port=part.port,
        ack_timeout=part.ack_timeout_seconds,
        tls=_tls(settings, part.tls),
    )


def _file_destination(settings: Settings, part: FileDestination) -> "Destination":
    from ecgfm_connectors.files.drop import FileDrop

    return FileDrop(name=part.name, folder=settings.resolve(part.path), suffix=part.suffix, mode=int(part.mode, 8))


def _tls(settings: Settings, part: Tls | None) -> "TlsFiles | None":
    from ecgfm_connectors.tls import TlsFiles

    if part is None:
        return None
    return TlsFiles(
        certificate=settings.resolve(part.certificate),
        key=settings.resolve(part.key),
        trusted=settings.resolve(part.trusted),
    )


# --- scoring ----------------------------------------------------------------------------------------------------------


def open_predictor(settings: Settings, bundle: str | None = None, *, scored_by: str = "") -> "Predictor":
    """The model, resident, by the runtime of the settings or by the one that a score names in `scored_by`.

    Raises MissingExtra; ModelError where the bundle is missing or damaged, or the runtime is not on this machine.
    """
    need("score", "the model")
    from ecgfm.errors import EcgFmError
    from ecgfm.predictor import Predictor
    from ecgfm_clinical.shipped.measuring import shipped_recordings

    path = bundle_path(settings, bundle)
    model = _as_scored(settings.model, scored_by)
    if extra := model.runtime_extra:
        need(extra, f"runtime {model.runtime}")
    try:
        return Predictor.from_bundle(
            path,
            runtime=model.runtime,
            device=model.device,
            threads=model.threads,
            cache=settings.resolve(model.cache) if model.cache else None,
            recordings=shipped_recordings,
            shape=model.shape,
        )
    except EcgFmError as error:
        needed = f"the score was computed by {scored_by}: " if scored_by else ""
        raise ModelError(f"{needed}{error}") from error


def _as_scored(model: Model, scored_by: str) -> Model:
    """These settings with the runtime, device and shape that a score names; as they are where it names none of ours."""
    from ecgfm.runtimes.engines import EngineName

    then = EngineName.parse(scored_by)
    if then is None:
        return model
    named = {"runtime": then.runtime, "device": then.on, "shape": then.shape}
    return Model.model_validate(model.model_dump() | named)


def build_scorer(
    settings: Settings,
    store: "Store",
    predictor: "Predictor",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    role: str = "score",
) -> "Scorer":
    from ecgfm_clinical.pipeline.scoring import Scorer

    return Scorer(
        store,
        predictor,
        rules=settings.rules,
        worker=worker_name(role),
        clock=clock,
        batch_size=settings.scoring.batch_size,
        lease=settings.scoring.lease,
        max_attempts=settings.scoring.max_attempts,
        jitter=random.random,
        meters=meters,
        processes=settings.scoring.workers,
        open_store=partial(open_store, settings),
    )


def scoring_devices(settings: Settings) -> Iterator[tuple[str, str]]:
    """(role, device) of each scorer of a service: one, or one on each GPU where there are several and none is named."""
    from ecgfm.devices import gpus

    found = gpus() if settings.model.device in ("auto", "cuda") else 0
    yield "score", f"{settings.model.device}" if found < 2 else "cuda:0"
    for index in range(1, found):
        yield f"score-{index}", f"cuda:{index}"


def build_live_scorer(
    settings: Settings,
    store: "Store",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    role: str = "score",
    device: str | None = None,
) -> "LiveScorer":
    """A scorer that follows promotions; the settings' own bundle is installed where it was not. Raises ModelError.

    `role` is the name under which it works, `device` where it computes, if not where the settings say.
    """
    from ecgfm_clinical.learning.models import live_model
    from ecgfm_clinical.pipeline.live import LiveScorer

    registry = store.models
    live_model(settings, registry, now=clock(), actor=worker_name("score"))
    refuse_unknown_heads(settings, (head for row in registry.models() for head in row.heads))
    if device is not None:
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"device": device})})
    return LiveScorer(registry, partial(_scorer_of, settings, store, clock=clock, meters=meters, role=role))


def refuse_unknown_heads(settings: Settings, heads: Iterable[str]) -> None:
    """Raise SettingsError where `[heads.NAME]` names no head:
    a misspelt one would leave the real one to its defaults.
    """
    known = {*HEADS, *heads}
    if unknown := sorted(set(settings.heads) - known):
        raise SettingsError(
            f"heads.{', heads.'.join(unknown)}: no model at hand has a head of that name; there are "
            f"{', '.join(sorted(known))}"
        )


def build_shadow_scorer(settings: Settings, store: "Store", *, clock: Clock = utc_now) -> "ShadowScorer":
    """The candidate that answers live ECGs without being heard."""
    from ecgfm_clinical.pipeline.live import ShadowScorer

    return ShadowScorer(
        store.models,
        partial(_scorer_of, settings, store, clock=clock),
        worker=worker_name("shadow"),
        clock=clock,
        batch_size=settings.scoring.batch_size,
    )


def _scorer_of(
    settings: Settings,
    store: "Store",
    row: "ModelRow",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    role: str = "score",
) -> "Scorer":
    """A scorer with the bundle of a registered model.

    Raises ModelError, also where another bundle lies in its place.
    """
    predictor = open_predictor(settings, row.path)
    if predictor.model_id != row.model_id:
        raise ModelError(f"{row.path} holds another model than {row.model_id[:12]} as registered; put that bundle back")
    _note_runtime(store, predictor, now=clock(), role=role)
    return build_scorer(settings, store, predictor, clock=clock, meters=meters, role=role)


def _note_runtime(store: "Store", predictor: "Predictor", *, now: datetime, role: str) -> None:
    """A change of the runtime by which this host scores with a model is an event, in the audit trail and in the log."""
    worker = worker_name(role)
    before = store.models.runs_on(
        predictor.model_id,
        predictor.runtime,
        host=worker.partition(":")[0] + role.removeprefix("score"),  # two GPUs of a host may be of two kinds
        why=str(predictor.choice or "named by the settings"),
        now=now,
        actor=worker,
    )
    if before:
        log.event("model.runtime-changed", model=predictor.model_id[:12], runtime=predictor.runtime, before=before)


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
    from ecgfm_connectors.hl7.ack import reaction

    for destination, part in build_destinations(settings):
        busy, patience = False, 0.0
        if isinstance(part, Hl7Destination):
            busy, patience = part.ae_means_busy, 20 * part.ack_timeout_seconds
        yield Reporter(
            store,
            destination,
            react=partial(reaction, ae_means_busy=busy),
            worker=worker_name(f"report-{part.name}"),
            clock=clock,
            max_attempts=part.max_attempts,
            lease=timedelta(seconds=min(max(60.0, patience), 1800.0)),  # and prolonged while this process lives
            jitter=random.random,
            mark=settings.store_folder / f"sent-{part.name}.mark",
            meters=meters,
            stopping=stopping,
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
