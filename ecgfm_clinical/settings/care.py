"""How long things are kept, when waiting needs a person, how the audit trail is signed."""

from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ecgfm_clinical.settings.exposure import is_loopback
from ecgfm_clinical.settings.part import Part, Port, Tls

LONGEST_AGE = 365_000  # days; as good as for ever, and a number that dates can be reckoned with


class Retention(Part):
    """How long bytes are kept after they have served, by time that passed for certain; for ever where not set.
    Bookkeeping and scores always stay.
    """

    payload_days: int | None = Field(
        default=None, ge=1, description="raw payloads as received; an ECG cannot be replayed without", examples=[90]
    )
    signal_days: int | None = Field(
        default=None, ge=1, description="decoded signals; a head cannot be trained on them afterwards", examples=[90]
    )
    message_days: int | None = Field(default=None, ge=1, description="bodies of acknowledged messages", examples=[365])
    attempt_days: int | None = Field(
        default=None,
        ge=1,
        description="why attempts failed, of scorings and messages that succeeded in the end",
        examples=[365],
    )

    document_days: int | None = Field(
        default=None,
        ge=1,
        description="reports and pages of other systems whose ECG has not come",
        examples=[90],
    )

    order_days: int | None = Field(
        default=None,
        ge=1,
        description="orders since their newest word; a result that comes later answers none",
        examples=[90],
    )

    @property
    def ages(self) -> dict[str, timedelta]:
        """What is to go, and from which age on."""
        days = {
            "payloads": self.payload_days,
            "signals": self.signal_days,
            "messages": self.message_days,
            "attempts": self.attempt_days,
            "documents": self.document_days,
            "orders": self.order_days,
        }
        return {what: timedelta(days=min(limit, LONGEST_AGE)) for what, limit in days.items() if limit is not None}


class Attention(Part):
    """From when on waiting needs a person (`status`)."""

    unscored_hours: float = Field(default=24, gt=0, description="an ECG that waits longer for its score")
    unsent_hours: float = Field(default=24, gt=0, description="a result that waits longer for its destination")
    outage_minutes: float = Field(default=60, gt=0, description="a destination that cannot be reached for longer")
    learning_hours: float = Field(
        default=2, gt=0, description="a `retrain` or `evaluate` that makes no progress for longer"
    )

    @property
    def unscored(self) -> timedelta:
        return timedelta(hours=self.unscored_hours)

    @property
    def unsent(self) -> timedelta:
        return timedelta(hours=self.unsent_hours)

    @property
    def outage(self) -> timedelta:
        return timedelta(minutes=self.outage_minutes)

    @property
    def learning(self) -> timedelta:
        return timedelta(hours=self.learning_hours)


class AuditMessages(Part):
    """DICOM audit messages (PS3.15 A.5) for an audit repository, by syslog over TLS (RFC 5425); off without this table.

    Three lines turn them on: the table's name, `host` and `tls`.
    """

    host: str = Field(description="of the audit repository", examples=["audit.example"])
    port: Port = Field(default=6514, description="the registered one")
    tls: Tls


class Audit(Part):
    """How the audit trail is made fast against whoever can write the database."""

    key_file: Path | None = Field(
        default=None,
        description="Ed25519 key; `init` and `audit --new-key` make it; keep it, and the file below, where "
        "whoever administers the database does not reach",
        examples=["audit-key"],
    )
    heads_file: Path = Field(default=Path("audit-heads.jsonl"), description="signed lines are added here")
    export_seconds: float = Field(default=900, ge=10, description="how often what is new is signed")
    syslog: str = Field(
        default="",
        pattern=r"^(|/.+|[^:/\s]+(:\d{1,5})?)$",
        description="gets each line's signature too: HOST:PORT (UDP), or a socket such as /dev/log",
        examples=["loghost:514"],
    )
    messages: AuditMessages | None = None


class ServiceSettings(Part):
    """How a running service watches itself."""

    hang_seconds: float = Field(
        default=900,
        ge=60,
        description="a task without progress this long hangs: it is said, its work is left to others, the process "
        "ends (systemd, Docker start it anew)",
    )
    stop_seconds: float = Field(
        default=90,
        ge=1,
        description="after SIGTERM what is under way may take so long, the rest is left as a kill would leave it; "
        "systemd's TimeoutStopSec and Docker's grace must be longer",
    )


class Otlp(Part):
    """A collector to which the metrics are pushed by OTLP over HTTP (needs ecgfm-clinical[otlp])."""

    url: str = Field(
        pattern=r"^https?://[^\s@]+$",
        description="where it takes metrics, with the path; no patient is named there",
        examples=["https://collector.example:4318/v1/metrics"],
    )
    every_seconds: float = Field(default=60, ge=1, description="how often")
    headers_file: Path | None = Field(
        default=None,
        description="file with HTTP headers, one NAME: VALUE a line, such as Authorization",
        examples=["secrets/otlp-headers"],
    )
    trusted: Path | None = Field(
        default=None,
        description="authority of the collector's certificate, PEM; those of this machine where not set",
        examples=["secrets/ca.crt"],
    )

    @model_validator(mode="after")
    def _keeps_its_secret(self) -> Self:
        parts = urlsplit(self.url)
        if self.headers_file is not None and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise ValueError("monitoring.otlp.url must be https: the headers of headers_file go there")
        return self


class Monitoring(Part):
    """The port where a running process answers `/metrics`, `/healthz` and `/readyz`; no patient is ever named there."""

    host: str = Field(
        default="127.0.0.1", description="address to listen on; numbers and names of parts, never a patient"
    )
    port: Port | None = Field(
        default=None,
        description="/metrics, /healthz, /readyz; processes on one host need one each (ECGFM_MONITORING__PORT)",
        examples=[9464],
    )
    otlp: Otlp | None = None

    @property
    def is_watched(self) -> bool:
        """Whether anybody is told the metrics."""
        return self.port is not None or self.otlp is not None
