"""A port for C-STORE that keeps nothing, of which a test looks at what its callers meet."""

from datetime import UTC, datetime
from typing import Any

from ecgfm_connectors.base import Disposition, Handler, Received, Verdict
from ecgfm_connectors.dicom.storage import StorageScp


def taken(_: Received) -> Verdict:
    """Says of everything that it is kept."""
    return Verdict(disposition=Disposition.STAGED)


def dicom_port(handler: Handler = taken, **options: Any) -> StorageScp:
    """Not yet bound; on a free port of loopback. `options`: as `StorageScp` has them."""
    named: dict[str, Any] = {"name": "dicom", "ae_title": "ECGFM", "host": "127.0.0.1", "port": 0} | options
    return StorageScp(**named, handler=handler, clock=lambda: datetime.now(UTC))
