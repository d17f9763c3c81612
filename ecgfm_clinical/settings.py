"""All settings of one installation, read once from one TOML file into one frozen object and checked there.

The file is named by `--settings` or `ECGFM_SETTINGS`. Environment variables override single values
(`ECGFM_STORE__URL`, `ECGFM_SCORING__BATCH_SIZE`). Secrets lie in files of their own that the settings name.
Relative paths are relative to the settings file.
"""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_type_hints
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ecgfm.operating_rule import OperatingRule
from ecgfm_clinical import exposure
from ecgfm_clinical.codes import REASONS
from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.rules import AssayLimit, GateRules
from ecgfm_connectors.outcomes import units
from ecgfm_connectors.outcomes.site import SiteCode, SiteTable

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Port = Annotated[int, Field(ge=0, le=65535)]
AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -~]+$")]  # PS3.5 §6.2 AE
AckCondition = Literal["", "AL", "NE", "ER", "SU"]  # HL7 table 0155
Hl7Version = Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"]


#: Heads that this program can train from outcomes, or that the published model has; a bundle may bring others.
HEADS = ("reduced_lvef", "troponin", "interpretation")
#: Hosts that stand for every address of this machine.
EVERY_ADDRESS = frozenset({"0.0.0.0", "::", ""})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Site(_Part):
    """Who runs this installation."""

    name: str = "Unnamed site"
    authority: str = Field(
        default="LOCAL", min_length=1, description="assigning authority of patient numbers that name none"
    )
    time_zone: str = Field(default="UTC", description="IANA zone of times that carry none")
    operator: str = Field(default="", description="who answers for this installation, for the audit trail")

    @model_validator(mode="after")
    def _zone_exists(self) -> Self:
        if self.time_zone not in available_timezones():
            raise ValueError(f"time_zone {self.time_zone!r} is not an IANA zone name such as Europe/Zurich")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class Store(_Part):
    """Where ECGs, jobs, scores and messages are staged."""

    url: str = Field(default="sqlite:///staging.sqlite", description="SQLAlchemy URL; sqlite or postgresql+psycopg")
    password_file: Path | None = Field(default=None, description="file that holds the database password")
    min_free_mb: int = Field(default=500, ge=0, description="below this much free disk nothing new is accepted")
    key_file: Path | None = Field(
        default=None, description="key that encrypts identifying columns and payloads at rest"
    )


class Model(_Part):
    """Which bundle scores, and how."""

    bundle: str = Field(
        default="demo",
        description="folder of the bundle, or `demo` for the small one that ships (not for clinical use)",
    )
    runtime: Literal["auto", "torch", "torch-bf16", "torch-fp16", "onnx", "openvino", "openvino-bf16"] = Field(
        default="auto", description="auto: the fastest exact one of this machine, measured when a model first opens"
    )
    cache: Path | None = Field(
        default=None, description="where runtimes keep what they prepare; beside the bundle if not set"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1, description="CPU threads; all cores where not set")
    shape: int | None = Field(
        default=None,
        ge=1,
        description="segments a call on a GPU holds, part of the runtime's name in each score: small (2) answers "
        "soonest, large (256) empties archives; 64 where not set",
    )

    @property
    def runtime_extra(self) -> str | None:
        """The extra of the package that the runtime needs."""
        return next((extra for extra in ("onnx", "openvino") if self.runtime.startswith(extra)), None)


class HeadRules(_Part):
    """When one head may be scored."""

    enabled: bool = True
    min_age: float | None = Field(default=18, ge=0, description="years at the time of the ECG")
    max_age: float | None = Field(default=None, ge=0)
    max_seconds: float = Field(
        default=120, gt=0, description="a longer recording is no resting ECG: the model was made for 10 s"
    )
    unknown_age: Literal["score", "refuse"] = "score"
    paced: Literal["score", "refuse"] = "refuse"
    allow: tuple[str, ...] = Field(default=(), description="reason codes this head is scored in spite of")
    abnormal: tuple[str, ...] = Field(
        default=(),
        description="labels of a head of this site's own that are abnormal findings: their results are flagged (OBX-8)",
    )

    @model_validator(mode="after")
    def _codes_exist(self) -> Self:
        if unknown := sorted(set(self.allow) - REASONS):
            raise ValueError(
                f"allow names no reason code: {', '.join(unknown)}; there are {', '.join(sorted(REASONS))}"
            )
        return self


