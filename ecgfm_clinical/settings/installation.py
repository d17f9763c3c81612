"""Everything one installation can be told, in one frozen object."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.settings import exposure
from ecgfm_clinical.settings.alerts import Alerts
from ecgfm_clinical.settings.care import Attention, Audit, Monitoring, Retention, ServiceSettings
from ecgfm_clinical.settings.destinations import Destinations
from ecgfm_clinical.settings.learning import Learning
from ecgfm_clinical.settings.listeners import Listeners
from ecgfm_clinical.settings.orders import Orders
from ecgfm_clinical.settings.outcomes import OutcomeSettings
from ecgfm_clinical.settings.part import Sender
from ecgfm_clinical.settings.scoring import HeadRules, Model, Scoring
from ecgfm_clinical.settings.secret import read_secret
from ecgfm_clinical.settings.site import Site, Store
from ecgfm_clinical.settings.sources import SftpSource, Sources, WatchedFolder
from ecgfm_clinical.settings.web import Web
from ecgfm_connectors.decision import DEATH

#: Hosts that stand for every address of this machine.
EVERY_ADDRESS = frozenset({"0.0.0.0", "::", ""})


class Settings(BaseSettings):
    """Everything one installation can be told."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="ECGFM_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    form: Literal[1, 2] = Field(
        default=1,
        description="of this file; with 2, a listener or destination off this machine without TLS or an "
        "allow-list must be accepted by name",
        examples=[2],
    )
    site: Site = Site()
    store: Store = Store()
    model: Model = Model()
    scoring: Scoring = Scoring()
    heads: Mapping[str, HeadRules] = Field(default_factory=dict, examples=[{"reduced_lvef": {}}])
    listeners: Listeners = Listeners()
    sources: Sources = Sources()
    destinations: Destinations = Destinations()
    orders: Orders = Orders()
    outcomes: OutcomeSettings = OutcomeSettings()
    learning: Learning = Learning()
    retention: Retention = Retention()
    service: ServiceSettings = ServiceSettings()
    audit: Audit = Audit()
    attention: Attention = Attention()
    monitoring: Monitoring = Monitoring()
    alerts: Alerts = Alerts()
    web: Web | None = None
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
        if "backfill" in (*self.listeners.names, *self.sources.names):
            raise ValueError("no listener or source may be called backfill: `backfill run --to-store` has that name")
        self._refuse_twice("destination", list(self.destination_names))
        return self

    @model_validator(mode="after")
    def _ports_are_unique(self) -> Self:
        opened = [(f"listener {part.name}", part.host, part.port) for part in self.listeners.all if part.port]
        if self.monitoring.port:
            opened.append(("monitoring", self.monitoring.host, self.monitoring.port))
        if self.web is not None and self.web.port:
            opened.append(("web", self.web.host, self.web.port))
        for number, (name, host, port) in enumerate(opened):
            for other, other_host, other_port in opened[number + 1 :]:
                if port == other_port and (host == other_host or {host, other_host} & EVERY_ADDRESS):
                    raise ValueError(f"{name} and {other} both open port {port}; give each a port of its own")
        return self

    @model_validator(mode="after")
    def _heads_learn_from_kinds(self) -> Self:
        findings = [one.name for one in self.outcomes.findings]
        known = ("lvef", *(one.name for one in self.outcomes.kinds), *findings, DEATH)
        self._refuse_twice("learning.heads", [one.name for one in self.learning.heads])
        for one in self.learning.heads:
            if one.kind not in known:
                raise ValueError(f"learning.heads {one.name}: kind {one.kind} is none of {', '.join(known)}")
            if (one.kind == DEATH) != (one.days > 0):
                raise ValueError(f"learning.heads {one.name}: days belongs to a head of kind death, which needs it")
            if one.kind == DEATH and not self.outcomes.deaths:
                raise ValueError(f"learning.heads {one.name}: set outcomes.deaths = true, or no death is ever kept")
            if one.kind in (*findings, DEATH) and (one.threshold is not None or one.positive != "above"):
                raise ValueError(
                    f"learning.heads {one.name}: {one.kind} is there or not; leave out threshold and positive"
                )
            if one.kind not in (*findings, DEATH) and one.threshold is None:
                raise ValueError(f"learning.heads {one.name}: give the threshold, in the unit of {one.kind}")
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

    def sender_of(self, source: str) -> Sender:
        """What the settings say of the listener or source of this name; the defaults where they name none such."""
        return next((part for part in (*self.listeners.all, *self.sources.all) if part.name == source), Sender())

    def allowed_roots_of(self, source: str) -> tuple[Path, ...]:
        """The folders into which reference pointers of this listener's messages may lead."""
        return tuple(
            self.resolve(root) for part in self.listeners.hl7 if part.name == source for root in part.allowed_roots
        )

    def takes_reports(self, source: str) -> bool:
        """Whether reports about ECGs in messages of this listener are kept as documents."""
        return any(part.documents for part in self.listeners.hl7 if part.name == source)

    def exposed(self) -> Iterator[exposure.Exposed]:
        """Every part that others can read or reach."""
        for port in self.listeners.all:
            yield from exposure.of_port(port)
        for destination in self.destinations.hl7:
            yield from exposure.of_destination(destination)
        for server in self.destinations.fhir:
            yield from exposure.of_web_destination(server)
        for stow in self.destinations.stow:
            yield from exposure.of_web_destination(stow)
        for pacs in self.destinations.dicom:
            yield from exposure.of_destination(pacs)
        for archive in self.sources.dicom:
            yield from exposure.of_archive(archive)
        for web in self.sources.dicomweb:
            yield from exposure.of_web(web)

    def certificates(self) -> dict[str, Path]:
        """The certificate that each part with TLS shows, by the part's kind and name."""
        parts = [
            *(("listener", one) for one in self.listeners.all),
            *(("source", one) for one in (*self.sources.dicom, *self.sources.dicomweb)),
            *(("destination", one) for one in self.destinations.peers),
        ]
        shown = {f"{kind} {one.name}": one.tls for kind, one in parts if one.tls is not None}
        if self.audit.messages is not None:
            shown["audit messages"] = self.audit.messages.tls
        found = {part: self.resolve(tls.certificate) for part, tls in shown.items()}
        if self.web is not None and self.web.tls is not None:
            found["web"] = self.resolve(self.web.tls.certificate)
        return found

    def keeps_processed(self, part: WatchedFolder | SftpSource) -> bool:
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
