"""`search` and `show`: from what people have in hand to ECGs."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ecgfm_clinical import liveness, wiring
from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.search import Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecgfm_clinical.staging.received_messages import HeardMessage
    from ecgfm_clinical.staging.store import Store
    from ecgfm_clinical.staging.story_records import EcgSummary
    from ecgfm_connectors.patient import Identifier


def search(
    store: "Store",
    *,
    number: str,
    patient: "Identifier | None",
    source: str,
    state: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    operator: str,
) -> "list[EcgSummary]":
    """Newest first. That somebody looked for a patient is noted before the answer is given. Raises InputError."""
    states = [one.value for one in EcgState]
    if state and state not in states:
        raise InputError(f"no ECG has the state {state!r}; there are {', '.join(states)}")
    wanted = Wanted(
        number=number,
        patient=patient,
        source=source,
        state=EcgState(state) if state else None,
        since=since,
        until=until,
    )
    return store.search.ecgs(wanted, limit=limit, now=wiring.utc_now(), actor=liveness.operator(operator))


def row_number(written: str) -> int | None:
    """What a store may have given as a number; None for anything else, and for more digits than any store has."""
    return int(written) if written.isascii() and written.isdigit() and len(written) < 19 else None


def find_ecg(store: "Store", wanted: str, *, by_id: bool = False) -> int:
    """The one ECG to which a number belongs: of several versions of a recording the newest.

    Raises NotFound; InputError where it belongs to several recordings, for nobody may guess which is meant.
    """
    if by_id:
        return _by_id(store, wanted)
    fitting = store.search.by_number(wanted)
    newest = {store.ecgs.recording_of(ecg_id): ecg_id for ecg_id in fitting}
    heard = store.search.heard(wanted)
    if len(newest) > 1:
        raise InputError(
            f"this number belongs to {len(newest)} recordings: ECGs {', '.join(map(str, sorted(newest.values())))}; "
            f"name one by its id, with --id{_also(heard)}"
        )
    if not newest and heard:
        raise NotFound(f"no ECG came by a message of this number{_also(heard)}")
    if not newest and wanted.isdigit():
        raise NotFound(f"there is no ECG {wanted} in the store, and none to which that number belongs")
    if not newest:
        raise NotFound(
            "no ECG with that number is in the store; `ecgfm-clinical search --help` says what can be looked for"
        )
    if row_number(wanted) in fitting:  # an older version, asked for by its own id
        return int(wanted)
    return next(iter(newest.values()))


def heard_line(one: "HeardMessage") -> str:
    """A message that came in, for people: from whom, when, and what it gave."""
    when = one.received_at.isoformat(timespec="seconds")
    gave = [f"ECG {ecg_id}" for ecg_id in one.ecg_ids]
    gave += [f"outcome {outcome_id}: `ecgfm-clinical outcomes show {outcome_id}`" for outcome_id in one.outcome_ids]
    if not gave:
        why = f" ({one.code})" if one.code else ""
        gave = [f"{one.disposition}{why}: `ecgfm-clinical payloads show {one.payload_id}`"]
    return f"message of {one.sender or 'an unnamed sender'}, {when} by {one.source}; {', '.join(gave)}"


def _also(heard: "Sequence[HeardMessage]") -> str:
    """What came under the number as that of a message; nothing where none did."""
    return "".join(f"\n  {heard_line(one)}" for one in heard)


def _by_id(store: "Store", wanted: str) -> int:
    if not wanted.isdigit():
        raise InputError("an ECG id is a number")
    found = row_number(wanted)
    if found is None:
        raise NotFound("there is no ECG with a number as long as this in the store")
    store.ecgs.recording_of(found)
    return found


def line_of(one: "EcgSummary") -> str:
    """For people; nothing of it identifies a patient."""
    when = one.received_at.isoformat(timespec="seconds")
    scores = ", ".join(
        f"{score.label} {score.probability:.4f}" for score in one.scores if score.probability is not None
    )
    told = ", ".join(f"{sent.kind} to {sent.destination} {sent.state.word}" for sent in one.messages)
    parts = (f"ECG {one.ecg_id} (version {one.version})", f"{when} from {one.source}", one.state.value, scores, told)
    return "; ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundScore:
    """One answer."""

    head: str
    label: str
    probability: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMessage:
    """The newest message about the ECG to one destination."""

    destination: str
    control_id: str
    kind: str
    state: str
    ack_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEcg:
    """An ECG; nothing of it identifies a patient. The names of the fields are the keys of `search --json`."""

    ecg_id: int
    version: int
    source: str
    received_at: str  #: ISO 8601
    state: str
    scores: tuple[FoundScore, ...]
    messages: tuple[FoundMessage, ...]

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def document_of(one: "EcgSummary") -> FoundEcg:
    """For programs; nothing of it identifies a patient."""
    return FoundEcg(
        ecg_id=one.ecg_id,
        version=one.version,
        source=one.source,
        received_at=one.received_at.isoformat(),
        state=one.state.value,
        scores=tuple(FoundScore(head=each.head, label=each.label, probability=each.probability) for each in one.scores),
        messages=tuple(
            FoundMessage(
                destination=sent.destination,
                control_id=sent.control_id,
                kind=sent.kind,
                state=sent.state.word,
                ack_code=sent.ack_code,
            )
            for sent in one.messages
        ),
    )
