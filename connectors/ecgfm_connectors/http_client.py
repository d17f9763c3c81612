"""Clients for a hospital's own web servers: they call the server itself, whatever the environment says.

`HTTP_PROXY` of a shell or of a container would lead patients' data by way of a machine that no settings name, and
`~/.netrc` would show credentials that nobody gave us. Certificate authorities of the environment (`SSL_CERT_FILE`)
count: they change who is believed, not who is called.

Needs the package `httpx`.
"""

import ssl
from collections.abc import Mapping

import httpx

from ecgfm_connectors.tls import TlsFiles


def direct_client(
    *,
    tls: TlsFiles | None,
    timeout: httpx.Timeout | float,
    headers: Mapping[str, str] | None = None,
    limits: httpx.Limits | None = None,
) -> httpx.Client:
    """A client that takes no proxy and no password from the environment and follows no redirect. `timeout`: seconds of
    each read. Raises Misconfigured where the TLS files cannot be used.
    """
    verify: ssl.SSLContext = tls.client_context() if tls else httpx.create_ssl_context()
    return httpx.Client(
        headers=headers,
        verify=verify,
        timeout=timeout,
        limits=limits or httpx.Limits(),
        follow_redirects=False,
        trust_env=False,
    )
