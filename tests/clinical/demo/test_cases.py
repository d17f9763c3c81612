"""The ward list shows every situation it promises, under identities that say they are invented."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from ecgfm_clinical.demo.alterations import RULES
from ecgfm_clinical.demo.cases import CASES, Case, ecg_of
from ecgfm_clinical.ecg.evaluability import judge
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.shipped.vendor import vendor_recording

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
ids = [f"{case.number}-{case.alteration or 'unaltered'}" for case in CASES]


def test_the_list_covers_every_alteration_transport_and_urgency() -> None:
    assert len(CASES) >= 24
    assert {case.alteration for case in CASES} == {"", *RULES}
    assert Counter(case.transport for case in CASES).keys() == {"dicom", "hl7", "aecg"}
    assert any(case.stat for case in CASES)
    assert [case.number for case in CASES] == list(range(1, len(CASES) + 1))


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_every_identity_says_that_it_is_invented(case: Case) -> None:
    ecg = ecg_of(case, NOW)
    assert [one.authority for one in ecg.patient.identifiers] == ["DEMO"]
    assert ecg.patient.identifiers[0].value.startswith("DEMO")
    assert ecg.patient.family_name == "DEMO"
    for number in (ecg.order.placer, ecg.order.filler, ecg.order.accession):
        assert number.startswith("DEMO")
    assert ecg.device.manufacturer == "Simulated"


def test_no_two_cases_share_an_identity() -> None:
    ecgs = [ecg_of(case, NOW) for case in CASES]
    assert len({ecg.source_id for ecg in ecgs}) == len(ecgs)
    assert len({ecg.patient.identifiers[0].value for ecg in ecgs}) == len(ecgs)
    assert all(len(ecg.source_id) <= 64 for ecg in ecgs)


def test_the_same_moment_gives_the_same_ecgs() -> None:
    first, second = ecg_of(CASES[4], NOW), ecg_of(CASES[4], NOW)
    assert first.source_id == second.source_id
    np.testing.assert_array_equal(first.signal, second.signal)


EXPECTED = {
    "paced": "paced-rhythm",
    "lead off": "flat-lead",
    "lead missing": "missing-lead",
    "noise": "noise",
    "too short": "too-short",
}


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_each_is_evaluable_or_not_for_the_reason_it_was_made_for(case: Case) -> None:
    reasons = {reason.code for reason in judge(ecg_of(case, NOW), HeadRules())}
    expected = {EXPECTED[case.alteration]} if case.alteration in EXPECTED else set()
    if case.age < 18:
        expected.add("age-below-range")
    assert reasons == expected


def test_the_vendor_recording_is_found_where_pydicom_is_installed() -> None:
    path = vendor_recording()
    assert path is not None
    assert path.read_bytes()[128:132] == b"DICM"