class Scoring(_Part):
    """How scoring work is taken from the store."""

    held: bool = Field(
        default=False, description="score what is held for a person, so that its result is ready; it is not sent"
    )
    batch_size: int = Field(default=16, ge=1, le=1024)
    every_seconds: float = Field(default=5, gt=0, description="how often the schedule starts a scoring batch")
    lease_seconds: float = Field(
        default=300,
        ge=30,
        description="after this long without a sign of life, another worker takes over; signs are given every 10 s",
    )
    max_attempts: int = Field(default=4, ge=1)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)


class Tls(_Part):
    """Mutual TLS for one port or peer (PS3.15 B.12, MLLP over TLS)."""

    certificate: Path
    key: Path
    trusted: Path = Field(description="CA file that the other side's certificate must chain to")


class _Reachable(_Part):
    """A port or peer off this machine."""

    cleartext: Literal["", "accepted"] = Field(
        default="", description="accepted: neither TLS nor an allow-list here, on purpose"
    )


class _Sender(_Part):
    """What may be said of every way in: whose bare numbers are meant, and what its senders may decide by themselves."""

    authority: str | None = Field(default=None, description="instead of site.authority for what comes in here")
    corrected_patient: Literal["hold", "follow"] = Field(
        default="hold",
        description="a recording that comes again under another patient: hold it for a person, or withdraw it there "
        "and send it here",
    )
    sender_withdrawal: Literal["hold", "follow"] = Field(
        default="follow",
        description="a recording that its sender takes back (OBX-11 W, D, X): withdraw its result, or hold it for a "
        "person",
    )


class DicomListener(_Sender, _Reachable):
    """A C-STORE SCP of ours."""

    name: str = "dicom"
    ae_title: AeTitle = "ECGFM"
    host: str = "0.0.0.0"
    port: Port = 11112
    allowed_callers: tuple[AeTitle, ...] = Field(default=(), description="calling AE titles; empty admits any")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="addresses or networks; empty admits any")
    max_associations: int = Field(default=20, ge=1)
    max_per_host: int | None = Field(
        default=None, ge=1, description="connections of one address; three quarters of max_associations where not set"
    )
    max_object_mb: int = Field(default=64, ge=1, description="a longer object ends its association")
    idle_seconds: float = Field(default=60, gt=0, description="without a message, or for one PDU")
    object_seconds: float = Field(default=300, gt=0, description="for one object, from its first byte to its last")
    tls: Tls | None = None


class Hl7Listener(_Sender, _Reachable):
    """An MLLP port of ours."""

    name: str = "hl7"
    host: str = "0.0.0.0"
    port: Port = 2575
    allowed_hosts: tuple[str, ...] = Field(default=(), description="addresses or networks; empty admits any")
    allowed_senders: tuple[str, ...] = Field(default=(), description="MSH-3, or MSH-3|MSH-4; empty admits any")
    max_message_mb: int = Field(default=32, ge=1)
    max_connections: int = Field(default=100, ge=1)
    max_per_host: int | None = Field(
        default=None, ge=1, description="connections of one address; three quarters of max_connections where not set"
    )
    idle_seconds: float = Field(default=3600, gt=0, description="from one message to the next")
    stall_seconds: float = Field(default=60, gt=0, description="without a byte inside a message")
    message_seconds: float = Field(default=300, gt=0, description="for one message, from its first byte to its last")
    allowed_roots: tuple[Path, ...] = Field(default=(), description="folders that RP pointers may name")
    tls: Tls | None = None


class Listeners(_Part):
    dicom: tuple[DicomListener, ...] = ()
    hl7: tuple[Hl7Listener, ...] = ()

    @property
    def all(self) -> tuple[DicomListener | Hl7Listener, ...]:
        return (*self.dicom, *self.hl7)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.all)


class WatchedFolder(_Sender):
    """A folder into which another system drops ECG files."""

    name: str
    path: Path
    every_seconds: float = Field(default=30, gt=0)
    stable_seconds: float = Field(
        default=2, ge=0, description="a file is taken once its size has not changed this long"
    )
    processed: Literal["auto", "keep", "remove"] = Field(
        default="auto",
        description="what becomes of a file that the store has: kept in processed/, or removed; auto: removed where "
        "store.key_file is set, because the store holds it encrypted",
    )


