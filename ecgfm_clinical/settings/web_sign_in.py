"""Who may sign in to the console by another's word: a reverse proxy's header or an OpenID Connect provider, with the
groups that give a role.
"""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ecgfm_clinical.settings.exposure import is_loopback
from ecgfm_clinical.settings.part import Part


class WebRoles(Part):
    """Which groups of a reverse proxy or provider give which role; somebody in several gets the highest, somebody in
    none may not sign in.
    """

    viewer: tuple[str, ...] = Field(default=(), description="groups that may look", examples=[["ecg-viewers"]])
    operator: tuple[str, ...] = Field(
        default=(), description="groups that may also send, read and judge again", examples=[["ecg-operators"]]
    )
    clinical_administrator: tuple[str, ...] = Field(
        default=(),
        description="groups that may also withdraw, and decide whose a recording is",
        examples=[["ecg-administrators"]],
    )

    @property
    def any_group(self) -> bool:
        return bool(self.viewer or self.operator or self.clinical_administrator)


class WebProxyHeader(Part):
    """People whom a reverse proxy named in `web.proxies` has signed in: it must set these headers itself, and drop what
    a browser sends under their names.
    """

    user: str = Field(
        pattern=r"^[A-Za-z0-9-]+$", description="header with the person's name", examples=["X-Forwarded-User"]
    )
    groups: str = Field(
        pattern=r"^[A-Za-z0-9-]+$",
        description="header with their groups, with commas between",
        examples=["X-Forwarded-Groups"],
    )


class WebOidc(Part):
    """People whom an OpenID Connect provider signs in (code flow with PKCE; extra `oidc`)."""

    issuer: str = Field(
        description="of the provider, as its metadata name it; https", examples=["https://login.hospital.example/ecg"]
    )
    console: str = Field(
        description="where browsers find this console; the provider must know CONSOLE/sign-in/oidc/back",
        examples=["https://ecg.hospital.example"],
    )
    client_id: str = Field(min_length=1, description="of this console at the provider", examples=["ecgfm"])
    secret_file: Path = Field(description="file that holds the client's secret", examples=["secrets/oidc-client"])
    scopes: tuple[str, ...] = Field(default=("openid", "profile"), description="what is asked of the provider")
    name_claim: str = Field(
        default="preferred_username",
        description="claim of the ID token with the person's name, one that nobody else has",
    )
    groups_claim: str = Field(
        default="groups", description="claim with their groups; dots lead inwards, as in realm_access.roles"
    )
    trusted: Path | None = Field(
        default=None,
        description="the authority of the provider's certificate; those of this machine where this is missing",
        examples=["secrets/ca.crt"],
    )

    @field_validator("issuer", "console")
    @classmethod
    def _is_encrypted(cls, value: str) -> str:
        parts = urlsplit(value)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
        ):
            raise ValueError("must be an https address; http is for this machine alone")
        if parts.query or parts.fragment:
            raise ValueError("must end before any ? or #")
        return value

    @model_validator(mode="after")
    def _asks_for_openid(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        return self
