"""The ways by which people are told: mail, webhook, syslog, a program of the site's own."""

import json
import smtplib
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol

from ecgfm_clinical.settings import CommandChannel, EmailChannel, Settings, SyslogChannel, WebhookChannel, read_secret
from ecgfm_clinical.staging.alerts import Alert, NoticeState
from ecgfm_clinical.staging.heads_export import syslog
from ecgfm_connectors.tls import trusting

TIMEOUT = 20.0  #: seconds for one telling
RUNBOOK = "deploy/RUNBOOK.md"  #: which has a section for each condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is told: one alert and what became of it."""

    state: NoticeState
    alert: Alert
    site: str

    @property
    def title(self) -> str:
        subject = f" {self.alert.subject}" if self.alert.subject else ""
        mark = {"opened": self.alert.severity.upper(), "escalated": "STILL", "cleared": "CLEARED"}[self.state]
        return f"[{mark}] {self.alert.condition}{subject} at {self.site}"

    @property
    def fields(self) -> Mapping[str, str]:
        """For templates and programs."""
        return {
            "title": self.title,
            "text": self.alert.text,
            "severity": self.alert.severity,
            "condition": self.alert.condition,
            "subject": self.alert.subject,
            "state": self.state,
            "opened_at": self.alert.opened_at.isoformat(timespec="seconds"),
            "number": str(self.alert.alert_id),
            "site": self.site,
            "runbook": self.runbook,
        }

    @property
    def runbook(self) -> str:
        """The section of the runbook that says what this alert is and what to do."""
        return f"{RUNBOOK}#alert-{self.alert.condition}"

    @property
    def text(self) -> str:
        """For people."""
        since = f"since {self.alert.opened_at:%Y-%m-%d %H:%M} UTC"
        act = f"ecgfm-clinical alerts acknowledge {self.alert.alert_id} --reason WHY"
        return f"{self.alert.text}\n\n{since}. To take it: {act}\nWhat it means, and what to do: {self.runbook}\n"


class Channel(Protocol):
    """One way to tell."""

    def tell(self, word: Word) -> None:
        """Raises OSError, ValueError or smtplib.SMTPException where it was not taken."""


class Email:
    """One message a word."""

    def __init__(self, part: EmailChannel, password: str) -> None:
        self._part = part
        self._password = password

    def tell(self, word: Word) -> None:
        part, message = self._part, EmailMessage()
        message["Subject"], message["From"], message["To"] = word.title, part.sender, ", ".join(part.to)
        message.set_content(word.text)
        trusted = trusting(None)
        if part.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(part.host, part.port, timeout=TIMEOUT, context=trusted)
        else:
            server = smtplib.SMTP(part.host, part.port, timeout=TIMEOUT)
        with server:
            if part.tls == "starttls":
                server.starttls(context=trusted)
            if part.user:
                server.login(part.user, self._password)
            server.send_message(message)


def opener(*, environment_proxy: bool) -> urllib.request.OpenerDirector:
    """What asks by HTTP, itself or by the proxy of the environment."""
    return urllib.request.build_opener(urllib.request.ProxyHandler(None if environment_proxy else {}))


class Webhook:
    """A JSON document by POST; Teams, Slack and PagerDuty take theirs by a template (RUNBOOK)."""

    def __init__(self, url: str, template: str, asks: urllib.request.OpenerDirector) -> None:
        self._url = url
        self._template = template
        self._asks = asks

    def tell(self, word: Word) -> None:
        fields = word.fields
        document = _filled(json.loads(self._template), fields) if self._template else dict(fields)
        request = urllib.request.Request(
            self._url, data=json.dumps(document).encode(), headers={"Content-Type": "application/json"}, method="POST"
        )
        with self._asks.open(request, timeout=TIMEOUT) as answer:
            answer.read(65536)


class Syslog:
    """One line."""

    def __init__(self, address: str) -> None:
        self._send = syslog(address)

    def tell(self, word: Word) -> None:
        self._send(f"ecgfm-clinical alert {word.title}: {word.alert.text}")


class Command:
    """A program of the site's own; the word is JSON on its standard input."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    def tell(self, word: Word) -> None:
        given = json.dumps(dict(word.fields)).encode()
        done = subprocess.run(self._command, input=given, capture_output=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise ValueError(f"the program ended with {done.returncode}")


def build(settings: Settings) -> dict[str, Channel]:
    """Every channel of the settings by name. Raises SettingsError where a secret cannot be read."""
    return {part.name: _build(settings, part) for part in settings.alerts.channels}


def _build(settings: Settings, part: EmailChannel | WebhookChannel | SyslogChannel | CommandChannel) -> Channel:
    match part:
        case EmailChannel():
            secret = part.password_file
            return Email(part, read_secret(settings.resolve(secret)) if secret else "")
        case WebhookChannel():
            url = part.url or read_secret(settings.resolve(part.url_file))  # type: ignore[arg-type]  # one of both
            asks = opener(environment_proxy=settings.alerts.environment_proxy)
            return Webhook(url, part.template, asks)
        case SyslogChannel():
            return Syslog(part.address)
        case CommandChannel():
            return Command(part.command)


def _filled(template: object, fields: Mapping[str, str]) -> object:
    """Every text of a JSON template with its fields filled in: values are put into parsed JSON and cannot break it."""
    if isinstance(template, str):
        for name, value in fields.items():
            template = template.replace(f"{{{name}}}", value)
        return template
    if isinstance(template, dict):
        return {name: _filled(inside, fields) for name, inside in template.items()}
    if isinstance(template, list):
        return [_filled(one, fields) for one in template]
    return template
