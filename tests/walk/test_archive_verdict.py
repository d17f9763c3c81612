"""What the kill campaign says of a PACS: a wrong order is told, and a doubt that no sender can solve is none."""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.story_records import EcgStory
from tests.campaign import pacs
from tests.campaign.pacs import AT_OBJECT, Mood, MoodyPacs
from tests.helpers.fakes import Clock, make_ecg
from tests.helpers.installation import Installation, patient

pytestmark = pytest.mark.slow(5)


class ScriptedPacs(MoodyPacs):
    """Does with the next objects what it is told, and takes all others."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.next: list[Mood] = []

    def _mood(self, moods: Sequence[Mood], often: float) -> Mood:
        return self.next.pop(0) if moods == AT_OBJECT and self.next else Mood.TAKES


@pytest.fixture
def archive() -> Iterator[ScriptedPacs]:
    made = ScriptedPacs()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def house(tmp_path: Path, archive: ScriptedPacs) -> Iterator[Installation]:
    table = f'[[destinations.dicom]]\nname = "pacs"\nhost = "127.0.0.1"\nport = {archive.port}\nae_title = "PACS"\n'
    made = Installation(tmp_path, more=table)
    yield made
    made.close()


@pytest.fixture
def send(house: Installation) -> Callable[[], None]:
    """Until nothing waits for the PACS."""
    clock = Clock()
    clock.now = datetime.now(UTC)

    def until_none_waits() -> None:
        while any(one.state is MessageState.WAITING for one in story(house).messages):
            clock.advance(minutes=6)
            for reporter in wiring.build_reporters(house.settings, house.store, clock=clock):
                while reporter.run_batch():
                    pass

    return until_none_waits


def story(house: Installation) -> EcgStory:
    return house.store.ecgs.story(1)


def test_a_result_in_doubt_that_never_came_is_rejected_and_that_is_no_fault(
    house: Installation, archive: ScriptedPacs, send: Callable[[], None]
) -> None:
    archive.next = [Mood.DROPS, Mood.NEVER]
    house.dicom(make_ecg(1, patient=patient("P1")))
    house.score()
    send()
    (doubted,) = (one for one in story(house).messages if one.destination == "pacs")
    assert (doubted.state, doubted.in_doubt, archive.kept) == (MessageState.DEAD, True, {})
    assert house.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    send()
    assert len(archive.kept) == 1, "the note alone"
    assert list(pacs.judge(archive, [story(house)])) == []
    assert pacs.standing(archive, [story(house)]) == {}


def test_a_note_that_came_before_what_it_rejects_is_a_fault(
    house: Installation, archive: ScriptedPacs, send: Callable[[], None]
) -> None:
    house.dicom(make_ecg(1, patient=patient("P1")))
    house.score()
    send()
    assert house.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    send()
    assert list(pacs.judge(archive, [story(house)])) == []
    report, note = archive.kept
    archive.kept = {uid: archive.kept[uid] for uid in (note, report)}
    assert any(
        one == f"pacs was told to reject {report} before it had it" for one in pacs.judge(archive, [story(house)])
    )
