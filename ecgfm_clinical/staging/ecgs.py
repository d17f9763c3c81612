"""ECGs come back out of the store: their signals, their payloads, and the whole story of one."""

from collections.abc import Iterator, Sequence

from sqlalchemy import literal_column, select

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import (
    audit,
    documents,
    drafts,
    holds,
    identity,
    loading,
    message_rows,
    order_answers,
    recordings,
)
from ecgfm_clinical.staging.attempts import errors_of
from ecgfm_clinical.staging.codec import about_of
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.order_records import OrderStory
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.records import EcgState, JobState, MessageState, StagedEcg
from ecgfm_clinical.staging.rows import EcgVersion, MessageRow, every_row, first_row
from ecgfm_clinical.staging.schema import attempt_error, ecg, message, payload, payload_content, score_job
from ecgfm_clinical.staging.story_records import (
    EcgStory,
    EcgSummary,
    HeldStory,
    MessageStory,
    MessageSummary,
    RecordingStory,
    ResultStory,
    VersionStory,
)
from ecgfm_clinical.staging.told import state_of
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.base import Received
from ecgfm_connectors.patient import Patient


class Ecgs:
    """The ECGs of a store, as they came and as far as they have come."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, ecg_ids: Sequence[int]) -> list[StagedEcg]:
        """With their signals, in the order asked for. Raises NotFound."""
        with self._database.reading() as ask:
            return loading.load(ask, ecg_ids, signals=True)

    def payload(self, ecg_id: int) -> Received:
        """The bytes an ECG was read from, exactly as they came. Raises NotFound."""
        with self._database.reading() as ask:
            payload_id = ask.connection.scalar(select(ecg.c.payload_id).where(ecg.c.ecg_id == ecg_id))
            if payload_id is None:
                raise NotFound(f"there is no ECG {ecg_id} in the store")
            return loading.load_payload(ask, payload_id)

    def set_aside(self, *, limit: int = 100, after: int = 0) -> list[tuple[int, Received]]:
        """Refused and unreadable payloads as (payload_id, bytes), oldest first, from the one after `after` on."""
        kept = (
            select(payload.c.payload_id)
            .join(payload_content, payload_content.c.payload_id == payload.c.payload_id)
            .where(literal_column("payload.disposition <> 'staged'"), payload.c.payload_id > after)
            .order_by(payload.c.payload_id)
            .limit(limit)
        )
        with self._database.reading() as ask:
            return [(one, loading.load_payload(ask, one)) for one in ask.connection.scalars(kept).all()]

    def find(self, source_id: str) -> tuple[int, ...]:
        """ECGs by the sender's own number (SOP Instance UID …), one per version."""
        with self._database.reading() as ask:
            same = ecg.c.source_key == ask.key("source", source_id)
            return tuple(ask.connection.scalars(select(ecg.c.ecg_id).where(same).order_by(ecg.c.version)))

    def recording_of(self, ecg_id: int) -> int:
        """The recording of which this ECG is a version. Raises NotFound."""
        with self._database.reading() as ask:
            found = ask.connection.scalar(select(ecg.c.recording_id).where(ecg.c.ecg_id == ecg_id))
        if found is None:
            raise NotFound(f"there is no ECG {ecg_id} in the store")
        return int(found)

    def scoring_of(self, ecg_id: int) -> int | None:
        """The scoring that counts, by its number; None where there is none yet."""
        with self._database.reading() as ask:
            return ask.connection.scalar(select(ecg.c.scoring_id).where(ecg.c.ecg_id == ecg_id))

    def newest(self, *, limit: int = 100, before: int | None = None) -> list[EcgSummary]:
        """Newest first; `before` is the last ecg_id of the previous page."""
        query = select(ecg).order_by(ecg.c.ecg_id.desc()).limit(limit)
        if before is not None:
            query = query.where(ecg.c.ecg_id < before)
        with self._database.reading() as ask:
            return [summary(ask, row) for row in every_row(ask.connection, EcgVersion, query)]

    def story(self, ecg_id: int) -> EcgStory:
        """Everything known of one ECG; its signal is left out where retention removed it. Raises NotFound."""
        with self._database.reading() as ask:
            return _story(ask, ecg_id)


def summary(reading: Reading, row: EcgVersion) -> EcgSummary:
    """One row of `ecg` with its scores and messages."""
    messages = reading.connection.execute(
        select(message).where(message.c.ecg_id == row.ecg_id).order_by(message.c.message_id)
    )
    return EcgSummary(
        ecg_id=row.ecg_id,
        source_id=private_of(reading, row).source_id,
        version=row.version,
        source=row.source,
        format=row.format,
        received_at=row.received_at,
        acquired_at=row.acquired_at,
        state=EcgState(row.state),
        findings=about_of(row).findings,
        scores=loading.scores(reading, row.scoring_id),
        messages=tuple(
            MessageSummary(
                destination=one.destination,
                control_id=one.control_id,
                kind=one.kind,
                state=MessageState(one.state),
                ack_code=one.ack_code,
            )
            for one in messages
        ),
    )


