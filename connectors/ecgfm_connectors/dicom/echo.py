"""C-ECHO: ask a DICOM peer whether it accepts associations of this program."""

import ssl

from pynetdicom import AE
from pynetdicom.association import Association

from ecgfm_connectors.dicom import server  # noqa: F401 - quietens pynetdicom's log
from ecgfm_connectors.dicom.sop_classes import VERIFICATION
from ecgfm_connectors.errors import Misconfigured, Unreachable
from ecgfm_connectors.tls import TlsFiles


def echo(*, host: str, port: int, called: str, calling: str, timeout: float = 10.0, tls: TlsFiles | None = None) -> str:
    """A sentence on the peer's answer. Raises Unreachable (no answer, or an abort) and Misconfigured (the peer
    refused).
    """
    entity = AE(ae_title=calling)
    entity.add_requested_context(VERIFICATION)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = timeout
    association = entity.associate(host, port, ae_title=called, tls_args=tls_arguments(tls, host))
    try:
        require_established(association, f"{called} at {host}:{port}")
        status = association.send_c_echo()
    finally:
        if association.is_established:
            association.release()
    if "Status" not in status or status.Status != 0x0000:
        raise Unreachable(f"{called} at {host}:{port} accepted the association but did not answer the C-ECHO")
    return f"{called} at {host}:{port} answered C-ECHO"


def require_established(association: Association, peer: str) -> None:
    """Raises Misconfigured where the peer rejected the association, Unreachable where no association came about."""
    if association.is_established:
        return
    if association.is_rejected:
        primitive = association.acceptor.primitive
        why = f" ({primitive.reason_str})" if primitive is not None else ""
        raise Misconfigured(f"{peer} rejected the association{why}; check both AE titles and its list of known callers")
    raise Unreachable(f"{peer} did not answer an association request; check host, port, firewall and TLS")


def tls_arguments(tls: TlsFiles | None, host: str) -> tuple[ssl.SSLContext, str] | None:
    """What pynetdicom's `associate` takes as `tls_args`."""
    return (tls.client_context(), host) if tls else None
