"""Read and score an ECG's stored bytes again, and compare signal and scores with the stored ones to the last bit."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ecgfm.runtimes.engines import comparable, tolerance_of
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.records import Score, Scoring, StagedEcg
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError, Refused

Read = Callable[[Received], Contents]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The outcome of reading and scoring one ECG again; exact where there is no difference."""

    ecg_id: int
    model_id: str
    compared: int  #: scores compared
    differences: tuple[str, ...]  #: free of patient data
    remarks: tuple[str, ...] = ()  #: what differs and may, such as the card, and by how much

    @property
    def exact(self) -> bool:
        return not self.differences


def last_scoring(store: Store, ecg_id: int) -> Scoring:
    """The scoring that counts. Raises NotFound, InputError where the ECG has none yet."""
    scorings = store.ecgs.story(ecg_id).scorings
    if not scorings:
        raise InputError(f"ECG {ecg_id} has no score yet: there is nothing to compare a replay with")
    return scorings[-1]


def replay(store: Store, ecg_id: int, *, read: Read, score: Callable[[StagedEcg], Scoring]) -> Replay:
    """Read the stored bytes again, score them with the model that scored them then, compare.

    Raises NotFound where retention removed the bytes, PayloadError where they cannot be read any more, InputError.
    """
    then = last_scoring(store, ecg_id)
    staged = store.ecgs.story(ecg_id).ecg
    decoded = _same_recording(read(store.ecgs.payload(ecg_id)), staged.ecg)
    # The patient may have been corrected since; the age by which the ECG was judged is that of the staged ECG.
    again = score(replace(staged, ecg=replace(decoded, patient=staged.ecg.patient)))
    return Replay(
        ecg_id=ecg_id,
        model_id=then.model_id,
        compared=len(then.scores),
        differences=(*_ecg_differences(staged.ecg, decoded), *_scoring_differences(then, again)),
        remarks=tuple(_remarks(then, again)),
    )


def _same_recording(contents: Contents, staged: Ecg) -> Ecg:
    for ecg in contents.ecgs:
        # The only recording is it also where an earlier program made its number in another way.
        if ecg.source_id == staged.source_id or len(contents.ecgs) == 1:
            return ecg
    raise InputError("the stored bytes no longer hold a recording under the stored number")


def _ecg_differences(staged: Ecg, decoded: Ecg) -> list[str]:
    found = []
    if staged.signal.size and staged.signal.tobytes() != decoded.signal.tobytes():
        found.append("the signal decodes differently")
    for name in ("sampling_rate", "stored_leads", "derived_leads", "filters", "findings", "acquired"):
        if getattr(staged, name) != getattr(decoded, name):
            found.append(f"{name} decodes differently")
    return found


def _scoring_differences(then: Scoring, again: Scoring) -> list[str]:
    found = []
    other_card = comparable(then.runtime, again.runtime)
    names = ("model_id", "preprocessing", "input_digest") + (() if other_card else ("runtime",))
    for name in names:
        if getattr(then, name) != getattr(again, name):
            found.append(f"{name} was {getattr(then, name)}, is {getattr(again, name)}")
    before, after = _by_label(then), _by_label(again)
    tolerance = tolerance_of(then.runtime) if other_card else 0.0
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if one != other and not (tolerance and _near(one, other, tolerance)):
            found.append(f"{'/'.join(key)} was {_value(one)}, is {_value(other)}")
    return found


def _remarks(then: Scoring, again: Scoring) -> list[str]:
    if not comparable(then.runtime, again.runtime):
        return []
    tolerance = tolerance_of(then.runtime)
    moved = f"scored by {then.runtime}, compared on {again.runtime}"
    return [f"{moved}: probabilities may differ by {tolerance:.0e}, and are told where they differ by more"]


def _near(one: Score | None, other: Score | None, tolerance: float) -> bool:
    """Whether two scores tell the same up to the tolerance: both or neither positive, probabilities as near as that."""
    if one is None or other is None or one.probability is None or other.probability is None:
        return False
    same = (one.threshold, one.positive, one.reasons) == (other.threshold, other.positive, other.reasons)
    return same and abs(one.probability - other.probability) <= tolerance


def _by_label(scoring: Scoring) -> dict[tuple[str, str], Score]:
    return {(score.head, score.label): score for score in scoring.scores}


def _value(score: Score | None) -> str:
    if score is None:
        return "not asked"
    if score.probability is None:
        return "not evaluable: " + ", ".join(code for code, _ in score.reasons)
    return f"{score.probability!r} (threshold {score.threshold!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgain:
    """What reading again came to."""

    counts: Mapping[str, int]  #: payloads by disposition
    new_ecgs: tuple[int, ...]  #: payloads of which ECGs came and nothing else


def read_set_aside(
    store: Store,
    *,
    stage: Callable[[Received, Contents], Verdict],
    read: Read,
    payload_ids: Collection[int] | None = None,
) -> ReadAgain:
    """Read every refused or unreadable payload again, or those with these numbers; a payload that today's readers can
    read is staged. A payload that still cannot be read stays as it is.
    """
    found = {disposition.value: 0 for disposition in (Disposition.STAGED, Disposition.REFUSED, Disposition.UNREADABLE)}
    new_ecgs: list[int] = []
    after = 0 if payload_ids is None else min(payload_ids, default=1) - 1
    last = None if payload_ids is None else max(payload_ids, default=0)
    while (last is None or after < last) and (page := store.ecgs.set_aside(limit=20, after=after)):
        for payload_id, received in page:
            after = payload_id
            if payload_ids is not None and payload_id not in payload_ids:
                continue
            contents = _contents(received, read)
            disposition = contents if isinstance(contents, Disposition) else stage(received, contents).disposition
            found[disposition.value] = found.get(disposition.value, 0) + 1
            if disposition is Disposition.STAGED and contents == _ecgs_alone(contents):
                new_ecgs.append(payload_id)
    return ReadAgain(counts={name: count for name, count in found.items() if count}, new_ecgs=tuple(new_ecgs))


def _contents(received: Received, read: Read) -> Contents | Disposition:
    """Or what keeps it set aside."""
    try:
        contents = read(received)
    except PayloadError as error:
        return Disposition.REFUSED if isinstance(error, Refused) else Disposition.UNREADABLE
    return Disposition.REFUSED if contents == Contents(findings=contents.findings) else contents


def _ecgs_alone(contents: Contents | Disposition) -> Contents | None:
    return Contents(ecgs=contents.ecgs, findings=contents.findings) if isinstance(contents, Contents) else None