def _story(reading: Reading, ecg_id: int) -> EcgStory:
    row = first_row(reading.connection, EcgVersion, select(ecg).where(ecg.c.ecg_id == ecg_id))
    if row is None:
        raise NotFound(f"there is no ECG {ecg_id} in the store")
    job = reading.connection.execute(
        select(score_job).where(score_job.c.ecg_id == ecg_id).order_by(score_job.c.job_id.desc()).limit(1)
    ).first()
    errors = (
        select(attempt_error)
        .join(score_job, score_job.c.job_id == attempt_error.c.job_id)
        .where(score_job.c.ecg_id == ecg_id)
        .order_by(attempt_error.c.error_id)
    )
    return EcgStory(
        ecg=_with_signal_if_kept(reading, ecg_id),
        state=EcgState(row.state),
        scorings=loading.load_scorings(reading, ecg_id),
        messages=_message_stories(reading, ecg_id),
        job_state=None if job is None else JobState(job.state),
        job_errors=errors_of(reading, errors),
        events=audit.events(reading.connection, ecg_id),
        recording=_recording(reading, row),
        documents=documents.beside(reading, row.recording_id),
        orders=_orders(reading, row),
    )


def _orders(reading: Reading, row: EcgVersion) -> OrderStory | None:
    """Which order the newest result of the recording answers, and which orders there are."""
    newest = recordings.newest(reading, row.recording_id)
    subject = drafts.subject_of(reading, newest, recordings.patient_of(reading, newest))
    answer = order_answers.newest_of(reading, row.recording_id)
    known = order_answers.known_for(reading, subject)
    return OrderStory(answer=answer, known=known) if answer or known else None


def _recording(reading: Reading, row: EcgVersion) -> RecordingStory:
    """Every version of the recording, and what was asked and decided about it."""
    came = reading.connection.execute(
        select(*ecg.c, payload.c.transport)
        .join(payload, payload.c.payload_id == ecg.c.payload_id)
        .where(ecg.c.recording_id == row.recording_id)
        .order_by(ecg.c.version)
    )
    versions = [(EcgVersion(*version), transport) for *version, transport in came]
    decided = recordings.standing(reading, row.recording_id)
    belongs_to = recordings.patient_of(reading, versions[-1][0])
    return RecordingStory(
        recording_id=row.recording_id,
        patient=identity.surviving_patient(reading, belongs_to),
        versions=tuple(_version(reading, one, transport, belongs_to) for one, transport in versions),
        patient_named=decided.patient is not None,
        moved=decided.generation,
        withdrawn=decided.withdrawn,
        holds=tuple(
            HeldStory(
                hold_id=one.hold_id,
                question=one.question.value,
                opened_at=one.opened_at,
                patients=one.patients,
                decision=one.decision,
                decided_by=one.decided_by,
                reason=one.reason,
            )
            for one in holds.listed(reading, recording_id=row.recording_id, decided=True)
        ),
        results=tuple(_results(reading, row.recording_id, decided.generation)),
    )


def _version(reading: Reading, row: EcgVersion, transport: str, belongs_to: Patient) -> VersionStory:
    own = recordings.own_patient(reading, row)
    return VersionStory(
        ecg_id=row.ecg_id,
        version=row.version,
        source=row.source,
        transport=transport,
        received_at=row.received_at,
        state=EcgState(row.state),
        patient=own,
        same_person=recordings.same_person(reading, own, belongs_to),
    )


def _results(reading: Reading, recording_id: int, generation: int) -> Iterator[ResultStory]:
    """Where the result of a recording stands at each receiver, under each number it had there."""
    told_to = select(message.c.destination).where(message.c.recording_id == recording_id).distinct()
    for destination in sorted(reading.connection.scalars(told_to)):
        sent = message_rows.told_so_far(reading, recording_id, destination)
        for filler in dict.fromkeys(one.filler for one in sent):
            state = state_of(sent, filler, generation=generation)
            last = max(one.message_id for one in sent if one.filler == filler)
            told = message_rows.message_of(reading, last)
            version = recordings.version(reading, told.ecg_id)
            filed = message_rows.filed_as(reading, told, version)
            yield ResultStory(destination=destination, filler=filler, state=state.value, patient=filed)


def _with_signal_if_kept(reading: Reading, ecg_id: int) -> StagedEcg:
    try:
        return loading.load(reading, [ecg_id], signals=True)[0]
    except NotFound:
        return loading.load(reading, [ecg_id], signals=False)[0]


def _message_stories(reading: Reading, ecg_id: int) -> tuple[MessageStory, ...]:
    mine = select(message).where(message.c.ecg_id == ecg_id).order_by(message.c.message_id)
    rows = every_row(reading.connection, MessageRow, mine)
    bodies = message_rows.bodies(reading, [row for row in rows if row.body_sha256 is not None])
    return tuple(_message_story(reading, row, bodies.get(row.message_id)) for row in rows)


def _message_story(reading: Reading, row: MessageRow, body: bytes | None) -> MessageStory:
    return MessageStory(
        message_id=row.message_id,
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        state=MessageState(row.state),
        in_doubt=row.in_doubt > 0 and row.state != MessageState.ACKNOWLEDGED.value,
        body=body,
        attempts=row.attempts,
        errors=message_rows.errors(reading, row.message_id),
        acknowledgement=message_rows.ack_of(reading, row),
        sent_at=row.sent_at,
        acknowledged_at=row.acknowledged_at,
        page=row.page,
    )
