"""What must be true when the killing is over, asked of the store and of the receivers, never of the victims."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from ecgfm_clinical.monitoring.store_figures import StoreFigures
from ecgfm_clinical.settings import Attention
from ecgfm_clinical.staging.records import EcgState, MessageState
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.staging.story_records import EcgStory, EcgSummary
from ecgfm_connectors.hl7.message import parse_header
from tests.campaign import fhir, pacs
from tests.campaign.hospital import CANARY, HEADS
from tests.campaign.lives import PLACER
from tests.campaign.pacs import MoodyPacs


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The counts of one campaign and everything that was not as promised."""

    acknowledged: int  #: ECGs whose sender got 0x0000 or AA
    staged: int
    scored: int
    messages: int  #: distinct control ids in the store
    deliveries: int  #: messages the receivers got, repeats included
    repeats: int  #: of them, seen before
    objects: int  #: the PACS holds
    stored_again: int  #: how often it was given one that it held
    events: int  #: lines of the audit trail
    problems: tuple[str, ...]


def judge(
    store: Store,
    acknowledged: Sequence[bytes],
    received: Mapping[str, Sequence[bytes]],
    accepted: Mapping[str, Sequence[bytes]],
    archive: MoodyPacs,
    logs: Iterable[Path],
) -> Verdict:
    """Compare what senders, store and receivers know. `acknowledged`: payloads; `received`: bodies by destination;
    `accepted`: those of them that the receiver did not refuse; `archive` got single objects.
    """
    stories = [store.ecgs.story(one.ecg_id) for one in _all(store)]
    plain = [story for story in stories if not story.ecg.ecg.order.placer.startswith(PLACER)]
    problems = [
        *_nothing_lost(store, stories, acknowledged),
        *_staged_once(plain),
        *_sum_closes(store),
        *_metrics_agree(store, stories, [*received, pacs.NAME]),
        *_one_number_each(plain, {*received, pacs.NAME}),
        *_all_numbers_differ(stories),
        *(problem for name, bodies in received.items() for problem in _deliveries(plain, name, bodies, stories)),
        *(problem for name, bodies in accepted.items() for problem in _as_stored(stories, name, bodies)),
        *(problem for name, bodies in received.items() for problem in _order(plain, name, bodies)),
        *pacs.judge(archive, stories),
        *store.care.audit_faults(),
        *(f"the log {path.name} names a patient" for path in logs if CANARY in path.read_text(errors="replace")),
    ]
    delivered = [body for bodies in received.values() for body in bodies]
    return Verdict(
        acknowledged=len(acknowledged),
        staged=len(stories),
        scored=store.questions.counts().scored,
        messages=sum(len(story.messages) for story in stories),
        deliveries=len(delivered),
        repeats=len(delivered) - len(set(delivered)),
        objects=len(archive.kept),
        stored_again=sum(archive.times.values()) - len(archive.kept),
        events=store.care.audit_length(),
        problems=tuple(problems),
    )


def number_of(body: bytes) -> str:
    """MSH-10, or the number of a bundle."""
    return fhir.number_of(body) if body.startswith(b"{") else parse_header(body).value(10)


def _all(store: Store) -> Iterator[EcgSummary]:
    before = None
    while page := store.ecgs.newest(limit=200, before=before):
        yield from page
        before = page[-1].ecg_id


def _nothing_lost(store: Store, stories: Sequence[EcgStory], acknowledged: Sequence[bytes]) -> Iterator[str]:
    kept = [store.ecgs.payload(story.ecg.ecg_id).content for story in stories]
    if len(set(kept)) != len(kept):
        yield f"{len(kept) - len(set(kept))} payloads are in the store twice"
    ends = {content[-2000:] for content in kept}  # a C-STORE does not carry the file's preamble and meta header
    lost = sum(content[-2000:] not in ends for content in acknowledged)
    if lost:
        yield f"{lost} acknowledged ECGs are not in the store"


def _staged_once(stories: Sequence[EcgStory]) -> Iterator[str]:
    numbers = [story.ecg.ecg.source_id for story in stories]
    if len(set(numbers)) != len(numbers):
        yield f"{len(numbers) - len(set(numbers))} recordings are staged twice"
    failed = sum(story.state is EcgState.FAILED for story in stories)
    if failed:
        yield f"{failed} ECGs failed"


def _sum_closes(store: Store) -> Iterator[str]:
    table = store.questions.count_table()
    for counts in (table.total, *table.by_source.values(), *table.by_head.values()):
        if counts.received != counts.scored + counts.not_evaluable + counts.failed + counts.waiting:
            yield f"the sum does not close: {counts}"
    if table.total.waiting:
        yield f"{table.total.waiting} ECGs still wait"


