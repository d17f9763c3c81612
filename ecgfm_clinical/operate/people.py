"""People as an operator's own screen names them: never for a log, the audit trail or an exception."""

from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ecgfm_clinical.ecg.inspection import MASK
from ecgfm_clinical.errors import InputError
from ecgfm_connectors.patient import Identifier, Patient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.identities import Person, PersonRecording
    from ecgfm_clinical.staging.store import Store


def named(patient: Patient) -> str:
    """Name, birth date, sex and numbers in one line."""
    name = ", ".join(filter(None, (patient.family_name, patient.given_name))) or "no name known"
    born = f"born {patient.birth_date.isoformat()}" if patient.birth_date else "birth date unknown"
    numbers = ", ".join(numbered(one) for one in patient.identifiers) or "no number"
    return f"{name}; {born}; {patient.sex}; {numbers}"


def numbered(identifier: Identifier) -> str:
    """A number as `AUTHORITY|TYPE|NUMBER`."""
    return f"{identifier.authority}|{identifier.type}|{identifier.value}"


def refuse_unheard_of(store: "Store", settings: "Settings", asked: Identifier) -> None:
    """Raise InputError where nothing here ever named this identity;
    the nearest known authority is named, if any is near.

    What was typed is not repeated: a number may stand where the authority belongs.
    """
    if store.identities.show(asked).heard_of:
        return
    own = {settings.site.authority, *(part.authority for part in (*settings.listeners.all, *settings.sources.all))}
    known = {name.casefold(): name for name in (*store.identities.authorities(), *filter(None, own))}
    near = get_close_matches(asked.authority.casefold(), known, n=1)
    if asked.authority.casefold() in known:
        what = "no ECG, outcome or ADT message ever named this number"
    elif near:
        what = f"nobody here has a number of this authority; did you mean {known[near[0]]}?"
    else:
        what = f"nobody here has a number of this authority; those known are {', '.join(sorted(known.values()))}"
    raise InputError(f"{what}; look at it again, or take it with --force")


def described(person: "Person", *, shown: bool) -> str:
    """One identity in one line, masked unless `shown`."""
    number = numbered(person.identifier) if shown else f"{person.identifier.authority}|{person.identifier.type}|{MASK}"
    who = "nothing is known of this person" if person.described is None else named(person.described)
    state = person.state if person.heard_of else "never heard of here"
    return f"{number}: {state}" + (f"; {who}" if shown else "")


def addressee(store: "Store", asked: Identifier, *, shown: bool) -> str:
    """The same, and where the identity is merged, under whom its results go out."""
    person = store.identities.show(asked)
    told = described(person, shown=shown)
    if person.survivor is None:
        return told
    return f"{told}; its results go out under {described(store.identities.show(person.survivor), shown=shown)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSent:
    """One result of a recording at one destination."""

    destination: str
    message_id: int
    kind: str
    state: str
    in_doubt: bool
    filed_as: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRecording:
    """One recording that belongs to the identity."""

    ecg_id: int
    received_at: str  #: ISO 8601
    state: str
    results: tuple[ShownSent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPerson:
    """One identity; names and numbers may be `***`. The names of the fields are the keys of `patient show --json`."""

    number: str = field(repr=False)
    heard_of: bool
    state: str
    survivor: str | None = field(repr=False)
    merged_into_it: int
    linked: list[str] = field(repr=False)
    described: str | None = field(repr=False)
    recordings: tuple[ShownRecording, ...]
    outcomes: int
    kept_out: bool  #: of learning

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def document_of(person: "Person", *, phi: bool) -> ShownPerson:
    """One identity, masked unless `phi`."""

    def number(identifier: Identifier) -> str:
        return numbered(identifier) if phi else f"{identifier.authority}|{identifier.type}|{MASK}"

    return ShownPerson(
        number=number(person.identifier),
        heard_of=person.heard_of,
        state=person.state,
        survivor=number(person.survivor) if person.survivor else None,
        merged_into_it=person.merged_into_it,
        linked=[number(one) for one in person.linked],
        described=None if person.described is None else named(person.described) if phi else MASK,
        recordings=tuple(_recording(one, phi=phi) for one in person.recordings),
        outcomes=person.outcomes,
        kept_out=person.kept_out,
    )


def _recording(one: "PersonRecording", *, phi: bool) -> ShownRecording:
    return ShownRecording(
        ecg_id=one.ecg_id,
        received_at=one.received_at.isoformat(),
        state=one.state,
        results=tuple(
            ShownSent(
                destination=result.destination,
                message_id=result.message_id,
                kind=result.kind,
                state=result.state.word,
                in_doubt=result.in_doubt,
                filed_as=named(result.filed_as) if phi else MASK,
            )
            for result in one.results
        ),
    )


def lines_of(found: ShownPerson) -> "Iterator[str]":
    """`document_of` for people."""
    yield f"{found.number}: {found.state if found.heard_of else 'never heard of here'}"
    if found.described not in (None, MASK):
        yield f"  person     {found.described}"
    if found.survivor:
        yield f"  merged     into {found.survivor}"
    if found.merged_into_it:
        yield f"  merged     {found.merged_into_it} other numbers into this one"
    yield from (f"  linked     with {one}" for one in found.linked)
    for one in found.recordings:
        yield f"  ECG {one.ecg_id}, {one.received_at}, {one.state}"
        for result in one.results:
            doubt = ", in doubt: it may have left" if result.in_doubt else ""
            filed = "" if result.filed_as == MASK else f", filed under {result.filed_as}"
            yield (
                f"    message {result.message_id} ({result.kind}) to {result.destination}: {result.state}{doubt}{filed}"
            )
    yield f"  outcomes   {found.outcomes}"
    if found.kept_out:
        yield "  objects    kept out of learning"
