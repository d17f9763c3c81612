"""All settings of one installation, read once from one TOML file into one frozen object and checked there.

The file is named by `--settings` or `ECGFM_SETTINGS`. Environment variables override single values
(`ECGFM_STORE__URL`, `ECGFM_SCORING__BATCH_SIZE`). Secrets lie in files of their own that the settings name.
Relative paths are relative to the settings file.

This is the room's face: what other rooms take from it.
"""

from ecgfm_clinical.settings.alerts import Alerts, CommandChannel, EmailChannel, SyslogChannel, WebhookChannel
from ecgfm_clinical.settings.care import Attention, Audit, AuditMessages, Retention, ServiceSettings
from ecgfm_clinical.settings.destinations import AnyDestination, FileDestination, Hl7Destination
from ecgfm_clinical.settings.fhir import FhirDestination, FhirFileDestination
from ecgfm_clinical.settings.installation import Settings
from ecgfm_clinical.settings.learning import HeadLabels, Learning, RivalRules, TroponinLabels
from ecgfm_clinical.settings.listeners import DicomListener, Hl7Listener
from ecgfm_clinical.settings.outcomes import OutcomeSettings
from ecgfm_clinical.settings.pacs import DicomDestination, StowDestination
from ecgfm_clinical.settings.part import Tls
from ecgfm_clinical.settings.reading import read_settings
from ecgfm_clinical.settings.scoring import HEADS, HeadRules, Model, Scoring
from ecgfm_clinical.settings.secret import read_headers, read_secret
from ecgfm_clinical.settings.site import Store
from ecgfm_clinical.settings.sources import DicomSource, DicomWebSource, SftpSource, WatchedFolder
from ecgfm_clinical.settings.web import Web, WebTls
from ecgfm_clinical.settings.web_sign_in import WebOidc, WebProxyHeader, WebRoles

__all__ = [
    "HEADS",
    "Alerts",
    "AnyDestination",
    "Attention",
    "Audit",
    "AuditMessages",
    "CommandChannel",
    "DicomDestination",
    "DicomListener",
    "DicomSource",
    "DicomWebSource",
    "EmailChannel",
    "FhirDestination",
    "FhirFileDestination",
    "FileDestination",
    "HeadLabels",
    "HeadRules",
    "Hl7Destination",
    "Hl7Listener",
    "Learning",
    "Model",
    "OutcomeSettings",
    "Retention",
    "RivalRules",
    "Scoring",
    "ServiceSettings",
    "Settings",
    "SftpSource",
    "Store",
    "StowDestination",
    "SyslogChannel",
    "Tls",
    "TroponinLabels",
    "WatchedFolder",
    "Web",
    "WebOidc",
    "WebProxyHeader",
    "WebRoles",
    "WebTls",
    "WebhookChannel",
    "read_headers",
    "read_secret",
    "read_settings",
]
