"""When the site is told of what is wrong, and by which ways."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ecgfm_clinical.settings.part import Part, Port

Severity = Literal["info", "warning", "critical"]

ChannelName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
_NAMED = "names are the channels' own: `ecgfm-clinical alerts test NAME`"


class _Channel(Part):
    """One way to tell people."""

    at_least: Severity = Field(default="info", description="tells of nothing less severe: info, warning or critical")
    escalation: bool = Field(default=False, description="true: told only what nobody took in escalate_minutes")


class EmailChannel(_Channel):
    """By SMTP."""

    name: ChannelName = Field(description=_NAMED, examples=["operators"])
    host: str = Field(description="SMTP server", examples=["mail.example.org"])
    port: Port = Field(default=587, description="587 with starttls, 465 with tls, 25 with none")
    tls: Literal["starttls", "tls", "none"] = Field(default="starttls", description="starttls, tls or none")
    user: str = Field(default="", description="no sign-in where not set", examples=["ecgfm"])
    password_file: Path | None = Field(
        default=None, description="file that holds the password", examples=["secrets/mail"]
    )
    sender: str = Field(pattern=r"^[^\s@]+@[^\s@]+$", description="From", examples=["ecgfm@example.org"])
    to: tuple[Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")], ...] = Field(
        min_length=1, description="everyone who is told", examples=[["on-call@example.org"]]
    )


class WebhookChannel(_Channel):
    """By HTTP POST of a JSON document; give either url or url_file."""

    name: ChannelName = Field(description=_NAMED, examples=["chat"])
    url: str = Field(
        default="",
        pattern=r"^(|https?://\S+)$",
        description="where to post; url_file where it is a secret",
    )
    url_file: Path | None = Field(
        default=None, description="file that holds the URL, where it is a secret", examples=["secrets/webhook"]
    )
    template: str = Field(
        default="",
        description="JSON with {title}, {text}, {severity}, {condition}, {subject}, {state}, {runbook}; all if empty",
    )

    @model_validator(mode="after")
    def _names_one_url(self) -> Self:
        if bool(self.url) == (self.url_file is not None):
            raise ValueError("give either url or url_file")
        return self


class SyslogChannel(_Channel):
    """By syslog (RFC 5426)."""

    name: ChannelName = Field(description=_NAMED, examples=["syslog"])
    address: str = Field(
        pattern=r"^(/.+|[^:/\s]+(:\d{1,5})?)$", description="HOST:PORT (UDP) or a socket", examples=["/dev/log"]
    )


class CommandChannel(_Channel):
    """By a program, which finds the alert as JSON on its standard input."""

    name: ChannelName = Field(description=_NAMED, examples=["pager"])
    command: tuple[str, ...] = Field(
        min_length=1, description="finds the alert as JSON on its standard input", examples=[["/usr/local/bin/page"]]
    )


class Alerts(Part):
    """What is told to a site that no monitor watches. Nothing is told while no channel is named."""

    every_seconds: float = Field(default=60, ge=5, description="how often the conditions are looked at")
    clear_minutes: float = Field(default=5, ge=0, description="an alert clears once its condition was away so long")
    escalate_minutes: float = Field(default=60, gt=0, description="told to escalation channels after so long")
    silent_hours: float | None = Field(
        default=None,
        gt=0,
        description="a source without a payload for so long is silent; by its own learnt working hours where not set",
        examples=[12],
    )
    silent_hours_of: dict[str, float] = Field(
        default_factory=dict, description="the same for single sources: name -> hours", examples=[{"pacs": 4}]
    )
    unscored_minutes: float = Field(default=30, gt=0, description="an ECG that waits longer for its score")
    unsent_minutes: float = Field(default=60, gt=0, description="a result that waits longer for its destination")
    free_mb: int = Field(default=2000, ge=0, description="less free room on the store's volume")
    full_days: float = Field(default=14, gt=0, description="at the growth of a week, the store's room lasts less long")
    store_gb: float | None = Field(
        default=None,
        gt=0,
        description="room of a store on a database server, whose volume cannot be seen from here, for full_days",
        examples=[500],
    )
    certificate_days: float = Field(default=14, ge=0, description="a certificate that ends sooner")
    ping_url_file: Path | None = Field(
        default=None,
        description="file with a URL that is asked at each look: where the asking ends, we are dead",
        examples=["ping-url"],
    )
    environment_proxy: bool = Field(
        default=False,
        description="true: webhooks and the ping go by the proxy that HTTPS_PROXY names; nothing else does",
    )
    email: tuple[EmailChannel, ...] = ()
    webhook: tuple[WebhookChannel, ...] = ()
    syslog: tuple[SyslogChannel, ...] = ()
    command: tuple[CommandChannel, ...] = ()

    @property
    def channels(self) -> "tuple[EmailChannel | WebhookChannel | SyslogChannel | CommandChannel, ...]":
        return (*self.email, *self.webhook, *self.syslog, *self.command)

    @property
    def clear_after(self) -> timedelta:
        return timedelta(minutes=self.clear_minutes)

    @property
    def escalate_after(self) -> timedelta:
        return timedelta(minutes=self.escalate_minutes)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [one.name for one in self.channels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"alert channel name used twice: {', '.join(twice)}")
        return self