def _metrics_agree(store: Store, stories: Sequence[EcgStory], destinations: Sequence[str]) -> Iterator[str]:
    """What a monitor is told of the store against what its rows say, counted one by one."""
    registry = CollectorRegistry()
    sources = sorted({story.ecg.source for story in stories})
    figures = StoreFigures(
        store,
        limits=Attention(),
        sources=sources,
        destinations=destinations,
        clock=lambda: datetime.now(UTC),
        leads=lambda: True,
    )
    registry.register(figures)
    told = {
        (one.name, tuple(one.labels.values())): one.value for family in registry.collect() for one in family.samples
    }
    states = Counter(story.state.value for story in stories if story.state is not EcgState.FAILED)
    said = {state: sum(told.get(("ecgfm_ecgs", (source, state)), 0) for source in sources) for state in states}
    if said != dict(states):
        yield f"metrics say {said} of ECGs, the rows {dict(states)}"
    waiting = sum(told[("ecgfm_outbox_messages", (name, "waiting"))] for name in destinations)
    unfinished = {MessageState.WAITING, MessageState.RUNNING}
    rows = sum(message.state in unfinished for story in stories for message in story.messages)
    if waiting != rows:
        yield f"metrics say that {waiting:.0f} messages wait, the rows {rows}"


def _one_number_each(stories: Sequence[EcgStory], destinations: set[str]) -> Iterator[str]:
    """One scoring and one message each; another only where an answer was missing because its head was paused."""
    for story in stories:
        answered = [{score.head for score in scoring.scores} for scoring in story.scorings]
        if not answered or answered[-1] != HEADS:
            yield f"ECG {story.ecg.ecg_id} has no answer of every head in the end: {answered}"
        if HEADS in answered[:-1]:
            yield f"ECG {story.ecg.ecg_id} was scored again though no answer was missing: {answered}"
        told = Counter(message.destination for message in story.messages)
        if told.keys() != destinations or max(told.values()) > len(answered):
            yield f"ECG {story.ecg.ecg_id} has messages to {dict(told)} of {len(answered)} scorings"
        last = {message.destination: message for message in story.messages}
        for message in story.messages:
            gave_way = message.state is MessageState.CANCELLED and last[message.destination] is not message
            if message.state is not MessageState.ACKNOWLEDGED and not gave_way:
                yield f"message {message.message_id} is {message.state.value}"


def _all_numbers_differ(stories: Sequence[EcgStory]) -> Iterator[str]:
    numbers = Counter(message.control_id for story in stories for message in story.messages)
    yield from (f"control id {number} was given {times} times" for number, times in numbers.items() if times > 1)


def _stored(stories: Sequence[EcgStory], destination: str) -> dict[str, bytes | None]:
    return {m.control_id: m.body for story in stories for m in story.messages if m.destination == destination}


def _as_stored(stories: Sequence[EcgStory], destination: str, accepted: Sequence[bytes]) -> Iterator[str]:
    """What a receiver took is what the store holds; what it refused, a merge may have composed anew since."""
    stored = _stored(stories, destination)
    for body in accepted:
        if stored.get(number := number_of(body)) != body:
            yield f"{destination} took bytes under {number} that are not those in the store"


def _deliveries(
    plain: Sequence[EcgStory], destination: str, bodies: Sequence[bytes], stories: Sequence[EcgStory]
) -> Iterator[str]:
    """Of ECGs that no merge touches, refused bytes are those in the store as well."""
    stored, untouched = _stored(stories, destination), _stored(plain, destination)
    got = {number: body for body in bodies if (number := number_of(body))}
    for body in bodies:
        number = number_of(body)
        if number not in stored or (number in untouched and untouched[number] != body):
            yield f"{destination} got bytes under {number} that are not those in the store"
    acknowledged = {m.control_id for story in stories for m in story.messages if m.state is MessageState.ACKNOWLEDGED}
    for number in (stored.keys() & acknowledged) - got.keys():
        yield f"{destination} never got {number}, which the store says it acknowledged"


def _order(stories: Sequence[EcgStory], destination: str, bodies: Sequence[bytes]) -> Iterator[str]:
    first_seen: dict[str, int] = {}
    for position, body in enumerate(bodies):
        first_seen.setdefault(number_of(body), position)
    by_patient: dict[str, list[tuple[int, int]]] = {}
    for story in stories:
        patient = story.ecg.ecg.patient.identifiers[0].value
        for message in story.messages:
            if message.destination == destination and message.control_id in first_seen:
                place = (message.message_id, first_seen[message.control_id])
                by_patient.setdefault(patient, []).append(place)
    for places in by_patient.values():
        positions = [position for _, position in sorted(places)]
        if positions != sorted(positions):
            yield f"{destination} got one patient's results in another order than they were made"
