"""What of an installation can be read or reached by others: said at start, in `check` and in `check --security`.

A port is exposed where it is neither on loopback nor behind TLS or an allow-list, a peer where patient data go to it in
clear. Settings of the form that `init` writes must name each such part (`cleartext = "accepted"`); older ones go on
working, and the finding is said.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """One part that others can read or reach."""

    part: str  #: `listener dicom`, `destination ehr`, `source pacs`
    text: str  #: what is open and what closes it
    accepted: bool  #: the settings say so on purpose
    binding: bool = True  #: a listener or destination: with settings of today's form it must be accepted


class Named(Protocol):
    """What the settings say of every part."""

    @property
    def name(self) -> str: ...
    @property
    def cleartext(self) -> str: ...


class Peer(Named, Protocol):
    """A part with an address; `tls` is None where it has none."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tls(self) -> object | None: ...


class Port(Peer, Protocol):
    """A port of ours."""

    @property
    def allowed_hosts(self) -> tuple[str, ...]: ...


class Web(Named, Protocol):
    """A peer that is asked by HTTP."""

    @property
    def url(self) -> str: ...


def of_port(part: Port) -> Iterator[Exposed]:
    """Mutual TLS admits only who holds a certificate that we trust."""
    if is_loopback(part.host) or part.tls is not None or part.allowed_hosts:
        return
    text = (
        f"{part.host or 'every address'}:{part.port}: patient data cross the network in clear (tls); any address may "
        "connect (allowed_hosts)"
    )
    yield Exposed(part=f"listener {part.name}", text=text, accepted=part.cleartext == "accepted")


def of_destination(part: Peer) -> Iterator[Exposed]:
    """Results in clear."""
    yield from _of_peer(part, f"destination {part.name}", "results", binding=True)


def of_web_destination(part: Web) -> Iterator[Exposed]:
    """Results in clear, by HTTP."""
    address = urlsplit(part.url)
    host = address.hostname or ""
    if address.scheme.lower() == "http" and not is_loopback(host):
        text = f"{host}: results and credentials cross the network in clear (use https)"
        yield Exposed(part=f"destination {part.name}", text=text, accepted=part.cleartext == "accepted")


def of_archive(part: Peer) -> Iterator[Exposed]:
    """ECGs in clear, from a PACS."""
    yield from _of_peer(part, f"source {part.name}", "ECGs", binding=False)


def _of_peer(part: Peer, name: str, what: str, *, binding: bool) -> Iterator[Exposed]:
    if not is_loopback(part.host) and part.tls is None:
        text = f"{part.host}:{part.port}: {what} cross the network in clear (tls)"
        yield Exposed(part=name, text=text, accepted=part.cleartext == "accepted", binding=binding)


def of_web(part: Web) -> Iterator[Exposed]:
    """ECGs in clear, by HTTP."""
    address = urlsplit(part.url)
    host = address.hostname or ""
    if address.scheme.lower() == "http" and not is_loopback(host):
        text = f"{host}: ECGs cross the network in clear (use https)"
        yield Exposed(part=f"source {part.name}", text=text, accepted=part.cleartext == "accepted", binding=False)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and reached by nobody else."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