class SftpSource(_Sender):
    """A folder on an SFTP server from which ECG files are fetched."""

    name: str
    host: str
    port: Port = 22
    user: str
    known_hosts: Path = Field(description="file with the server's host key; a server that is not in it is refused")
    key: Path | None = Field(default=None, description="private key file")
    password_file: Path | None = Field(default=None, description="file that holds the password, where there is no key")
    folder: str = "."
    every_seconds: float = Field(default=60, gt=0)
    stable_seconds: float = Field(
        default=30, ge=0, description="a file is taken once its size has not changed this long"
    )


class _Archive(_Sender, _Reachable):
    """What every archive that is asked for ECGs has in common."""

    name: str
    every_seconds: float = Field(default=300, gt=0)
    modality: str = Field(default="ECG", description="(0008,0060) of the series to fetch; each object is checked again")
    lookback_days: float = Field(default=7, gt=0, description="how far back the very first pull goes")
    overlap_days: float = Field(default=2, ge=0, description="how far each pull goes back again: carts sync late")
    tls: Tls | None = None

    @property
    def lookback(self) -> timedelta:
        return timedelta(days=self.lookback_days)

    @property
    def overlap(self) -> timedelta:
        return timedelta(days=self.overlap_days)


class DicomSource(_Archive):
    """A PACS that is asked by C-FIND, and sends by C-MOVE or C-GET."""

    host: str
    port: Port
    ae_title: AeTitle = Field(description="theirs")
    calling: AeTitle = Field(default="ECGFM", description="ours; for C-MOVE their table must name it with our port")
    method: Literal["move", "get"] = "move"
    receive_host: str = "0.0.0.0"
    receive_port: Port | None = Field(
        default=None, description="port opened for the time of a C-MOVE; without it the archive sends to a listener"
    )


class DicomWebSource(_Archive):
    """A PACS that is asked by QIDO-RS and WADO-RS."""

    url: str = Field(description="service root, such as https://pacs.example/dicom-web")
    authorization_file: Path | None = Field(default=None, description="file that holds the Authorization header")
    connections: int = Field(default=4, ge=1, le=32)


class Sources(_Part):
    folder: tuple[WatchedFolder, ...] = ()
    sftp: tuple[SftpSource, ...] = ()
    dicom: tuple[DicomSource, ...] = ()
    dicomweb: tuple[DicomWebSource, ...] = ()

    @property
    def all(self) -> "tuple[WatchedFolder | SftpSource | DicomSource | DicomWebSource, ...]":
        return (*self.folder, *self.sftp, *self.dicom, *self.dicomweb)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.all)  # repeats included, so that they can be refused


class _Results(_Part):
    """How one destination wants its ORU^R01 messages."""

    name: str
    version: Hl7Version = "2.5.1"
    sending_application: str = Field(default="ECGFM", description="MSH-3; components as NAME^OID^ISO")
    sending_facility: str = Field(default="", description="MSH-4; site.name where empty")
    receiving_application: str = ""
    receiving_facility: str = ""
    filler_namespace: str = Field(
        default="ECGFM",
        description="OBR-3.2, who gave our number; one of its own for each installation that sends to one receiver",
    )
    charset: str = Field(default="UNICODE UTF-8", description="MSH-18, HL7 table 0211")
    accept_ack: AckCondition = Field(default="", description="MSH-15; both empty is the original mode")
    application_ack: AckCondition = Field(default="", description="MSH-16")
    parent: Literal["OBR-29", "OBR-18", "none"] = Field(
        default="OBR-29", description="where the ECG's own filler or accession number goes"
    )
    study_uid: bool = Field(default=False, description="send the Study Instance UID as an OBX of its own")
    reasons: Literal["coded", "note"] = Field(
        default="coded", description="how not evaluable is said: coded in OBX-5, or with an empty OBX-5 and an NTE"
    )
    alternate_codes: Mapping[str, tuple[str, str, str]] = Field(
        default_factory=dict, description="our code -> the site's own [code, text, coding system], OBX-3.4 to .6"
    )
    max_attempts: int | None = Field(
        default=None,
        ge=1,
        description="gives up after so many failures that are not the message's fault; for ever patient where not set",
    )


class Hl7Destination(_Results, _Reachable):
    """An EHR or interface engine that takes results by MLLP."""

    host: str
    port: Port
    ack_timeout_seconds: float = Field(default=30, gt=0)
    ae_means_busy: bool = Field(
        default=False, description="this receiver answers AE also when it only wants a repeat later"
    )
    tls: Tls | None = None


