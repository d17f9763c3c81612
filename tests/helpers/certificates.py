"""Throw-away TLS certificates for loopback, made with the `openssl` program: a CA, and good, foreign and expired
certificates.
"""

import subprocess
from pathlib import Path

from ecgfm_connectors.tls import TlsFiles

OPENSSL = "openssl"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class CertificateAuthority:
    """A CA of its own in `folder`, which issues certificates for localhost and 127.0.0.1."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        subject = ("-subj", f"/CN={name}.test", "-days", "2")
        _openssl("req", "-x509", *_KEY, "-keyout", self._path("key"), "-out", self._path("crt"), *subject)

    def issue(self, name: str, *, days: int = 2) -> TlsFiles:
        """Certificate and key of one party, which itself trusts this CA; a negative number of days has expired."""
        stem = self._folder / f"{self._name}-{name}"
        key, request, certificate = (stem.with_suffix(ending) for ending in (".key", ".csr", ".crt"))
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        _openssl("req", *_KEY, "-keyout", key, "-out", request, *names)
        authority = ("-CA", self._path("crt"), "-CAkey", self._path("key"), "-CAcreateserial")
        extensions = ("-copy_extensions", "copy", "-days", str(days))
        _openssl("x509", "-req", "-in", request, "-out", certificate, *authority, *extensions)
        return TlsFiles(certificate=certificate, key=key, trusted=self._path("crt"))

    def _path(self, ending: str) -> Path:
        return self._folder / f"{self._name}.{ending}"


def _openssl(*arguments: str | Path) -> None:
    subprocess.run([OPENSSL, *map(str, arguments)], check=True, capture_output=True, timeout=60)
