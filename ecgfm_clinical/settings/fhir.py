"""Results as FHIR R4: to a server, or as files."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ecgfm_clinical.settings.exposure import is_loopback
from ecgfm_clinical.settings.part import PROFILE, Part, Reachable, Tls, Wishing
from ecgfm_connectors.fhir.profile import FhirProfile


class _FhirResults(Wishing):
    """How one destination wants its bundles."""

    name: str = Field(description="in status, logs and the audit trail; keep it while results wait", examples=["fhir"])
    profile: FhirProfile = Field(validation_alias=PROFILE)
    max_attempts: int | None = Field(
        default=None,
        ge=1,
        description="a message is set aside after so many failures that are not its fault; never where not set",
        examples=[20],
    )


class FhirOauth(Part):
    """This program as a client of an OAuth 2 authorization server (client credentials; SMART Backend Services)."""

    token_url: str = Field(description="token endpoint; https", examples=["https://login.hospital.example/token"])
    client_id: str = Field(min_length=1, description="of this program there", examples=["ecgfm"])
    scope: str = Field(
        default="",
        description="what is asked for",
        examples=["system/DiagnosticReport.cruds system/Observation.cruds"],
    )
    secret_file: Path | None = Field(
        default=None, description="file with the client's secret", examples=["secrets/fhir-client"]
    )
    key_file: Path | None = Field(
        default=None,
        description="private key (PEM, RSA or EC P-384) that signs what we say of ourselves; goes before secret_file",
        examples=["secrets/fhir-client.pem"],
    )
    key_id: str = Field(default="", description="number of that key in the key set (kid)", examples=["2031-1"])

    @model_validator(mode="after")
    def _can_show_itself(self) -> Self:
        if self.secret_file is None and self.key_file is None:
            raise ValueError("oauth needs a secret_file or a key_file")
        parts = urlsplit(self.token_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError("oauth.token_url must be https: a secret goes there")
        return self


class FhirDestination(_FhirResults, Reachable):
    """A FHIR R4 server that takes results as transactions (needs ecgfm-clinical[fhir])."""

    url: str = Field(
        pattern=r"^https?://", description="base of the server", examples=["https://fhir.hospital.example/r4"]
    )
    timeout_seconds: float = Field(
        default=60, gt=0, description="how long to wait for an answer before the same bytes go again"
    )
    read_back: bool = Field(
        default=True,
        description="false: do not read each report, and under whom it was filed, after the server took it",
    )
    authorization_file: Path | None = Field(
        default=None,
        description="file that holds the whole Authorization header (Basic, Bearer); oauth goes before it",
        examples=["secrets/fhir-authorization"],
    )
    oauth: FhirOauth | None = None
    tls: Tls | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @model_validator(mode="after")
    def _url_holds_no_secret(self) -> Self:
        if urlsplit(self.url).username or urlsplit(self.url).query:
            raise ValueError(f"destination {self.name}: the url holds a user or a query; use authorization_file")
        return self


class FhirFileDestination(_FhirResults):
    """A folder into which results are written as FHIR bundles, one file each."""

    name: str = Field(
        description="in status, logs and the audit trail; keep it while results wait", examples=["fhir-files"]
    )
    path: Path = Field(
        description="a folder of its own; files appear complete, under their control id", examples=["fhir-results"]
    )
    suffix: str = Field(default=".json", pattern=r"^\.[A-Za-z0-9.]+$", description="of each file")
    mode: str = Field(
        default="0640", pattern=r"^0?[0-7]{3}$", description="who may read each file: this user and its group"
    )
