"""Storage Commitment: a PACS that keeps, loses, forgets, or does not offer to say, over either association."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from ecgfm_connectors.dicom.results import statuses
from ecgfm_connectors.dicom.results.commitment import PUSH_MODEL, Commitment
from ecgfm_connectors.dicom.results.storing import STORED, Pacs, StorageDestination
from ecgfm_connectors.result import Ack
from tests.helpers.dicom_results import every_form, objects
from tests.helpers.ports import free_port

pytestmark = pytest.mark.slow(8)

PAGED = every_form()["result with page"]
INSTANCE = "1.2.840.10008.1.20.1.1"


class Archive:
    """A PACS that reports over the same association, or calls `report_to`."""

    def __init__(
        self,
        *,
        loses: bool = False,
        forgets: bool = False,
        refuses: int = 0,
        answers: bool = True,
        report_to: int | None = None,
    ) -> None:
        self.asked: list[Dataset] = []
        self.accepted: list[int] = []  #: statuses of the N-EVENT-REPORTs
        self._loses = loses
        self._forgets = forgets
        self._refuses = refuses
        self._answers = answers
        self._report_to = report_to
        self.reporting: list[Thread] = []

    def act(self, event: Any) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self._answers and not self._refuses:
            said = (event.assoc, self._report(event.action_information))
            report = Thread(target=self._call if self._report_to else self._tell, args=said)
            self.reporting.append(report)
            report.start()
        return self._refuses, None

    def _report(self, question: Dataset) -> Dataset:
        report = Dataset()
        report.TransactionUID = question.TransactionUID
        kept = list(question.ReferencedSOPSequence)
        if self._forgets:
            kept.pop()
        if self._loses:
            lost = kept.pop()
            lost.FailureReason = 0x0112
            report.FailedSOPSequence = [lost]
        report.ReferencedSOPSequence = kept
        return report

    def _tell(self, association: Any, report: Dataset) -> None:
        stale = Dataset()
        stale.TransactionUID, stale.ReferencedSOPSequence = "2.25.1", []
        for one in (stale, report):
            status, _ = association.send_n_event_report(one, 2 if self._loses else 1, PUSH_MODEL, INSTANCE)
            self.accepted.append(int(status.Status))

    def _call(self, _: Any, report: Dataset) -> None:
        entity = AE(ae_title="PACS")
        entity.add_requested_context(PUSH_MODEL)
        assert self._report_to is not None
        role = build_role(PUSH_MODEL, scp_role=True)
        back = entity.associate("127.0.0.1", self._report_to, ae_title="ECGFM", ext_neg=[role])
        assert back.is_established
        self._tell(back, report)
        back.release()


@contextmanager
def serving(archive: Archive, *, offers: bool = True) -> Iterator[int]:
    entity = AE(ae_title="PACS")
    for uid in (*STORED, *([PUSH_MODEL] if offers else [])):
        entity.add_supported_context(uid)
    port = free_port()
    server = entity.start_server(
        ("127.0.0.1", port),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000), (evt.EVT_N_ACTION, archive.act)],
    )
    assert server is not None
    try:
        yield port
    finally:
        for one in archive.reporting:
            one.join()
        server.shutdown()


def sent(archive: Archive, *, offers: bool = True, seconds: float = 60, port: int | None = None) -> Ack:
    with serving(archive, offers=offers) as pacs:
        peer = Pacs(host="127.0.0.1", port=pacs, called="PACS", calling="ECGFM", timeout=20)
        wanted = Commitment(seconds=seconds, host="127.0.0.1", port=port)
        return StorageDestination(name="pacs", pacs=peer, needed=(), commitment=wanted).send(PAGED, control_id="E1")


@pytest.mark.parametrize("port", [lambda: None, free_port], ids=["same association", "association of the PACS"])
def test_what_the_pacs_keeps_is_done_whichever_way_it_reports(port: Callable[[], int | None]) -> None:
    at = port()
    archive = Archive(report_to=at)
    answer = sent(archive, port=at)
    assert (statuses.reaction(answer), answer.text) == ("done", "the PACS has committed itself to keep it")
    (question,) = archive.asked
    named = [one.ReferencedSOPInstanceUID for one in question.ReferencedSOPSequence]
    assert named == [one.SOPInstanceUID for one in objects(PAGED)]
    assert archive.accepted == [0, 0]


def test_an_object_that_it_will_not_keep_sets_the_message_aside_in_doubt() -> None:
    answer = sent(Archive(loses=True))
    assert (statuses.reaction(answer), answer.in_doubt, answer.error_code) == ("dead", True, "0x0112")
    assert "took the Encapsulated PDF and will not keep it: 0x0112, no such object" in answer.reason


@pytest.mark.parametrize("archive", [Archive(answers=False), Archive(forgets=True)], ids=["silent", "names a part"])
def test_silence_is_said_after_the_bound(archive: Archive) -> None:
    answer = sent(archive, seconds=0.5)
    assert (statuses.reaction(answer), answer.in_doubt, answer.code) == ("dead", True, "no-commitment")
    assert "did not say within 0.5 s" in answer.reason


def test_a_question_that_is_refused_for_now_is_asked_again_and_one_for_good_is_set_aside() -> None:
    for status, reaction in ((0x0213, "retry"), (0x0124, "dead")):
        answer = sent(Archive(refuses=status))
        assert (statuses.reaction(answer), answer.in_doubt) == (reaction, True)


def test_a_pacs_that_does_not_offer_it_is_not_asked() -> None:
    archive = Archive()
    answer = sent(archive, offers=False)
    assert statuses.reaction(answer) == "done"
    assert "does not offer Storage Commitment" in answer.text
    assert archive.asked == []
