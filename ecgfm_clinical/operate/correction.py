"""An operator's corrections and withdrawals, each ECG by itself, so that a recall of thousands never holds up
the work.
"""

from collections.abc import Iterable
from datetime import datetime

from ecgfm_clinical import wiring
from ecgfm_clinical.staging.records import Reissue, Told
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.patient import Patient


def withdraw(
    store: Store,
    standing: Iterable[Told],
    *,
    delete: bool = False,
    not_before: datetime | None = None,
    reason: str,
    actor: str,
) -> Reissue:
    """Take back every result of the ECGs that `standing` names. A result that was withdrawn earlier stays as it is.

    What follows is not sent before `not_before`.
    """
    done = [
        store.results.withdraw(
            ecg_id,
            reason=reason,
            delete=delete,
            not_before=not_before,
            now=wiring.utc_now(),
            actor=actor,
        )
        for ecg_id in sorted({one.ecg_id for one in standing})
    ]
    return Reissue(
        created=tuple(message for one in done for message in one.created),
        cancelled=tuple(message for one in done for message in one.cancelled),
    )


def correct(store: Store, ecg_id: int, *, patient: Patient | None, reason: str, actor: str) -> Reissue:
    """Send the current result again, or move it to the patient it really is of. Raises NotFound, StoreError."""
    return store.results.correct(
        ecg_id,
        patient=patient,
        reason=reason,
        now=wiring.utc_now(),
        actor=actor,
    )
