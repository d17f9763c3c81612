"""The tables of the staging store, the same on SQLite and PostgreSQL.

How they hang together: one `payload` (bytes as received, unique by SHA-256) gave any number of `ecg` rows; each has one
`signal`, one `score_job` and, once scored, `scoring` and `score` rows; each scoring leaves one `message` per
destination. Bytes live in tables of their own (`payload_content`, `signal`, `message_body`), so retention can remove
them without touching the bookkeeping, and so that no scan of the bookkeeping ever walks over a waveform.

What must stay quick with years of history (claiming, reaping, backlog figures) reads partial indexes that hold only
what is unfinished; totals come from `tally`, kept current inside the same transactions.

Columns named `private` hold JSON with everything that can identify a person; with `key_id` set they are encrypted.
Lookups by identity or by the sender's number go through keyed digests (`patient_key`, `source_key`), never the value.
"""

from ecgfm_clinical.staging.schema.alerts import alert, notice
from ecgfm_clinical.staging.schema.columns import Id, Key, UtcDateTime, metadata
from ecgfm_clinical.staging.schema.documents import document, document_reference
from ecgfm_clinical.staging.schema.ecgs import (
    early_withdrawal,
    ecg,
    ecg_identity,
    ecg_number,
    hold,
    recording_event,
    signal,
)
from ecgfm_clinical.staging.schema.identities import identity_alias, identity_event, identity_link, patient
from ecgfm_clinical.staging.schema.messages import (
    attempt_error,
    destination_state,
    message,
    message_body,
    second_thought,
)
from ecgfm_clinical.staging.schema.models import (
    drift_report,
    model,
    model_evaluation,
    model_event,
    shadow_score,
    shadow_scoring,
)
from ecgfm_clinical.staging.schema.opinions import opinion
from ecgfm_clinical.staging.schema.orders import order_answer, placed_order, placed_order_number
from ecgfm_clinical.staging.schema.outcomes import left_out, objection, outcome
from ecgfm_clinical.staging.schema.pauses import pause, withheld
from ecgfm_clinical.staging.schema.payloads import payload, payload_content, received_message
from ecgfm_clinical.staging.schema.presets import preset
from ecgfm_clinical.staging.schema.running import (
    audit,
    audit_spool,
    clock_gap,
    clock_seen,
    process,
    pull_cursor,
    role_lease,
    store_meta,
    store_size,
    tally,
)
from ecgfm_clinical.staging.schema.saliency import saliency
from ecgfm_clinical.staging.schema.scores import score, score_job, scoring

__all__ = [
    "Id",
    "Key",
    "UtcDateTime",
    "alert",
    "attempt_error",
    "audit",
    "audit_spool",
    "clock_gap",
    "clock_seen",
    "destination_state",
    "document",
    "document_reference",
    "drift_report",
    "early_withdrawal",
    "ecg",
    "ecg_identity",
    "ecg_number",
    "hold",
    "identity_alias",
    "identity_event",
    "identity_link",
    "left_out",
    "message",
    "message_body",
    "metadata",
    "model",
    "model_evaluation",
    "model_event",
    "notice",
    "objection",
    "opinion",
    "order_answer",
    "outcome",
    "patient",
    "pause",
    "payload",
    "payload_content",
    "placed_order",
    "placed_order_number",
    "preset",
    "process",
    "pull_cursor",
    "received_message",
    "recording_event",
    "role_lease",
    "saliency",
    "score",
    "score_job",
    "scoring",
    "second_thought",
    "shadow_score",
    "shadow_scoring",
    "signal",
    "store_meta",
    "store_size",
    "tally",
    "withheld",
]
