"""Recordings of an archive in the store: scored after live work, told where somebody asks, never over a live one."""

from dataclasses import replace
from typing import Any

from ecgfm_clinical.staging.records import HISTORY
from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Ecg, Order


def put_in(ward: Any, one: Ecg, content: bytes | None = None) -> Verdict:
    verdict: Verdict = ward.take(one, ward.received(content, source=HISTORY, transport="file"))
    return verdict


def kinds(ward: Any, ecg_id: int) -> list[str]:
    return [message.kind for message in ward.store.ecgs.story(ecg_id).messages]


def test_history_is_scored_after_live_work_also_where_its_order_was_urgent(ward: Any) -> None:
    old = put_in(ward, ward.ecg(order=Order(stat=True))).ecg_ids[0]
    live = ward.take().ecg_ids[0]
    assert [job.ecg_id for job in ward.claim()] == [live, old]


def test_no_receiver_hears_of_history_unless_a_person_asks(ward: Any) -> None:
    (ecg_id,) = put_in(ward, ward.ecg()).ecg_ids
    ward.score_all()
    assert kinds(ward, ecg_id) == []
    assert len(ward.store.ecgs.story(ecg_id).scorings) == 1
    ward.store.jobs.rescore([ecg_id], now=ward.now, actor="operator")
    ward.score_all(probability=0.9)
    assert len(ward.store.ecgs.story(ecg_id).scorings) == 2
    assert kinds(ward, ecg_id) == [], "another score of it is no request either"
    ward.store.results.correct(ecg_id, reason="the clinic wants it", now=ward.now, actor="operator")
    ward.score_all()
    assert kinds(ward, ecg_id) == ["F"]


def test_backlog_of_history_is_no_delay(ward: Any) -> None:
    put_in(ward, ward.ecg())
    waiting = ward.store.questions.backlog()
    assert (waiting.jobs_waiting, waiting.oldest_job) == (1, None)
    ward.take()
    assert ward.store.questions.backlog().oldest_job == ward.now


def test_history_that_comes_live_is_told_like_any_other(ward: Any) -> None:
    """By the same bytes, or as a copy in other bytes; before it was scored, and after."""
    for scored in (True, False):
        for content in (b"same", b"other"):
            one = ward.ecg()
            history = f"{one.source_id} ".encode() + b"same"
            (ecg_id,) = put_in(ward, one, history).ecg_ids
            if scored:
                ward.score_all()
            before = ward.store.questions.count_table()
            verdict = ward.take(one, ward.received(f"{one.source_id} ".encode() + content))
            assert verdict.disposition is Disposition.DUPLICATE
            assert verdict.ecg_ids == (ecg_id,)
            after = ward.store.questions.count_table()
            assert after.total == before.total
            assert after.by_head == before.by_head
            assert after.by_source["carts"].received == ward.store.questions.counts().received
            (job,) = ward.claim()
            assert (job.ecg_id, job.priority) == (ecg_id, 10)
            ward.finish(job)
            assert kinds(ward, ecg_id) == ["F"]


def test_history_adds_nothing_to_a_recording_that_came_live(ward: Any) -> None:
    """An archive has another spelling of the name, say; what was told stands, and a live correction still counts."""
    one = ward.ecg(patient=ward.patient("1"))
    (ecg_id,) = ward.take(one).ecg_ids
    ward.score_all()
    other = replace(one, patient=ward.patient("2"))
    verdict = put_in(ward, other)
    assert verdict.disposition is Disposition.DUPLICATE
    assert verdict.ecg_ids == (ecg_id,)
    assert ward.claim() == []
    assert ward.store.results.holds() == []
    assert kinds(ward, ecg_id) == ["F"]
    ward.take(Contents(ecgs=(replace(one, signal=one.signal + 1),)))
    ward.score_all(probability=0.7)
    assert ward.store.questions.counts().received == 2


def test_another_version_that_comes_live_after_history_is_told(ward: Any) -> None:
    one = ward.ecg()
    (old,) = put_in(ward, one).ecg_ids
    ward.score_all()
    (new,) = ward.take(replace(one, signal=one.signal + 1)).ecg_ids
    assert new != old
    ward.score_all()
    assert (kinds(ward, old), kinds(ward, new)) == ([], ["F"])
