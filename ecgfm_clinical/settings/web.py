"""The operators' console: where it listens, who may sign in, how long they stay signed in."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from ecgfm_clinical.settings.exposure import is_loopback
from ecgfm_clinical.settings.part import Part, Port
from ecgfm_clinical.settings.web_sign_in import WebOidc, WebProxyHeader, WebRoles


class WebTls(Part):
    """TLS of the console, with the keys of a listener's; `trusted` only where browsers shall show a certificate too."""

    certificate: Path = Field(description="ours, PEM", examples=["secrets/web.crt"])
    key: Path = Field(description="its private key, PEM, readable by this user only", examples=["secrets/web.key"])
    trusted: Path | None = Field(
        default=None,
        description="the authority whose certificates browsers must show; none is asked for where this is missing",
        examples=["secrets/ca.crt"],
    )


class Web(Part):
    """The operators' console (`run --role web`, extra `web`); off without this table. It listens on this machine only,
    unless `tls` or `proxies` is set.
    """

    host: str = Field(default="127.0.0.1", description="address to listen on; off this machine with tls or proxies")
    port: Port = Field(default=8480, description="of the console")
    users: Path = Field(
        default=Path("web-users"),
        description="who may sign in, with role and password hash (argon2); `ecgfm-clinical user add` writes it, and "
        "without a user in it, web.header or web.oidc the console does not start",
    )
    tokens: Path = Field(
        default=Path("web-tokens"),
        description="which programs may use /api/v1, with role and digest of their token; `ecgfm-clinical token add` "
        "writes it",
    )
    session_hours: float = Field(default=12, gt=0, le=24 * 7, description="a sign-in ends after so long in any case")
    idle_minutes: float = Field(default=20, gt=0, description="a sign-in ends after so long without a click")
    proxies: tuple[str, ...] = Field(
        default=(),
        description="addresses of reverse proxies that end TLS before the console; with any named here, nobody else "
        "may connect",
        examples=[["192.0.2.30"]],
    )
    cardiologists: tuple[str, ...] = Field(
        default=(),
        description="names of users who may agree or disagree with an answer, as cardiologists; nobody else may",
        examples=[["ada"]],
    )
    language: str = Field(
        default="",
        pattern="^[a-z]{2,3}$|^$",
        description="of the pages, where nobody chose another in their browser; empty: what each browser asks for",
        examples=["de"],
    )
    tls: WebTls | None = None
    roles: WebRoles = WebRoles()
    header: WebProxyHeader | None = None
    oidc: WebOidc | None = None

    @model_validator(mode="after")
    def _strangers_have_roles(self) -> Self:
        if self.header is not None and not self.proxies:
            raise ValueError("header is believed of the addresses in proxies alone: name the reverse proxy there")
        if (self.header is not None or self.oidc is not None) and not self.roles.any_group:
            raise ValueError("roles must name a group: nobody else could sign in by header or oidc")
        return self

    @model_validator(mode="after")
    def _is_kept_to_itself(self) -> Self:
        for proxy in self.proxies:
            try:
                ipaddress.ip_address(proxy)
            except ValueError:
                raise ValueError("proxies must be single addresses, such as 192.0.2.30") from None
        if not (is_loopback(self.host) or self.tls is not None or self.proxies):
            raise ValueError(
                "the console would be reached from other machines in clear; set tls, name the reverse proxy in "
                'proxies, or listen on host = "127.0.0.1"'
            )
        return self

    @property
    def session(self) -> timedelta:
        return timedelta(hours=self.session_hours)

    @property
    def idle(self) -> timedelta:
        return timedelta(minutes=self.idle_minutes)

    @property
    def is_encrypted(self) -> bool:
        """Whether browsers reach it by https: cookies are then marked for https alone."""
        return self.tls is not None or bool(self.proxies)

    @property
    def is_open_to_strangers(self) -> bool:
        """Whether somebody else than the file of users may name who signs in."""
        return self.header is not None or self.oidc is not None
