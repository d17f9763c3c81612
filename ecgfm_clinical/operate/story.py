"""The output of `status` and `show`: the store's bookkeeping, as a document for programs and as text for people."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ecgfm_clinical.ecg.inspection import MASK, describe
from ecgfm_clinical.monitoring.attention import needs_person
from ecgfm_clinical.operate import people
from ecgfm_clinical.settings import Attention

if TYPE_CHECKING:
    from ecgfm_clinical.staging.records import AttemptError, Counts, Scoring
    from ecgfm_clinical.staging.store import Store
    from ecgfm_clinical.staging.story_records import EcgStory, MessageStory, RecordingStory
    from ecgfm_connectors.patient import Patient


def status_of(
    store: "Store",
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    limits: Attention | None = None,
    sources: Sequence[str] = (),
) -> dict[str, Any]:
    """The state of the installation; the ECGs counted are those received in [since, until).

    `sources` are the listeners and sources of the settings: when each last brought something is told.
    `needs_person` holds everything that waits for a person, and `count` of it; `needs_attention`: whether there is any.
    """
    table, backlog = store.questions.count_table(since=since, until=until), store.questions.backlog()
    displaced = store.home.displaced()
    acknowledged = store.movement.last_acknowledged(backlog.destinations)
    destinations = {
        name: {
            "waiting": one.waiting + one.running,
            "set_aside": {why.value: number for why, number in sorted(one.set_aside.items())},
            "set_aside_in_doubt": one.set_aside_in_doubt,
            "oldest_seconds": _age(one.oldest, now),
            "state": (stands := store.destinations.status(name, now=now)).state.value,
            "out_of_reach_seconds": _age(stands.since, now),
            "last_acknowledged_at": _iso(acknowledged[name]),
        }
        for name, one in backlog.destinations.items()
    }
    needs = needs_person(store, now=now, limits=limits or Attention(), backlog=backlog)
    return {
        "ecgs": asdict(table.total),
        "by_source": {name: asdict(counts) for name, counts in table.by_source.items()},
        "by_head": {name: asdict(counts) for name, counts in table.by_head.items()},
        "last_received_at": {name: _iso(at) for name, at in store.movement.last_received(sources).items()},
        "scoring": {
            "waiting": backlog.jobs_waiting,
            "running": backlog.jobs_running,
            "failed": backlog.jobs_failed,
            "oldest_seconds": _age(backlog.oldest_job, now),
        },
        "destinations": destinations,
        "set_aside": store.questions.refusals(),
        "outcomes": [asdict(one) for one in store.outcomes.counts()],
        "model": _models(store),
        "audit_messages": _audit_messages(store, now),
        "displaced": displaced,
        "paused": [
            {
                "kind": one.kind,
                "name": one.name,
                "reason": one.reason,
                "paused_at": one.paused_at,
                "paused_by": one.paused_by,
            }
            for one in store.pauses.current()
        ],
        "owed": store.pauses.owed(),
        "needs_person": needs.document(),
        "needs_attention": needs.count > 0,
    }


def _audit_messages(store: "Store", now: datetime) -> dict[str, object] | None:
    """What waits for the audit repository; None where nothing is told to one."""
    untold = store.audit_spool.untold()
    if not (untold.count or store.database.spooled):
        return None
    return {"waiting": untold.count, "oldest_seconds": _age(untold.oldest, now)}


def _models(store: "Store") -> dict[str, object]:
    """Which model is live, which answers in its shadow, and what the last drift report found."""

    registry = store.models
    live, shadow, drift = registry.live(), registry.shadow(), registry.last_drift()
    return {
        "live": live and {"model_id": live.model_id, "name": live.name, "version": live.version},
        "shadow": shadow and {"model_id": shadow[0].model_id, "name": shadow[0].name, "version": shadow[0].version},
        "drift": drift
        and {"at": drift.at, "model_id": drift.model_id, "findings": [asdict(one) for one in drift.findings]},
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else round((now - since).total_seconds(), 1)


def sum_text(counts: "Counts") -> str:
    """The sum that must close."""
    return (
        f"{counts.received} received = {counts.scored} scored + {counts.not_evaluable} not evaluable"
        f" + {counts.failed} failed + {counts.waiting} waiting"
    )


def status_text(found: dict[str, Any]) -> str:
    """`status_of` for people."""
    return "\n".join(_status_lines(found))


def _status_lines(found: dict[str, Any]) -> Iterator[str]:
    from ecgfm_clinical.staging.records import Counts

    yield f"ECGs            {sum_text(Counts(**found['ecgs']))}"
    for name, counts in found["by_source"].items():
        yield f"  from {name:10} {sum_text(Counts(**counts))}"
    for name, counts in found["by_head"].items():
        yield f"  head {name:10} {sum_text(Counts(**counts))}"
    for name, at in found["last_received_at"].items():
        yield f"  last by {name:7} {at or 'never'}"
    scoring = found["scoring"]
    yield f"score jobs      {scoring['waiting']} waiting, {scoring['running']} running, {scoring['failed']} failed"
    for name, one in found["destinations"].items():
        oldest = f", oldest {one['oldest_seconds']:.0f} s" if one["oldest_seconds"] is not None else ""
        aside = one["set_aside"]
        reasons = ", ".join(f"{number} {why}" for why, number in aside.items())
        set_aside = f"{sum(aside.values())} set aside" + (f" ({reasons})" if aside else "")
        last = f", last acknowledged {one['last_acknowledged_at'] or 'never'}"
        yield f"to {name:12} {one['waiting']} messages waiting{oldest}, {set_aside}{last}"
        if one["state"] != "closed":
            yield (
                f"  {name:13} can't be reached for {one['out_of_reach_seconds']:.0f} s; all messages follow its first "
                "answer"
            )
    if (untold := found["audit_messages"]) is not None:
        oldest = f", oldest {untold['oldest_seconds']:.0f} s" if untold["oldest_seconds"] is not None else ""
        yield f"audit messages  {untold['waiting']} wait for the audit repository{oldest}"
    if found["displaced"]:
        yield f"DISPLACED       nothing is sent, because {found['displaced']}; see `ecgfm-clinical store adopt --help`"
    for one in found["paused"]:
        what = " ".join(filter(None, (one["kind"], one["name"])))
        yield f"PAUSED          {what} since {_iso(one['paused_at'])} by {one['paused_by']}: {one['reason']}"
    for head, number in found["owed"].items():
        yield f"owed            {number} ECGs wait for the answer of {head}, which was paused when they were scored"
    yield from _model_lines(found["model"])
    for code, count in found["set_aside"].items():
        yield f"set aside       {count} × {code}"
    for one in found["outcomes"]:
        what = f"left out: {one['reason']}" if one["reason"] else "taken"
        yield f"outcomes        {one['source']}: {one['number']} × {one['kind']} {one['code']} {what}"
    yield from _needs_lines(found["needs_person"])


def _needs_lines(needs: dict[str, Any]) -> Iterator[str]:
    """What waits for a person, and the command that shows each."""
    if not needs["count"]:
        return
    yield f"A person must look at {needs['count']}:"
    for question, number in needs["held"].items():
        yield f"  {number} × {question}, held: `ecgfm-clinical held list`"
    for why, number in needs["set_aside"].items():
        yield f"  {number} × message set aside, {why}: `ecgfm-clinical replay --dead --list`"
    if needs["set_aside_in_doubt"]:
        yield (
            f"    {needs['set_aside_in_doubt']} of these messages may have left all the same: the receiver may hold "
            "them"
        )
    if needs["failed_score_jobs"]:
        yield f"  {needs['failed_score_jobs']} × ECG whose scoring failed: `ecgfm-clinical show ECG`"
    if needs["patient_mismatches"]:
        yield (
            f"  {needs['patient_mismatches']} × payload refused, for it names two patients: "
            "`ecgfm-clinical payloads list`"
        )
    if needs["unreadable"]:
        yield f"  {needs['unreadable']} × payload that cannot be read, or in part: `ecgfm-clinical payloads list`"
    if needs["unscored_too_long"]:
        yield "  an ECG waits too long for its score: is `ecgfm-clinical run --role score` running?"
    for name in needs["unsent_too_long"]:
        yield f"  a result waits too long for {name}: `ecgfm-clinical check`"
    for name in needs["out_of_reach"]:
        yield f"  {name} cannot be reached for too long: `ecgfm-clinical check`, then the receiver's side"
    for one in needs["failing_tasks"]:
        yield f"  task {one['task']} is {one['state']} ({one['error'] or 'no error'}) in {one['process']}: see its log"
    for holder in needs["silent_processes"]:
        yield f"  the process {holder} gives no sign of life: see its host"
    if needs["displaced"]:
        yield "  the store lies elsewhere than where it last sent from: `ecgfm-clinical store adopt --help`"


def _model_lines(found: dict[str, Any]) -> Iterator[str]:
    for what, one in (("live", found["live"]), ("shadow", found["shadow"])):
        if one:
            yield f"model {what:9} {one['name']} {one['version']} ({one['model_id'][:12]})"
    drift = found["drift"]
    for finding in drift["findings"] if drift else ():
        yield f"drift           {finding['month']}: {finding['text']}"


def story_of(story: "EcgStory", *, phi: bool) -> dict[str, Any]:
    """Everything the store knows of one ECG. Identifying values and message bodies are masked unless `phi`."""
    staged = story.ecg
    return {
        "ecg_id": staged.ecg_id,
        "state": story.state.value,
        "version": staged.version,
        "source": staged.source,
        "received_at": staged.received_at.isoformat(),
        "payload_sha256": staged.payload_sha256,
        "ecg": describe(staged.ecg, phi=phi),
        "score_job": {
            "state": story.job_state.value if story.job_state else "held",
            "errors": [_error(error) for error in story.job_errors],
        },
        "recording": _recording(story.recording, phi=phi),
        "scorings": [_scoring(one) for one in story.scorings],
        "messages": [_message(one, phi=phi) for one in story.messages],
        "events": [
            {"at": one.at.isoformat(), "actor": one.actor, "action": one.action, **one.detail} for one in story.events
        ],
    }


def _recording(one: "RecordingStory", *, phi: bool) -> dict[str, object]:
    def who(patient: "Patient") -> str:
        return people.named(patient) if phi else MASK

    return {
        "recording_id": one.recording_id,
        "patient": who(one.patient),
        "versions": [{**asdict(version), "patient": who(version.patient)} for version in one.versions],
        "patient_named": one.patient_named,
        "moved": one.moved,
        "withdrawn": one.withdrawn,
        "holds": [{**asdict(held), "patients": [who(patient) for patient in held.patients]} for held in one.holds],
        "results": [{**asdict(result), "patient": who(result.patient)} for result in one.results],
    }


def _error(error: "AttemptError") -> dict[str, object]:
    return {**asdict(error), "at": error.at.isoformat()}


def _scoring(one: "Scoring") -> dict[str, object]:
    return {**asdict(one), "scored_at": one.scored_at.isoformat()}


def _message(one: "MessageStory", *, phi: bool) -> dict[str, object]:
    ack = one.acknowledgement
    return {
        "message_id": one.message_id,
        "destination": one.destination,
        "control_id": one.control_id,
        "kind": one.kind,
        "state": one.state.word,
        "in_doubt": one.in_doubt,
        "attempts": one.attempts,
        "errors": [_error(error) for error in one.errors],
        "sent_at": one.sent_at.isoformat() if one.sent_at else None,
        "acknowledged_at": one.acknowledged_at.isoformat() if one.acknowledged_at else None,
        "acknowledgement": {"code": ack.code, "error_code": ack.error_code, "text": ack.text if phi else MASK}
        if ack
        else None,
        "body": (one.body.decode("utf-8", "replace") if phi else MASK) if one.body else None,
    }


def story_text(found: dict[str, Any]) -> str:
    """`story_of` for people."""
    return "\n".join(_story_lines(found))


def _story_lines(found: dict[str, Any]) -> Iterator[str]:
    ecg = found["ecg"]
    yield f"ECG {found['ecg_id']} (version {found['version']}), {found['state']}"
    yield f"  received   {found['received_at']} from {found['source']}, {ecg['format']}"
    yield f"  recorded   {ecg['acquired_at'] or 'unknown'}, {ecg['duration_seconds']} s at {ecg['sampling_rate']:g} Hz"
    yield f"  device     {' '.join(filter(None, ecg['device'].values())) or 'unknown'}"
    for finding in (*ecg["findings"], *(ecg["quality"] or ())):
        yield f"  finding    {finding['code']}: {finding['text']}"
    yield from (f"  age        in doubt: {doubt}" for doubt in ecg["age"]["doubts"])
    for told in ecg["understood"]:
        doubt = "" if told["certainty"] == "stated" else f", {told['certainty']}"
        yield (
            f"  says       {told['category']}: {told['concept']}{doubt} "
            f"({' '.join(filter(None, (told['source'], told['code'])))})"
        )
    for error in found["score_job"]["errors"]:
        yield f"  attempt {error['attempt']}  {error['at']} {error['kind']}: {error['text']}"
    for scoring in found["scorings"]:
        demo = ", NOT FOR CLINICAL USE" if scoring["demo"] else ""
        yield (
            f"  scored     {scoring['scored_at']} by {scoring['model_name']} "
            f"{scoring['model_id'][:12]}{demo}{_rests_on(scoring)}"
        )
        yield from (f"    {_score_line(score)}" for score in scoring["scores"])
    for message in found["messages"]:
        ack = message["acknowledgement"]
        answer = f", answered {ack['code']} {message['acknowledged_at'] or ''}" if ack else ""
        yield (
            f"  message    {message['control_id']} ({message['kind']}) to {message['destination']}: "
            f"{message['state']}{answer}"
        )
        yield from (f"    attempt {e['attempt']} {e['at']} {e['kind']}: {e['text']}" for e in message["errors"])
        if ack and ack["text"] not in ("", MASK):
            yield f"    answer {ack['code']} {ack['error_code']}: {ack['text']}"
        if message["body"] and message["body"] != MASK:
            yield from (f"    {segment}" for segment in message["body"].split("\r") if segment)
    yield from _recording_lines(found["recording"], found["ecg_id"])
    for event in found["events"]:
        yield f"  {event['at']} {event['action']} ({event['actor']})"


def _recording_lines(recording: dict[str, Any], ecg_id: int) -> Iterator[str]:
    """The other versions of the recording, whose it is, what stands where, and what was asked about it."""
    for one in recording["versions"]:
        if one["ecg_id"] != ecg_id:
            yield (
                f"  version {one['version']}  ECG {one['ecg_id']}, {one['received_at'].isoformat()} "
                f"from {one['source']} by {one['transport']}, {one['state']}"
                + ("" if one["same_person"] else f", names another patient {_shown(one['patient'])}".rstrip())
            )
    own = next(one for one in recording["versions"] if one["ecg_id"] == ecg_id)
    if not own["same_person"]:
        yield (
            "  patient    belongs to another patient than the payload names"
            + f" {_shown(recording['patient'])}".rstrip()
        )
    if recording["patient_named"]:
        yield f"  patient    named for the recording, not taken from the payload; moved {recording['moved']} times"
    if recording["withdrawn"]:
        yield f"  withdrawn  {recording['withdrawn']}"
    for one in recording["results"]:
        yield f"  result     {one['filler']} at {one['destination']}: {one['state']} {_shown(one['patient'])}".rstrip()
    for one in recording["holds"]:
        decided = (
            f"{one['decision']} by {one['decided_by']}: {one['reason']}" if one["decision"] else "waits for a person"
        )
        yield f"  held       {one['hold_id']} {one['question']}, {decided}"
        yield from (f"    between    {who}" for who in one["patients"] if who != MASK)


def _shown(who: str) -> str:
    return "" if who == MASK else f"({who})"


def _rests_on(scoring: dict[str, object]) -> str:
    count = scoring["segments"]
    return f", on {count} segment{'' if count == 1 else 's'} of 5 s" if count else ""


def _score_line(score: dict[str, Any]) -> str:
    if score["probability"] is None:
        return f"{score['head']} {score['label']}: not evaluable: " + "; ".join(text for _, text in score["reasons"])
    flag = {True: ", positive", False: ", negative", None: ""}[score["positive"]]
    return f"{score['head']} {score['label']}: {score['probability']:.4f}{flag}"
