"""To which ECG a document of another system belongs, on either database: the patient and the number must agree."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecgfm_clinical.staging.documents import KeptDocument
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.document import Document, References
from ecgfm_connectors.ecg import Order
from ecgfm_connectors.patient import Patient

OBJECT = "2.25.77"
STUDY = Order(study_uid="2.25.7", accession="A7")


def said(ward: Any, refers: References, *, patient: str = "4711", uid: str = "2.25.90", **changes: Any) -> Document:
    given: dict[str, Any] = {
        "source_id": uid,
        "kind": "report",
        "title": "ECG Report of Testperson",
        "text": "Atrial fibrillation, Testperson",
        "patient": ward.patient(patient),
        "maker": "Simulated",
        "made_at": datetime(2031, 5, 1, tzinfo=UTC),
        "status": "COMPLETE",
        "refers": refers,
    }
    return Document(**(given | changes))


def take(ward: Any, *documents: Document) -> None:
    assert ward.take(Contents(documents=documents)).disposition.value == "staged"


def beside(ward: Any, ecg_id: int) -> list[str]:
    return [one.document.source_id for one in ward.store.ecgs.story(ecg_id).documents]


def places(ward: Any) -> list[tuple[tuple[int, ...], str | None]]:
    return [(one.recording_ids, one.reason) for one in ward.store.documents.newest()]


def test_a_document_stands_beside_the_ecg_that_comes_before_or_after_it(ward: Any) -> None:
    take(ward, said(ward, References(instances=(OBJECT,))))
    assert places(ward) == [((), "no-ecg")]
    ward.take(ward.ecg(OBJECT))
    assert places(ward) == [((1,), None)]
    (one,) = ward.store.ecgs.story(1).documents
    assert one.document == said(ward, References(instances=(OBJECT,)))


def test_a_study_or_an_order_number_counts_where_it_has_one_ecg_of_the_patient(ward: Any) -> None:
    ward.take(ward.ecg("2.25.1", order=STUDY))
    ward.take(ward.ecg("2.25.2", order=Order(accession="A8")))
    ward.take(ward.ecg("2.25.3", order=STUDY, patient=ward.patient("another")))
    take(
        ward,
        said(ward, References(study_uid="2.25.7"), uid="2.25.91"),
        said(ward, References(study_uid="2.25.70", numbers=("A8",)), uid="2.25.92"),
    )
    assert (beside(ward, 1), beside(ward, 2), beside(ward, 3)) == (["2.25.91"], ["2.25.92"], [])
    ward.take(ward.ecg("2.25.4", order=STUDY))
    assert beside(ward, 1) == []
    assert [reason for _, reason in places(ward)] == [None, "several-ecgs"]


@pytest.mark.parametrize("patient", ["another", ""])
def test_another_patients_or_nobodys_document_stands_beside_no_ecg(ward: Any, patient: str) -> None:
    ward.take(ward.ecg(OBJECT))
    one = said(ward, References(instances=(OBJECT,)), patient="another")
    take(ward, one if patient else replace(one, patient=Patient()))
    assert beside(ward, 1) == []
    assert places(ward) == [((), "other-patient" if patient else "no-patient")]


def test_a_merge_and_a_persons_correction_move_it_by_themselves(ward: Any) -> None:
    ward.take(ward.ecg(OBJECT))
    take(ward, said(ward, References(instances=(OBJECT,)), patient="later"))
    assert beside(ward, 1) == []
    ward.merge("4711", "later")
    assert beside(ward, 1) == ["2.25.90"]


def test_the_last_version_holds_a_replaced_or_withdrawn_one_is_not_shown(ward: Any) -> None:
    refers = References(instances=(OBJECT,))
    ward.take(ward.ecg(OBJECT))
    take(ward, said(ward, refers))
    take(ward, said(ward, refers, text="Sinus rhythm"))
    assert [one.document.text for one in ward.store.ecgs.story(1).documents] == ["Sinus rhythm"]
    take(ward, said(ward, refers, uid="2.25.93", replaces=("2.25.90",)))
    assert beside(ward, 1) == ["2.25.93"]
    take(ward, said(ward, refers, uid="2.25.93", withdrawn=True))
    assert beside(ward, 1) == ["2.25.90"]


def test_a_document_of_a_held_recording_waits_with_it(ward: Any) -> None:
    ward.take(ward.ecg(OBJECT))
    take(ward, said(ward, References(instances=(OBJECT,))))
    ward.take(ward.ecg(OBJECT, patient=ward.patient("another")))
    assert beside(ward, 1) == []
    assert places(ward) == [((), "held")]


def test_nothing_identifying_is_readable_and_erasure_takes_documents_along(ward: Any) -> None:
    ward.take(ward.ecg(OBJECT))
    ward.score_all()
    ward.send_all()
    take(ward, said(ward, References(instances=(OBJECT,))))
    take(ward, said(ward, References(instances=("2.25.78",)), uid="2.25.94"))
    take(ward, said(ward, References(instances=("2.25.79",)), uid="2.25.95", patient="another"))
    kept: list[KeptDocument] = ward.store.documents.newest()
    assert "Testperson" not in repr(kept)
    assert "4711" not in repr(kept)
    ward.store.erasing.erase(ward.identifier("4711"), reason="court order", now=ward.now, actor="operator")
    assert [one.document.source_id for one in ward.store.documents.newest()] == ["2.25.95"]
    assert ward.store.care.audit_faults() == []


def test_retention_takes_those_whose_ecg_never_came(ward: Any) -> None:
    ward.take(ward.ecg(OBJECT, order=STUDY))
    take(ward, said(ward, References(instances=(OBJECT,))))
    take(ward, said(ward, References(numbers=("A7",)), uid="2.25.96"))
    take(ward, said(ward, References(instances=("2.25.78",)), uid="2.25.97"))
    ages = {"documents": timedelta(days=90)}
    gone = ward.store.care.expire(now=ward.later(days=91), actor="retention", ages=ages)
    assert gone.documents == 1
    assert beside(ward, 1) == ["2.25.90", "2.25.96"]
