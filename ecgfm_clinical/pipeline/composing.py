"""A scoring becomes the result message of a destination, in the form that its settings ask for.

Called by the store inside the transaction that makes the message, so it touches no disk, no network and no clock.
"""

from collections.abc import Callable, Iterator, Mapping

from ecgfm.signal import SEGMENT_SECONDS
from ecgfm_clinical.pipeline.codes import LocalCode, finding_site, head_code, local_code, meaning
from ecgfm_clinical.staging.records import TAKES_BACK, Draft, Kind, Score
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.result import Observation, Result

DEMO_NOTE = (
    "DEMONSTRATION MODEL, NOT FOR CLINICAL USE. Probabilities come from a small network trained on generated ECGs."
)
LIMIT_NOTE = "Statistical estimate from the ECG alone; not a measurement and not a stand-alone diagnosis."

#: From so much on, what lies behind the last segment is said, s.
UNSEEN_SECONDS = 0.5

Format = Callable[[Result], bytes]
IsAbnormal = Callable[[str, str], bool]  #: head, label -> whether its presence is an abnormal finding


class Composer:
    """`Compose` for every destination that the settings name."""

    def __init__(
        self, formats: Mapping[str, Format], *, device_id: str, abnormal: IsAbnormal = lambda head, label: False
    ) -> None:
        """`formats`: destination -> how a result is written for it; `abnormal`: which labels of heads of the site's own
        are abnormal findings.
        """
        self._abnormal = abnormal
        self._formats = formats
        self._device_id = device_id

    def __call__(self, draft: Draft) -> bytes:
        """Raises Refused where the destination is not in the settings any more, or the result cannot be filed."""
        write = self._formats.get(draft.destination)
        if write is None:
            raise Refused("unknown-destination", "the settings name no such destination; add it, then `replay --dead`")
        return write(result_of(draft, device_id=self._device_id, abnormal=self._abnormal))


def result_of(draft: Draft, *, device_id: str, abnormal: IsAbnormal) -> Result:
    """One scoring as a result (hospital message content, HL7 2.5.1 §7.3/7.4)."""
    ecg, scoring, answer = draft.ecg, draft.scoring, draft.answer
    order = answer.order if answer else None
    return Result(
        control_id=draft.control_id,
        composed_at=draft.composed_at,
        patient=ecg.patient,
        placer_number=(ecg.order.placer if answer is None else order.placer if order else "") or draft.placed,
        accession=order.accession if order else "",
        provider=order.provider if order else (),
        order_refused=answer is not None and order is None and not answer.reason.is_unknown,
        unsolicited=answer is not None and order is None and not draft.placed,
        filler_number=draft.filler,
        ecg_filler_number=ecg.order.filler or ecg.order.accession,
        study_uid=ecg.order.study_uid,
        acquired_at=ecg.acquired.at if ecg.acquired else None,
        scored_at=scoring.scored_at,
        status=draft.kind,  # a not evaluable ECG is a final answer too: its OBX-11 says X
        model_name=scoring.model_name,
        model_version=f"{scoring.model_version} {scoring.model_id[:12]}",
        device_id=device_id,
        observations=(
            *(_observation(score, draft.kind, abnormal) for score in scoring.scores),
            *_dropped(draft, abnormal),
        ),
        notes=(*((DEMO_NOTE,) if scoring.demo else ()), LIMIT_NOTE, *_segments_note(draft), *_page_note(draft)),
        test=scoring.demo or ecg.test_data,
        page=draft.page,
        page_refused=draft.page_refused,
        demo=scoring.demo,
        model_digest=scoring.model_id,
        revives=draft.revives,
        preprocessing=scoring.preprocessing,
        waveform=ecg.waveform_object,
        former=draft.former,
    )


def _segments_note(draft: Draft) -> Iterator[str]:
    """On how much of the recording the result rests, where that is known and the result stands."""
    count = draft.scoring.segments
    if not count or draft.kind in TAKES_BACK:
        return
    recorded = draft.ecg.duration
    note = f"Rests on {count} segment{'' if count == 1 else 's'} of {SEGMENT_SECONDS} s"
    if recorded:  # retention may have removed the signal
        left = recorded - SEGMENT_SECONDS * count
        note += f" of a recording of {recorded:.1f} s"
        note += f"; its last {left:.1f} s were not looked at" if left >= UNSEEN_SECONDS else ""
    yield f"{note}."


def _page_note(draft: Draft) -> Iterator[str]:
    if draft.page_refused:
        yield f"This result goes without its page: {draft.page_refused}."


def _observation(score: Score, kind: Kind, abnormal: IsAbnormal) -> Observation:
    code = local_code(score.head, score.label)
    return Observation(
        code=code.code,
        name=code.name,
        status="X" if score.probability is None and kind in ("F", "C") else kind,
        probability=score.probability,
        threshold=score.threshold,
        positive=score.positive,
        reasons=score.reasons,
        head=score.head,
        head_code=head_code(score.head).code,
        head_name=head_code(score.head).name,
        finding_site=finding_site(score.head),
        abnormal=meaning(score.head, score.label) == "abnormal" or abnormal(score.head, score.label),
    )


def _dropped(draft: Draft, abnormal: IsAbnormal) -> Iterator[Observation]:
    """Observations of the former result that the correction no longer holds: each is deleted (table 0085, D)."""
    told = {_code(score): score for score in (draft.replaces.scores if draft.replaces else ())}
    kept = {_code(score) for score in draft.scoring.scores}
    for code, score in told.items():
        if code not in kept:
            yield _observation(score, "D", abnormal)


def _code(score: Score) -> LocalCode:
    return local_code(score.head, score.label)
