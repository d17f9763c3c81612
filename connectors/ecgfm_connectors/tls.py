"""Mutual TLS for DICOM (PS3.15 B.12, BCP 195) and MLLP: TLS 1.2 at least, both sides show a certificate."""

import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ecgfm_connectors.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files of one port or peer."""

    certificate: Path
    key: Path
    #: CA that the other side's certificate must chain to; None for a port whose callers, browsers, show none
    trusted: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.certificate, self.key, *([self.trusted] if self.trusted else []))

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """Changes with the files; empty where one is missing."""
        try:
            found = [path.stat() for path in self.paths]
        except OSError:
            return ()
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)

    def server_context(self) -> ssl.SSLContext:
        """For a listening port: a caller without a certificate from `trusted` is refused. Raises Misconfigured."""
        return self._context(ssl.Purpose.CLIENT_AUTH)

    def client_context(self) -> ssl.SSLContext:
        """For calling a peer: its certificate must chain to `trusted` and name its host. Raises Misconfigured."""
        return self._context(ssl.Purpose.SERVER_AUTH)

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(purpose, cafile=str(self.trusted) if self.trusted else None)
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            names = ", ".join(map(str, self.paths))
            raise Misconfigured(f"TLS files {names} cannot be used: {error}; all must be PEM") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.trusted:
            context.verify_mode = ssl.CERT_REQUIRED
        return _as_private_authorities_are(context)


def trusting(authority: Path | str | None) -> ssl.SSLContext:
    """For calling a server that asks for no certificate: its own must chain to one in this PEM file, to one of the
    system's if None, and name its host. Raises OSError, also as ssl.SSLError.
    """
    return _as_private_authorities_are(ssl.create_default_context(cafile=authority))


def _as_private_authorities_are(context: ssl.SSLContext) -> ssl.SSLContext:
    """From Python 3.13 on certificates without a key usage or key identifiers (RFC 5280 §4.2.1) would be refused; those
    of many private CAs have none.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class ServerTls:
    """What a listening port shows its callers: files that were renewed count from the next connection on."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises Misconfigured."""
        self._files = files
        self._read = files.state()
        self._context = files.server_context()

    def current(self) -> ssl.SSLContext:
        """For one connection; from any thread. Files that cannot be used yet, half renewed say, change nothing."""
        now = self._files.state()
        if now != self._read:
            with suppress(Misconfigured):
                self._context = self._files.server_context()
                self._read = now
        return self._context

    def following(self) -> ssl.SSLContext:
        """For a server that is given one context for all its connections: each of them gets the current one."""
        first = self._files.server_context()

        def follow(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
            connection.context = self.current()

        first.sni_callback = follow  # called for callers that name no host too
        return first
