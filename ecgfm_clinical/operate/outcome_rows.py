"""Measured outcomes as flat rows: what became a label, in which version, and what was left out."""

from dataclasses import asdict, dataclass, field

from ecgfm_clinical.ecg.inspection import MASK
from ecgfm_clinical.staging.outcomes import KeptLeftOut, KeptOutcome
from ecgfm_connectors.patient import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOutcome:
    """A result; patient and text may be `***`. The names of the fields are the keys of `outcomes list --json`, and the
    columns of `outcomes export`.
    """

    outcome_id: int
    version: int
    source: str
    kind: str
    status: str
    comparator: str
    value: float
    upper_value: float | None
    unit: str
    code: str
    assay: str
    upper_reference_limit: float | None
    observed_at: str  #: ISO 8601
    precision: str
    received_at: str  #: ISO 8601
    rule: str
    place: str
    text: str = field(repr=False)
    patient: str = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownVersion(ShownOutcome):
    """One version of a result, as `outcomes show --json` gives it."""

    span: tuple[int, int] | None  #: of the number in the text
    not_taken: list[str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLeftOut:
    """What was left out. The names of the fields are the keys of `outcomes refused --json`."""

    left_out_id: int
    source: str
    kind: str | None
    reason: str
    why: str
    code: str
    name: str
    place: str
    observed_at: str | None  #: ISO 8601
    received_at: str  #: ISO 8601
    text: str = field(repr=False)
    unused: str = field(repr=False)
    patient: str = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def row_of(kept: KeptOutcome, *, phi: bool) -> ShownOutcome:
    """A result, masked unless `phi`."""
    one, decision = kept.outcome, kept.outcome.decision
    return ShownOutcome(
        outcome_id=kept.outcome_id,
        version=kept.version,
        source=kept.source,
        kind=one.kind,
        status=one.status,
        comparator=one.comparator,
        value=one.value,
        upper_value=one.upper_value,
        unit=one.unit,
        code=one.code,
        assay=one.assay,
        upper_reference_limit=one.upper_reference_limit,
        observed_at=one.observed_at.isoformat(),
        precision=one.precision,
        received_at=kept.received_at.isoformat(),
        rule=decision.rule if decision else "table",
        place=decision.source.place if decision else "",
        text=one.text if phi else MASK,
        patient=_patient(one.patient, phi),
    )


def version_of(kept: KeptOutcome, *, phi: bool) -> ShownVersion:
    """One version of a result, with the numbers that were not taken."""
    decision = kept.outcome.decision
    unused = [f"{one.reason}: {one.text if phi else MASK}" for one in decision.unused] if decision else []
    row = row_of(kept, phi=phi)
    told = {name: getattr(row, name) for name in ShownOutcome.__dataclass_fields__}
    return ShownVersion(**told, span=decision.source.span if decision else None, not_taken=unused)


def row_of_left_out(kept: KeptLeftOut, *, phi: bool) -> ShownLeftOut:
    """What was left out, masked unless `phi`."""
    one = kept.left_out
    return ShownLeftOut(
        left_out_id=kept.left_out_id,
        source=kept.source,
        kind=one.kind,
        reason=one.reason,
        why=one.text,
        code=one.source.code,
        name=one.source.name,
        place=one.source.place,
        observed_at=one.observed_at.isoformat() if one.observed_at else None,
        received_at=kept.received_at.isoformat(),
        text=one.source.text if phi else MASK,
        unused="; ".join(f"{unused.reason}: {unused.text if phi else MASK}" for unused in one.unused),
        patient=_patient(one.patient, phi),
    )


def _patient(patient: Patient, phi: bool) -> str:
    if not phi or not patient.identifiers:
        return MASK
    first = patient.identifiers[0]
    return f"{first.value} ({first.authority})"
