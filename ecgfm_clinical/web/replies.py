"""What `/api/v1` answers, page by page: the names of the fields are the keys of the JSON and of its schema.

Nothing here identifies a patient until a record is opened; then who it is stands where it says `***` before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.beat_weights import BeatWeight
    from ecgfm_clinical.ecg.evaluability import Reason
    from ecgfm_clinical.ecg.reckoning import Reckoned
    from ecgfm_clinical.ecg.remarks import Remark
    from ecgfm_clinical.operate.answers import Answer, Silent
    from ecgfm_clinical.operate.changes import Change
    from ecgfm_clinical.operate.check import CheckLine
    from ecgfm_clinical.operate.decisions import ShownQuestion
    from ecgfm_clinical.operate.differences import Difference
    from ecgfm_clinical.operate.outcome_rows import ShownLeftOut, ShownOutcome
    from ecgfm_clinical.operate.search import FoundEcg
    from ecgfm_clinical.operate.status import Status
    from ecgfm_clinical.operate.story import ShownEcg
    from ecgfm_clinical.staging.alerts import Alert
    from ecgfm_clinical.staging.failed_ecgs import FailedEcg
    from ecgfm_clinical.staging.kept import KeptPayload
    from ecgfm_clinical.staging.model_records import DriftRow, KeptVerdict, ModelEvent, ModelRow
    from ecgfm_clinical.staging.pauses import Pause
    from ecgfm_clinical.staging.received_messages import HeardMessage
    from ecgfm_clinical.staging.records import AuditEvent, DeadLetter, Told
    from ecgfm_clinical.staging.saliencies import KeptSaliency
    from ecgfm_clinical.web.lines import ModelLine, PartLine, Shadow, SourceLine
    from ecgfm_connectors.ecg import Device, Filters, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What was asked cannot be done, and why."""

    error: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an act came to."""

    title: str
    lines: Sequence[str]
    undo: str | None  #: send it to `/undo` as `undo` to take the act back; None where nothing can be taken back
    undo_seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """How things stand."""

    status: "Status"
    sources: "Sequence[SourceLine]"
    alerts: "Sequence[Alert]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecgs:
    """A page of ECGs."""

    ecgs: "Sequence[FoundEcg]"
    next: str | None  #: address of the page after this one
    heard: "Sequence[HeardMessage]"  #: messages that came in under the number that was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class OneEcg:
    """An ECG and its whole story."""

    ecg: "ShownEcg"
    is_open: bool  #: who it belongs to is shown, and that somebody looked is in the audit trail
    others: "Sequence[FoundEcg]"  #: of the same person, once it is open


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgPreview:
    """What an act on an ECG would be done to."""

    ecg_id: int
    standing: "Sequence[Told]"
    seen: int  #: goes with the act: who acted since is then told


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBundle:
    """A model by its digest and its name."""

    model_id: str
    name: str
    demo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersNow:
    """The answers that count."""

    ecg_id: int
    model: NamedBundle | None
    scoring_id: int | None
    saliency_warning: str
    answers: "Sequence[Answer]"
    not_evaluable: "Sequence[Silent]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownView:
    """Layout and scale of a drawing."""

    layout: str
    rhythm: str
    speed: float  #: mm/s
    gain: float  #: mm/mV
    start: float  #: s


@dataclass(frozen=True, slots=True, kw_only=True)
class Saliency:
    """Where a model looked, lead by lead."""

    question: "KeptSaliency"
    leads: Sequence[str]
    per_second: float
    weights: Sequence[Sequence[float]]  #: by lead, 0 to 1
    beats: "Sequence[BeatWeight]"  #: each beat's share of all weight, by lead


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """An ECG as the viewer shows it."""

    ecg_id: int
    version: int
    view: ShownView
    rows: Sequence[Sequence[str]]
    seconds_on_sheet: float
    duration_seconds: float
    sampling_rate: float  #: Hz
    device: "Device"
    filters: "Filters"
    remarks: "Sequence[Remark]"
    quality: "Sequence[Reason] | None"  #: None where the extra `score` is not installed
    findings: "Sequence[Finding]"
    computed: "Reckoned | None"
    measurements: Mapping[str, str]
    statements: Sequence[str]
    differences: "Sequence[Difference]"
    scoring_id: int | None
    saliency_warning: str
    answers: "Sequence[Answer]"
    not_evaluable: "Sequence[Silent]"
    saliency: Saliency | None
    compared_with: int | None
    since: "Sequence[Change] | None"
    drawings: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawHeader:
    """What the sender wrote, without the samples."""

    ecg_id: int
    lines: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Messages that are set aside."""

    messages: "Sequence[DeadLetter]"
    count: int  #: of all that match
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadPreview:
    """What an act would be done to."""

    messages: "Sequence[DeadLetter]"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Payloads that were kept and not taken."""

    payloads: "Sequence[KeptPayload]"
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPreview:
    """What an act would be done to."""

    payloads: "Sequence[KeptPayload]"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Recordings that wait for a person, and ECGs whose scoring failed for good."""

    questions: "Sequence[ShownQuestion]"
    next: str | None
    failed: "Sequence[FailedEcg]"
    failed_in_all: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPreview:
    """ECGs that would stay without an answer."""

    ecgs: "Sequence[FailedEcg]"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOne:
    """One question, and what each answer would do."""

    question: "ShownQuestion"
    is_open: bool
    if_released: str
    if_rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Every part that can be paused, and the pauses that are over."""

    parts: "Sequence[PartLine]"
    over: "Sequence[Pause]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Registered models."""

    models: "Sequence[ModelLine]"
    history: "Sequence[ModelEvent]"
    live_then: "ModelRow | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model."""

    model: "ModelRow"
    state: str
    verdicts: "Sequence[KeptVerdict]"
    history: "Sequence[ModelEvent]"
    shadow: "Shadow"
    encoders: int | None  #: each is a pass of every ECG; null where this host cannot read the bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Measured outcomes that became labels, and what was left out."""

    taken: "Sequence[ShownOutcome]"
    left_out: "Sequence[ShownLeftOut]"
    next: str | None
    next_left_out: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Reports on drift."""

    reports: "Sequence[DriftRow]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A page of the audit trail."""

    entries: "Sequence[AuditEvent]"
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force, by key."""

    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Each part, tried."""

    parts: "Sequence[CheckLine]"
