"""Who may use the console, and what for, is told in the audit trail: the files themselves say nothing of the past."""

import sys
from typing import TYPE_CHECKING

from ecgfm_clinical.errors import ClinicalError
from ecgfm_connectors.errors import ConnectorError

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings


def note(settings: "Settings", action: str, **detail: str) -> None:
    """After the act. Where there is no store yet, or it does not answer, the act stands, and standard error says so."""
    from ecgfm_clinical import liveness, wiring

    try:
        store = wiring.open_store(settings)
    except (ClinicalError, ConnectorError) as error:
        sys.stderr.write(f"This is not in the audit trail: {error}\n")
        return
    try:
        actor = liveness.operator(settings.site.operator)
        store.audit_spool.note(action, now=wiring.utc_now(), actor=actor, detail=detail)
    finally:
        store.close()