class FileDestination(_Results):
    """A folder into which results are written, one file each, for a system that collects them there."""

    path: Path
    suffix: str = Field(default=".hl7", pattern=r"^\.[A-Za-z0-9.]+$", description="of each file; its name is MSH-10")
    mode: str = Field(
        default="0640", pattern=r"^0?[0-7]{3}$", description="who may read each file: this user and its group"
    )


class Destinations(_Part):
    hl7: tuple[Hl7Destination, ...] = ()
    file: tuple[FileDestination, ...] = ()

    @property
    def all(self) -> tuple[Hl7Destination | FileDestination, ...]:
        return (*self.hl7, *self.file)


class LvefLabels(_Part):
    """Which echo gives an ECG its label."""

    threshold: Literal[30, 35, 40, 50] = Field(default=40, description="percent, inclusive")
    window_days: float = Field(default=7, gt=0, description="nearest echo within so many days on either side")


class TroponinLabels(_Part):
    """Which troponin gives an ECG its label."""

    select: Literal["first", "peak"] = "peak"
    hours_before: float = Field(default=2, ge=0)
    hours_after: float = Field(default=6, ge=0)
    drop_after_peak: bool = Field(default=False, description="leave out ECGs recorded after the highest troponin")
    assays: tuple[AssayLimit, ...] = ()


class OutcomeCode(_Part):
    """What one code or one name of this site's feeds measures; it goes before every rule of the readers."""

    code: str = Field(default="", description="OBX-3.1 or OBX-3.4")
    name: str = Field(default="", description="OBX-3.2 or OBX-3.5, whole; case and accents do not matter")
    means: Literal["lvef", "troponin", "ignore"]
    assay: str = Field(default="", description="troponin: hs-I, hs-T, I or T")
    unit: str = Field(default="", description="the unit where OBX-6 is empty")
    point_of_care: bool = False

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.code and not self.name:
            raise ValueError("give the code or the name of what is measured")
        if self.unit and units.read(self.unit) is None:
            raise ValueError(f"unit {self.unit!r} is no unit that we know; write it as UCUM does, ng/L or %")
        return self


class OutcomeSettings(_Part):
    """How measured outcomes are read from this site's feeds."""

    codes: tuple[OutcomeCode, ...] = ()
    units: Mapping[str, str] = Field(default_factory=dict, description="a unit as the site spells it -> as UCUM does")

    @model_validator(mode="after")
    def _units_are_known(self) -> Self:
        if unknown := sorted(spelt for spelt in self.units.values() if units.read(spelt) is None):
            raise ValueError(f"no units that we know: {', '.join(unknown)}; write them as UCUM does, ng/L or %")
        return self

    @property
    def table(self) -> SiteTable:
        """The table as the readers take it."""
        codes = tuple(SiteCode(**one.model_dump()) for one in self.codes)
        return SiteTable(codes=codes, units=tuple(self.units.items()))


class Learning(_Part):
    """How this hospital trains, judges and governs heads of its own."""

    folder: Path = Field(default=Path("models"), description="bundles, runs, reports and kept embeddings")
    lvef: LvefLabels = LvefLabels()
    troponin: TroponinLabels = TroponinLabels()
    serial: Literal["all", "one-per-day", "first"] = "one-per-day"
    drop_if_outcome_first: bool = False
    calibration: Literal["platt", "isotonic", "none"] = "platt"
    operating_points: Mapping[str, OperatingRule] = Field(default_factory=dict, description="by head")
    site_operating_points: Mapping[str, Mapping[str, OperatingRule]] = Field(
        default_factory=dict,
        description="by site, then by head: rules of sites that differ from the one above; a site is an ECG's "
        "institution, or the listener or source it came by where the ECG names none",
    )
    gate: GateRules = GateRules()

    def operating_point(self, head: str) -> OperatingRule:
        """The rule of one head; a sensitivity of 90 % where none is given."""
        return self.operating_points.get(head, OperatingRule())

    def operating_points_by_site(self, head: str) -> dict[str, OperatingRule]:
        """The rules of one head at sites that have their own."""
        return {site: own[head] for site, own in self.site_operating_points.items() if head in own}


LONGEST_AGE = 365_000  # days; as good as for ever, and a number that dates can be reckoned with


