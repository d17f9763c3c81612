"""What speaks to the hospital, built from the settings: listeners, sources and destinations.

Each builder imports what it builds: no role loads the libraries of a protocol that it does not speak.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ecgfm_clinical.extras import need
from ecgfm_clinical.settings import (
    AnyDestination,
    DicomDestination,
    DicomListener,
    DicomSource,
    DicomWebSource,
    FhirDestination,
    FhirFileDestination,
    FileDestination,
    Hl7Destination,
    Hl7Listener,
    Settings,
    SftpSource,
    StowDestination,
    Tls,
    WatchedFolder,
    read_secret,
)

if TYPE_CHECKING:
    from ecgfm_connectors.base import Destination, Handler, Listener, Source
    from ecgfm_connectors.fhir.credentials import Credentials
    from ecgfm_connectors.rejections import Tell
    from ecgfm_connectors.tls import TlsFiles


def dicom_listener(
    settings: Settings, part: DicomListener, ingest: "Handler", turned_away: "Tell", clock: Callable[[], datetime]
) -> "Listener":
    """A port for C-STORE, not yet bound; `turned_away` hears of callers that get no further."""
    from ecgfm_connectors.dicom.storage import StorageScp

    return StorageScp(
        name=part.name,
        ae_title=part.ae_title,
        host=part.host,
        port=part.port,
        handler=ingest,
        clock=clock,
        documents=part.documents,
        allowed_callers=part.allowed_callers,
        allowed_hosts=part.allowed_hosts,
        max_associations=part.max_associations,
        max_per_host=part.max_per_host,
        max_object_bytes=part.max_object_mb * 2**20,
        max_held_bytes=None if part.max_held_mb is None else part.max_held_mb * 2**20,
        idle_timeout=part.idle_seconds,
        object_timeout=part.object_seconds,
        tls=tls_files(settings, part.tls),
        turned_away=turned_away,
    )


def hl7_listener(
    settings: Settings,
    part: Hl7Listener,
    ingest: "Handler",
    strangers: "Handler",
    turned_away: "Tell",
    clock: Callable[[], datetime],
) -> "Listener":
    """A port for MLLP, not yet bound; `strangers` takes what comes from senders that are not named."""
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
        tls=tls_files(settings, part.tls),
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

    tls = tls_files(settings, part.tls)
    return RetrieveSource(
        name=part.name,
        archive=Archive(host=part.host, port=part.port, ae_title=part.ae_title, calling=part.calling, tls=tls),
        method=part.method,
        receive_host=part.receive_host,
        receive_port=part.receive_port,
        modality=part.modality,
        documents=part.documents,
        overlap=part.overlap,
        lookback=part.lookback,
    )


def _dicomweb_source(settings: Settings, part: DicomWebSource) -> "Source":
    from ecgfm_connectors.dicom.web import DicomWebSource as Web

    return Web(
        name=part.name,
        url=part.url,
        headers=_authorization(settings, part.authorization_file),
        tls=tls_files(settings, part.tls),
        modality=part.modality,
        documents=part.documents,
        overlap=part.overlap,
        lookback=part.lookback,
        connections=part.connections,
    )


def build_destinations(settings: Settings) -> "Iterator[tuple[Destination, AnyDestination]]":
    """Every destination, not yet connected, with its settings."""
    for part in settings.destinations.all:
        yield build_destination(settings, part), part


def build_destination(settings: Settings, part: AnyDestination) -> "Destination":
    """One destination, not yet connected. Raises MissingExtra, SettingsError where a secret cannot be read."""
    match part:
        case Hl7Destination():
            return _mllp_destination(settings, part)
        case FileDestination() | FhirFileDestination():
            return _file_destination(settings, part)
        case FhirDestination():
            need("fhir", f"destination {part.name}")
            return _fhir_destination(settings, part)
        case DicomDestination():
            return _dicom_destination(settings, part)
        case StowDestination():
            need("dicomweb", f"destination {part.name}")
            return _stow_destination(settings, part)


def _mllp_destination(settings: Settings, part: Hl7Destination) -> "Destination":
    from ecgfm_connectors.hl7.sender import MllpDestination

    return MllpDestination(
        name=part.name,
        host=part.host,
        port=part.port,
        ack_timeout=part.ack_timeout_seconds,
        tls=tls_files(settings, part.tls),
    )


def _fhir_destination(settings: Settings, part: FhirDestination) -> "Destination":
    from ecgfm_connectors.fhir.server import FhirServer

    return FhirServer(
        name=part.name,
        url=part.url,
        credentials=_fhir_credentials(settings, part),
        clock=lambda: datetime.now(UTC),
        tls=tls_files(settings, part.tls),
        timeout=part.timeout_seconds,
        read_back=part.read_back,
    )


def _fhir_credentials(settings: Settings, part: FhirDestination) -> "Credentials":
    from ecgfm_connectors.fhir.credentials import Client, ClientCredentials, Fixed

    if part.oauth is None:
        secret = part.authorization_file
        return Fixed(read_secret(settings.resolve(secret)) if secret else "")
    told = part.oauth
    client = Client(
        token_url=told.token_url,
        client_id=told.client_id,
        scope=told.scope,
        secret=read_secret(settings.resolve(told.secret_file)) if told.secret_file and not told.key_file else "",
        private_key=read_secret(settings.resolve(told.key_file)).encode() if told.key_file else b"",
        key_id=told.key_id,
    )
    return ClientCredentials(client, clock=lambda: datetime.now(UTC), unique=lambda: str(uuid4()))


def _file_destination(settings: Settings, part: FileDestination | FhirFileDestination) -> "Destination":
    from ecgfm_connectors.files.drop import FileDrop

    return FileDrop(name=part.name, folder=settings.resolve(part.path), suffix=part.suffix, mode=int(part.mode, 8))


def _dicom_destination(settings: Settings, part: DicomDestination) -> "Destination":
    from ecgfm_connectors.dicom.results.commitment import Commitment
    from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION, REPORT_CLASSES
    from ecgfm_connectors.dicom.results.storing import Pacs, StorageDestination
    from ecgfm_connectors.dicom.sop_classes import ENCAPSULATED_PDF

    pacs = Pacs(
        host=part.host,
        port=part.port,
        called=part.ae_title,
        calling=part.calling,
        timeout=part.answer_seconds,
        tls=tls_files(settings, part.tls),
    )
    needed = (
        REPORT_CLASSES[part.profile.report],
        KEY_OBJECT_SELECTION,
        *((ENCAPSULATED_PDF,) if part.profile.page else ()),
    )
    commitment = (
        None
        if part.commitment_seconds is None
        else Commitment(seconds=part.commitment_seconds, host=part.commitment_host, port=part.commitment_port)
    )
    return StorageDestination(name=part.name, pacs=pacs, needed=needed, commitment=commitment)


def _stow_destination(settings: Settings, part: StowDestination) -> "Destination":
    from ecgfm_connectors.dicom.results.stow import StowDestination as Stow

    return Stow(
        name=part.name,
        url=part.url,
        headers=_authorization(settings, part.authorization_file),
        tls=tls_files(settings, part.tls),
        timeout=part.answer_seconds,
    )


def _authorization(settings: Settings, file: Path | None) -> dict[str, str] | None:
    """The header that this file holds the value of; None where a peer wants none."""
    return None if file is None else {"Authorization": read_secret(settings.resolve(file))}


def tls_files(settings: Settings, part: Tls | None) -> "TlsFiles | None":
    """The files of one side of a TLS connection; None where it goes without."""
    from ecgfm_connectors.tls import TlsFiles

    if part is None:
        return None
    return TlsFiles(
        certificate=settings.resolve(part.certificate),
        key=settings.resolve(part.key),
        trusted=settings.resolve(part.trusted),
    )
