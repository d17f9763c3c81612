"""What is taken in is kept whole, once, with the work that follows from it; or nothing of it is."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ecgfm_clinical.errors import StoreError, StoreUnavailable
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom.part10 import wrap
from ecgfm_connectors.ecg import AcquiredAt, Device, Filters, Finding, Order
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing.dicom_writer import write_ecg
from ecgfm_connectors.testing.samples import sample_ecg


def test_an_ecg_comes_back_exactly_as_it_went_in(ward: Any) -> None:
    signal = np.random.default_rng(7).normal(size=(12, 333)).astype(np.float32)
    signal[3, :9] = np.nan
    signal[4, 0], signal[4, 1], signal[4, 2] = -0.0, np.float32(1e-42), np.inf
    ecg = ward.ecg(
        patient=Patient(
            identifiers=(ward.identifier("00042"), ward.identifier("9", authority="OTHER", type="PI")),
            birth_date=date(1950, 2, 28),
            sex="F",
            family_name="Ünïcødé\x00\ud800",
            given_name="测试",
        ),
        acquired=AcquiredAt(
            at=datetime(2030, 10, 27, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
            zone_source="offset",
            original="20301027023000.000001-0330",
        ),
        sampling_rate=499.99,
        signal=signal,
        stored_leads=("I", "II", "V1"),
        derived_leads=("III",),
        device=Device(manufacturer="ACME", serial="s\x001"),
        filters=Filters(low_pass=150.0, notch=50.0),
        order=Order(placer="P^1", accession="A1", stat=True),
        statements=("Sinus rhythm", "*** acute MI ***"),
        measurements=(("QRS duration", "96 ms"),),
        findings=(Finding(code="padding-masked", text="9 samples"),),
        test_data=True,
    )
    (ecg_id,) = ward.take(ecg).ecg_ids
    (staged,) = ward.store.ecgs.load([ecg_id])
    assert staged.ecg.signal.tobytes() == signal.tobytes()
    for field in ("source_id", "patient", "acquired", "sampling_rate", "stored_leads", "derived_leads", "device"):
        assert getattr(staged.ecg, field) == getattr(ecg, field)
    for field in ("filters", "order", "statements", "measurements", "findings", "test_data", "format"):
        assert getattr(staged.ecg, field) == getattr(ecg, field)
    assert staged.ecg.acquired is not None
    assert staged.ecg.acquired.at.utcoffset() == timedelta(hours=-3, minutes=-30)
    assert staged.received_at == ward.now
    assert staged.received_at.tzinfo is UTC
    assert not staged.ecg.signal.flags.writeable


def test_the_same_bytes_are_staged_once_by_whatever_route_they_come(ward: Any) -> None:
    ecg, received = ward.ecg(), ward.received(b"the bytes")
    first = ward.take(ecg, received)
    again = ward.take(ecg, ward.received(b"the bytes", source="folder", transport="file"))
    assert first.disposition is Disposition.STAGED
    assert again.disposition is Disposition.DUPLICATE
    assert again.ecg_ids == first.ecg_ids
    assert ward.store.questions.counts().received == 1
    assert len(ward.claim()) == 1
    assert ward.store.ecgs.payload(first.ecg_ids[0]).content == b"the bytes"


def test_a_dicom_object_is_staged_once_as_a_file_and_over_the_network(ward: Any) -> None:
    """The file has its writer's meta header and explicit VRs, the network's copy our header; a third is implicit VR."""
    file = pydicom.dcmread(BytesIO(write_ecg(sample_ecg(seed=5))))
    about = {"sop_class": str(file.SOPClassUID), "sop_instance": str(file.SOPInstanceUID)}
    copies = [write_ecg(sample_ecg(seed=5))]
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        body = DicomBytesIO()
        body.is_little_endian, body.is_implicit_VR = True, syntax.is_implicit_VR
        write_dataset(body, file)
        copies.append(wrap(body.getvalue(), transfer_syntax=str(syntax), **about))
    assert len(set(copies)) == 3
    context = ReadingContext(default_authority="SITE", zone=UTC)
    verdicts = [ward.take(read(copy, context), ward.received(copy)) for copy in copies]
    assert [one.disposition for one in verdicts] == [Disposition.STAGED, Disposition.DUPLICATE, Disposition.DUPLICATE]
    assert {one.ecg_ids for one in verdicts} == {verdicts[0].ecg_ids}
    assert ward.store.questions.counts().received == 1
    assert len(ward.claim()) == 1
    assert "ecg.repeated" in [event.action for event in ward.store.ecgs.story(verdicts[0].ecg_ids[0]).events]


def test_a_recording_that_says_one_thing_more_is_a_new_version(ward: Any) -> None:
    first = ward.ecg("1.2.3")
    ward.take(first)
    assert ward.take(replace(first, order=Order(accession="A-1"))).code == "new-version"
    nudged = first.signal.copy()
    nudged[11, 9] = np.nextafter(nudged[11, 9], np.float32(99))
    assert ward.take(replace(first, order=Order(accession="A-1"), signal=nudged)).code == "new-version"
    assert ward.take(first).code == "new-version"  # what came last holds, also where it came before


def test_the_same_number_with_other_bytes_is_a_flagged_new_version(ward: Any) -> None:
    first = ward.take(source_id="1.2.3")
    second = ward.take(source_id="1.2.3")
    assert (second.disposition, second.code) == (Disposition.STAGED, "new-version")
    assert [one.version for one in ward.store.ecgs.load([*first.ecg_ids, *second.ecg_ids])] == [1, 2]
    assert ward.store.ecgs.find("1.2.3") == (*first.ecg_ids, *second.ecg_ids)
    assert len(ward.claim()) == 2


def test_refused_bytes_are_kept_with_their_reason_and_do_not_pile_up(ward: Any) -> None:
    refusal = Refused("not-simultaneous", "four groups of 2.5 s")
    for _ in range(3):
        verdict = ward.take(refusal, ward.received(b"3x4 strip"))
        assert (verdict.disposition, verdict.code, verdict.text) == (
            Disposition.REFUSED,
            "not-simultaneous",
            "four groups of 2.5 s",
        )
    assert (ward.store.questions.counts().received, ward.store.questions.counts().failed) == (1, 1)
    assert ward.store.questions.refusals() == {"not-simultaneous": 1}
    ((_, kept),) = ward.store.ecgs.set_aside()
    assert kept.content == b"3x4 strip"


def test_a_message_that_never_claimed_to_hold_an_ecg_is_no_failed_ecg(ward: Any) -> None:
    ward.take(Refused("no-ecg", "the message holds no ECG"))
    assert ward.store.questions.counts().received == 0
    assert ward.store.questions.refusals() == {"no-ecg": 1}


def test_what_could_not_be_read_becomes_an_ecg_once_it_can(ward: Any) -> None:
    ward.take(Unreadable("truncated", "ends in the middle"), ward.received(b"odd dialect"))
    later = ward.received(b"odd dialect", received_at=ward.later(days=3))
    verdict = ward.take(ward.ecg(), later)
    assert verdict.disposition is Disposition.STAGED
    assert ward.store.questions.refusals() == {}
    counts = ward.store.questions.counts()
    assert (counts.received, counts.waiting, counts.failed) == (1, 1, 0)
    (staged,) = ward.store.ecgs.load(verdict.ecg_ids)
    assert staged.received_at == ward.now, "received when its bytes were"
    assert ward.take(ward.ecg(), later).disposition is Disposition.DUPLICATE


def test_bytes_staged_once_stay_staged_when_a_reader_later_refuses_them(ward: Any) -> None:
    first = ward.take(received=ward.received(b"x"))
    again = ward.take(Refused("wrong-class", "not admitted any more"), ward.received(b"x"))
    assert (again.disposition, again.ecg_ids) == (Disposition.DUPLICATE, first.ecg_ids)


def test_one_payload_may_hold_several_ecgs_and_outcomes(ward: Any) -> None:
    outcome = Outcome(
        source_id="LAB|1",
        patient=ward.patient(),
        kind="troponin",
        value=14.0,
        comparator="<",
        unit="ng/L",
        code="LN|67151-1",
        observed_at=ward.now,
        status="final",
    )
    verdict = ward.take(Contents(ecgs=(ward.ecg(), ward.ecg()), outcomes=(outcome, outcome)))
    assert len(verdict.ecg_ids) == 2
    assert ward.store.questions.counts().received == 2


def test_nothing_is_kept_of_a_payload_that_fails_half_way(ward: Any) -> None:
    broken = Outcome(
        source_id="LAB|2",
        patient=ward.patient(),
        kind="lvef",
        value=55.0,
        unit="%",
        code="LN|10230-1",
        observed_at=datetime(2030, 1, 1),  # noqa: DTZ001  # naive on purpose: the store takes aware times only
        status="final",
    )
    received = ward.received(b"half")
    with pytest.raises(StoreError):
        ward.take(Contents(ecgs=(ward.ecg(),), outcomes=(broken,)), received)
    assert ward.store.questions.counts().received == 0
    assert ward.claim() == []
    assert ward.take(ward.ecg(), received).disposition is Disposition.STAGED


def test_eight_senders_of_the_same_bytes_at_once_stage_them_once(ward: Any) -> None:
    ecg, received = ward.ecg(), ward.received(b"same")
    verdicts = ward.at_once([lambda: ward.take(ecg, received)] * 8)
    dispositions = sorted(verdict.disposition.value for verdict in verdicts)
    assert dispositions == ["duplicate"] * 7 + ["staged"]
    assert ward.store.questions.counts().received == 1


def test_eight_payloads_with_one_number_at_once_get_eight_versions(ward: Any) -> None:
    verdicts = ward.at_once([lambda: ward.take(source_id="9.9.9")] * 8)
    staged = ward.store.ecgs.load([verdict.ecg_ids[0] for verdict in verdicts])
    assert sorted(one.version for one in staged) == list(range(1, 9))


def test_nothing_is_taken_in_when_the_disk_is_nearly_full(store_url: str, ward: Any) -> None:
    cramped = Store.open(store_url, free_bytes=lambda: 9_999_999, least_free=10_000_000)
    with pytest.raises(StoreUnavailable, match="10 MB are free"):
        cramped.intake.record(ward.received(), Contents(ecgs=(ward.ecg(),)), now=ward.now, actor="carts")
    cramped.close()
    assert ward.store.questions.counts().received == 0