class Retention(_Part):
    """How long bytes are kept after they have served, by time that passed for certain; for ever where not set.
    Bookkeeping and scores always stay.
    """

    payload_days: int | None = Field(default=None, ge=1, description="raw payloads, from their receipt")
    signal_days: int | None = Field(default=None, ge=1, description="decoded signals, from their receipt")
    message_days: int | None = Field(default=None, ge=1, description="bodies of acknowledged messages")
    attempt_days: int | None = Field(
        default=None, ge=1, description="why attempts failed, of scorings and messages that succeeded in the end"
    )

    @property
    def ages(self) -> dict[str, timedelta]:
        """What is to go, and from which age on."""
        days = {
            "payloads": self.payload_days,
            "signals": self.signal_days,
            "messages": self.message_days,
            "attempts": self.attempt_days,
        }
        return {what: timedelta(days=min(limit, LONGEST_AGE)) for what, limit in days.items() if limit is not None}


class Attention(_Part):
    """From when on waiting needs a person (`status`)."""

    unscored_hours: float = Field(default=24, gt=0, description="an ECG that waits longer for its score")
    unsent_hours: float = Field(default=24, gt=0, description="a result that waits longer for its destination")

    @property
    def unscored(self) -> timedelta:
        return timedelta(hours=self.unscored_hours)

    @property
    def unsent(self) -> timedelta:
        return timedelta(hours=self.unsent_hours)


class Audit(_Part):
    """How the audit trail is made fast against whoever can write the database."""

    key_file: Path | None = Field(
        default=None,
        description="Ed25519 key that signs the trail's heads, where the database's administrator does not reach",
    )
    heads_file: Path = Field(
        default=Path("audit-heads.jsonl"), description="where signed heads are added, line by line"
    )
    export_seconds: float = Field(default=900, ge=10, description="how often what is new is signed")
    syslog: str = Field(
        default="",
        pattern=r"^(|/.+|[^:/\s]+(:\d{1,5})?)$",
        description="HOST:PORT (UDP) or a socket such as /dev/log that gets each line's signature",
    )


class ServiceSettings(_Part):
    """How a running service watches itself."""

    hang_seconds: float = Field(
        default=900,
        ge=60,
        description="a task that makes no progress this long hangs: its work is left to others, and the process ends "
        "to be started anew",
    )


class Settings(BaseSettings):
    """Everything one installation can be told."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="ECGFM_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    form: Literal[1, 2] = Field(
        default=1, description="2: what `init` writes; a listener or destination in clear must be accepted by name"
    )
    site: Site = Site()
    store: Store = Store()
    model: Model = Model()
    scoring: Scoring = Scoring()
    heads: Mapping[str, HeadRules] = Field(default_factory=dict)
    listeners: Listeners = Listeners()
    sources: Sources = Sources()
    destinations: Destinations = Destinations()
    outcomes: OutcomeSettings = OutcomeSettings()
    learning: Learning = Learning()
    retention: Retention = Retention()
    service: ServiceSettings = ServiceSettings()
    audit: Audit = Audit()
    attention: Attention = Attention()
    folder: Path = Field(default=Path(), description="folder of the settings file; set by the reader")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # an environment variable wins over the file

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        # Cursors, outbox rows and audit lines refer to parts by name: two parts of one name would share them.
        self._refuse_twice("listener or source", [*self.listeners.names, *self.sources.names])
        self._refuse_twice("destination", list(self.destination_names))
        return self

    @model_validator(mode="after")
    def _ports_are_unique(self) -> Self:
        opened = [(f"listener {part.name}", part.host, part.port) for part in self.listeners.all if part.port]
        for number, (name, host, port) in enumerate(opened):
            for other, other_host, other_port in opened[number + 1 :]:
                if port == other_port and (host == other_host or {host, other_host} & EVERY_ADDRESS):
                    raise ValueError(f"{name} and {other} both open port {port}; give each a port of its own")
        return self

    @model_validator(mode="after")
    def _cleartext_is_accepted(self) -> Self:
        if self.form >= 2:
            for one in self.exposed():
                if one.binding and not one.accepted:
                    raise ValueError(f'{one.part}, {one.text}; or write cleartext = "accepted" there')
        return self

    @staticmethod
    def _refuse_twice(kind: str, names: list[str]) -> None:
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{kind} name used twice: {', '.join(twice)}")

    def rules(self, head: str) -> HeadRules:
        """The rules of one head; defaults where the file names none."""
        return self.heads.get(head, HeadRules())

    def authority_of(self, source: str) -> str:
        """The assigning authority of patient numbers that name none, for what comes in by this listener or source."""
        return self.sender_of(source).authority or self.site.authority

    def sender_of(self, source: str) -> _Sender:
        """What the settings say of the listener or source of this name; the defaults where they name none such."""
        return next((part for part in (*self.listeners.all, *self.sources.all) if part.name == source), _Sender())

    def allowed_roots_of(self, source: str) -> tuple[Path, ...]:
        """The folders into which reference pointers of this listener's messages may lead."""
        return tuple(
            self.resolve(root) for part in self.listeners.hl7 if part.name == source for root in part.allowed_roots
        )

    def exposed(self) -> Iterator[exposure.Exposed]:
        """Every part that others can read or reach."""
        for port in self.listeners.all:
            yield from exposure.of_port(port)
        for destination in self.destinations.hl7:
            yield from exposure.of_destination(destination)
        for archive in self.sources.dicom:
            yield from exposure.of_archive(archive)
        for web in self.sources.dicomweb:
            yield from exposure.of_web(web)

    def keeps_processed(self, part: WatchedFolder) -> bool:
        """Whether files stay in the folder once the store has them."""
        return part.processed == "keep" or (part.processed == "auto" and self.store.key_file is None)

    def resolve(self, path: Path) -> Path:
        """`path` as meant by the settings file: relative to its folder."""
        return path if path.is_absolute() else (self.folder / path).resolve()

    @property
    def store_url(self) -> str:
        """The database URL with its password, and with a relative SQLite file made absolute. Never log it."""
        return _store_url(self).render_as_string(hide_password=False)

    @property
    def store_folder(self) -> Path:
        """Where an embedded store lies; the settings' own folder where the store is a server."""
        url = make_url(self.store_url)
        embedded = url.get_backend_name() == "sqlite" and url.database
        return Path(url.database).parent if embedded and url.database else self.folder

    @property
    def destination_names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.destinations.all)


