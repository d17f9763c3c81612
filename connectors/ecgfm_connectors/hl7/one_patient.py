"""The patient of an embedded object and of the message around it: one person, or two between whom somebody decides."""

from dataclasses import replace

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.people import are_two_people, contradict, differences, share_a_number

MISMATCH = Finding(code="two-people", text="PID and the embedded ECG name different patients of one authority")


def one_patient(
    inner: Patient, outer: Patient, context: ReadingContext
) -> tuple[Patient, Patient | None, tuple[Finding, ...]]:
    """The patient of an embedded object and of its message as one. A wrong patient is the worst error there is.

    Where the two speak of two people, the message's patient is taken, the object's is given beside it, and the finding
    `two-people` says that a person must decide.
    """
    if name_two(inner, outer, context):
        return outer, inner, (MISMATCH,)
    if are_two_people(inner, outer):
        what = " and ".join(differences(inner, outer))
        text = f"PID and the embedded ECG differ in {what}: they seem to name two people"
        kept = outer if outer.identifiers or not inner.identifiers else inner
        return kept, inner if kept is outer else outer, (Finding(code="two-people", text=text),)
    if _agrees(inner, outer, context.default_authority):
        inner = replace(inner, identifiers=())
    elif _agrees(outer, inner, context.default_authority):
        outer = replace(outer, identifiers=())
    if not inner.identifiers or not outer.identifiers:
        kept = outer if outer.identifiers else inner
        return _completed(kept, inner if kept is outer else outer), None, _smaller_differences(inner, outer)
    findings = []
    if not share_a_number(inner, outer):
        text = "PID and the embedded ECG name the patient by different authorities; nothing links the two"
        findings.append(Finding(code="patient-unconfirmed", text=text))
    union = {known.identity: known for known in (*inner.identifiers, *outer.identifiers)}
    ordered = dict.fromkeys(known.identity for known in (*outer.identifiers, *inner.identifiers))
    joined = replace(_completed(outer, inner), identifiers=tuple(union[identity] for identity in ordered))
    return joined, None, (*findings, *_smaller_differences(inner, outer))


def name_two(one: Patient, other: Patient, context: ReadingContext) -> bool:
    """Whether an authority gave both different numbers that no merge has made one: a cart often keeps the old one."""
    return contradict(one, other) and not context.one_person(one, other)


def _smaller_differences(inner: Patient, outer: Patient) -> tuple[Finding, ...]:
    """A single difference does not stop the message; it becomes a finding."""
    codes = {
        "birth date": Finding(code="birth-date-differs", text="PID-7 and the embedded ECG differ"),
        "family name": Finding(code="name-differs", text="PID-5 and the embedded ECG differ"),
        "sex": Finding(code="sex-differs", text="PID-8 and the embedded ECG differ"),
    }
    return tuple(codes[what] for what in differences(inner, outer))


def _agrees(bare: Patient, full: Patient, default_authority: str) -> bool:
    """Whether every number of `bare` came without an authority and the other side has it with its true one.

    Where the other side has a number of the site's own authority too, the site's number is compared instead: a bare
    number that reads like another authority's number is no agreement.
    """
    own = default_authority.strip().casefold()
    if any(known.identity[:2] == (own, "MR") for known in full.identifiers):
        return False
    told = {known.identity[2] for known in full.identifiers}
    return bool(bare.identifiers) and all(
        known.identity[0] == own and known.identity[2] in told for known in bare.identifiers
    )


def _completed(patient: Patient, other: Patient) -> Patient:
    return replace(
        patient,
        birth_date=patient.birth_date or other.birth_date,
        sex=patient.sex if patient.sex != "U" else other.sex,
        family_name=patient.family_name or other.family_name,
        given_name=patient.given_name or other.given_name,
    )
