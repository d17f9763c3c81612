"""A simulated ECG cart: a C-STORE SCU that sends DICOM objects exactly as they are given to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pynetdicom import AE

from ecgfm_connectors.dicom.echo import require_established, tls_arguments
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.tls import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the SCP answered to one object."""

    status: int
    comment: str = ""  #: Error Comment (0000,0902)


def send(
    objects: Sequence[bytes],
    *,
    host: str,
    port: int,
    called: str = "ECGFM",
    calling: str = "CART",
    timeout: float = 30.0,
    tls: TlsFiles | None = None,
) -> list[Answer]:
    """C-STORE each Part 10 file of `objects` in one association and return the answers in order.

    Raises Unreachable and Misconfigured as `echo` does, and Unreachable where the association ends before all are sent.
    """
    datasets = [pydicom.dcmread(BytesIO(content), force=True) for content in objects]
    entity = AE(ae_title=calling)
    for sop_class, syntax in {(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in datasets}:
        entity.add_requested_context(sop_class, syntax)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = timeout
    association = entity.associate(host, port, ae_title=called, tls_args=tls_arguments(tls, host))
    require_established(association, f"{called} at {host}:{port}")
    answers = []
    try:
        for dataset in datasets:
            status = association.send_c_store(dataset)
            if "Status" not in status:
                raise Unreachable(f"{called} at {host}:{port} ended the association before answering")
            answers.append(Answer(status=int(status.Status), comment=str(status.get("ErrorComment", ""))))
    finally:
        if association.is_established:
            association.release()
    return answers