def _store_url(settings: Settings) -> URL:
    try:
        url = make_url(settings.store.url)
    except ArgumentError as error:
        raise SettingsError(
            "store.url is not a database URL; write sqlite:///staging.sqlite or postgresql+psycopg://user@host/name"
        ) from error
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        url = url.set(database=str(settings.resolve(Path(url.database))))
    if settings.store.password_file is not None:
        url = url.set(password=read_secret(settings.resolve(settings.store.password_file)))
    return url


def read_secret(path: Path) -> str:
    """The content of a secret file. Raises SettingsError."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"secret file {path} cannot be read: {error.strerror}; create it, readable by this user only"
        ) from error


def read_settings(path: Path) -> Settings:
    """Read and check one settings file.

    Raises SettingsError naming the file, the key and what is expected; never the offending value, which may be a
    secret.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist; `ecgfm-clinical init DIR` writes a commented one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    try:
        return Settings(**{**data, "folder": path.resolve().parent})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: {_plain(problem)}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"{path}: {problems}") from None


def _plain(problem: "ErrorDetails") -> str:
    if problem["type"] not in (
        "extra_forbidden",
        "unexpected_keyword_argument",
    ):  # of a table, of a rule that one embeds
        return problem["msg"]
    return f"unknown key; the keys there are {', '.join(_keys_at(problem['loc'][:-1]))}"


def _keys_at(loc: Sequence[int | str]) -> list[str]:
    """The keys that the settings know at a place, such as `("listeners", "dicom", 0)`; numbers and names of heads say
    which of several parts, and lead no deeper.
    """
    part: type = Settings
    for name in loc:
        if name in (known := _fields_of(part)):
            part = _part_in(known[str(name)]) or part
    return sorted(set(_fields_of(part)) - ({"folder"} if part is Settings else set()))


def _fields_of(part: type) -> dict[str, Any]:
    """Key -> its type, of a settings table or of a rule that one embeds."""
    if issubclass(part, BaseModel):
        return {name: field.annotation for name, field in part.model_fields.items()}
    hints = get_type_hints(part)
    return {field.name: hints[field.name] for field in dataclasses.fields(part)}  # type: ignore[arg-type]  # a dataclass, by `_part_in`


def _part_in(annotation: Any) -> type | None:
    """The table or rule inside `tuple[Model, ...]`, `Mapping[str, Model]` or `Model | None`."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        return annotation
    return next((found for one in get_args(annotation) if (found := _part_in(one)) is not None), None)
