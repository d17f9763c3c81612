"""A payload that was read again waits a while for second thoughts; whoever has them finds the store as it was."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from ecgfm_clinical.staging.kept import KeptPayload
from ecgfm_connectors.base import Disposition, Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.errors import Unreadable

if TYPE_CHECKING:
    from tests.clinical.staging.conftest import Ward


@pytest.fixture
def damaged(ward: "Ward") -> Received:
    """Bytes that no reader of then could read."""
    received = ward.received()
    ward.take(Unreadable("decoder-fault", "a fault"), received)
    return received


def _read(ward: "Ward", received: Received, *ecgs: Ecg, until: datetime) -> KeptPayload:
    """What it was before today's reader found these in it."""
    (before,) = ward.store.payloads.set_aside(limit=9)
    verdict = ward.store.intake.record(
        received, Contents(ecgs=ecgs), now=ward.later(seconds=1), actor="ada", not_before=until
    )
    assert verdict.disposition is Disposition.STAGED
    return before


def _undone(ward: "Ward", before: KeptPayload, *, until: datetime) -> bool:
    store = ward.store.payloads
    return store.set_aside_again([before], due_at=until, now=ward.later(seconds=2), actor="ada") == [before.payload_id]


def test_it_is_scored_only_once_the_time_is_over(ward: "Ward", damaged: Received) -> None:
    _read(ward, damaged, ward.ecg(order=Order(stat=True)), until=ward.later(seconds=31))
    other = ward.take().ecg_ids
    assert tuple(job.ecg_id for job in ward.claim(now=ward.later(seconds=30))) == other
    assert len(ward.claim(now=ward.later(seconds=31))) == 1


def test_a_clock_that_was_set_back_by_an_hour_makes_it_wait_no_longer(ward: "Ward", damaged: Received) -> None:
    _read(ward, damaged, ward.ecg(), until=ward.later(seconds=31))
    assert len(ward.claim(now=ward.later(hours=-1))) == 1


def test_undone_it_is_as_if_nobody_had_read_it(ward: "Ward", damaged: Received) -> None:
    sums, until = ward.store.questions.counts(), ward.later(seconds=31)
    one, two = ward.ecg(order=Order(placer="P1", filler="F1")), ward.ecg()
    before = _read(ward, damaged, one, two, until=until)
    assert ward.store.questions.counts() != sums
    assert _undone(ward, before, until=until)
    assert ward.store.payloads.set_aside(limit=9) == [before]
    assert ward.store.questions.counts() == sums
    assert not ward.claim(now=ward.later(minutes=5))
    assert not _undone(ward, before, until=until), "once"
    _read(ward, damaged, one, two, until=until)
    assert len(ward.claim(now=ward.later(minutes=5))) == 2
    assert ward.store.care.audit_faults() == []


def test_what_a_person_had_looked_at_needs_nobody_again(ward: "Ward", damaged: Received) -> None:
    until = ward.later(seconds=31)
    ward.store.questions.payload_seen(1, reason="a test", now=ward.now, actor="ada")
    before = _read(ward, damaged, ward.ecg(), until=until)
    assert _undone(ward, before, until=until)
    assert not ward.store.payloads.one(1).needs_a_person


def test_what_came_again_meanwhile_is_counted(ward: "Ward", damaged: Received) -> None:
    until = ward.later(seconds=31)
    one = ward.ecg()
    before = _read(ward, damaged, one, until=until)
    ward.take(one, damaged)
    assert _undone(ward, before, until=until)
    assert ward.store.payloads.one(1).repeats == 1


def test_what_a_worker_has_in_hand_goes_on(ward: "Ward", damaged: Received) -> None:
    until = ward.later(seconds=31)
    before = _read(ward, damaged, ward.ecg(), until=until)
    (job,) = ward.claim(now=until)
    assert not _undone(ward, before, until=until)
    ward.finish(job)
    assert not _undone(ward, before, until=until)
    assert ward.store.ecgs.story(job.ecg_id).scorings


def test_a_recording_with_another_version_goes_on(ward: "Ward", damaged: Received) -> None:
    until = ward.later(seconds=31)
    one = ward.ecg()
    before = _read(ward, damaged, one, until=until)
    ward.take(replace(one, sampling_rate=250.0))
    assert not _undone(ward, before, until=until)
    assert ward.store.questions.counts().received == 2
