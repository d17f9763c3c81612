"""What stands at the receivers in the end, against the truth of the lives that were led meanwhile."""

from collections.abc import Iterator, Mapping, Sequence

from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.staging.story_records import EcgStory
from ecgfm_connectors.hl7 import message
from tests.campaign import fhir, pacs
from tests.campaign.fhir import MoodyFhirServer
from tests.campaign.lives import PLACER, Life, Lives
from tests.campaign.pacs import MoodyPacs
from tests.clinical.lifecycle.truth import Receiver, Standing


def judge(
    store: Store, lives: Lives, accepted: Mapping[str, Sequence[bytes]], server: MoodyFhirServer, archive: MoodyPacs
) -> Iterator[str]:
    """Everything that is not as it should be. `accepted`: what each receiver took, repeats included, in order; what
    stands at `server` and `archive` they say themselves.
    """
    yield from lives.broken
    for held in store.results.holds():
        yield f"question {held.hold_id} was asked and nobody answered"
    for destination, bodies in accepted.items():
        if destination == "fhir":
            continue
        receiver = Receiver()
        for body in bodies:
            try:
                _take(receiver, body)
            except AssertionError as error:
                yield f"{destination}: {error}"
        for name, life in lives.lives.items():
            yield from (f"{name} at {destination}: {wrong}" for wrong in _wrong(store, lives, life, receiver.of(name)))
    stands = fhir.standing(server)
    for name, life in lives.lives.items():
        yield from (f"{name} at fhir: {wrong}" for wrong in _wrong(store, lives, life, stands.get(name, ())))
    yield from fhir.doubled(server)
    stories = {name: [store.ecgs.story(one) for one in lives.versions(life)] for name, life in lives.lives.items()}
    filed = pacs.standing(archive, [story for told in stories.values() for story in told])
    for name, told in stories.items():
        wrongs = _wrong_in_archive(store, lives, lives.lives[name], told, filed.get(name, ()))
        yield from (f"{name} at pacs: {wrong}: {pacs.told(told)}" for wrong in wrongs)


def _wrong_in_archive(
    store: Store, lives: Lives, life: Life, stories: Sequence[EcgStory], stands: Sequence[Standing]
) -> Iterator[str]:
    """A result is held, and an older one may stand, while its waveform object there names another patient."""
    if not pacs.is_held(stories):
        yield from _wrong(store, lives, life, stands)
        return
    if len(stands) > 1:
        yield f"{len(stands)} results stand where one is held"
    newest = max(stories[0].recording.versions, key=lambda one: one.ecg_id)
    if lives.people.survivor(life.truth.number) == newest.patient.identifiers[0].value:
        yield from _wrong(store, lives, life, stands)  # what is held told of an earlier version, and this one stands


def _take(receiver: Receiver, body: bytes) -> None:
    parsed = message.parse(body)
    pid, obr = (next(one for one in parsed.segments if one.name == name) for name in ("PID", "OBR"))
    if not obr.value(2).startswith(PLACER):
        return
    observations = [one for one in parsed.segments if one.name == "OBX" and one.value(2) == "NM"]
    receiver.take(
        control_id=parsed.control_id,
        body=body,
        filler=obr.value(3),
        recording=obr.value(2),
        number=pid.value(3),
        status=observations[0].value(11),
        says=" ".join(one.value(5) for one in observations),
    )


def _wrong(store: Store, lives: Lives, life: Life, stands: Sequence[Standing]) -> Iterator[str]:
    """Of one recording at one receiver."""
    truth = life.truth
    if truth.withdrawn or truth.taken_back == str(life.said):
        if stands:
            yield f"a result stands that was taken back: {truth}"
        return
    if len(stands) != 1:
        yield f"{len(stands)} results stand where one should: {truth}"
        return
    if not lives.people.same(stands[0].number, truth.number):
        yield f"a result stands at another person's number: {truth}"
    newest = store.ecgs.story(lives.versions(life)[-1])
    expected = [score.probability for score in newest.scorings[-1].scores]
    told = [float(value) for value in stands[0].says.split()]
    if len(told) != len(expected) or any(abs(one - (two or 0)) > 0.01 for one, two in zip(told, expected, strict=True)):
        yield "an old result stands"
