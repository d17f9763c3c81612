"""A scoring becomes the message its destination wants: first result, correction, withdrawal, deletion."""

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgfm import heads
from ecgfm_clinical.pipeline.codes import meaning
from ecgfm_clinical.pipeline.composing import Composer
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_clinical.staging.order_records import AnswerReason, OrderAnswer
from ecgfm_clinical.staging.records import Draft, Kind, Score, Scoring
from ecgfm_clinical.telling import build_telling
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7.profile import Profile
from ecgfm_connectors.hl7.result import compose
from ecgfm_connectors.hl7.tables import conformance_problems
from ecgfm_connectors.patient import Patient
from tests.helpers.fakes import make_ecg

NOW = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)
LVEF = Score(head="reduced_lvef", label="reduced_lvef", probability=0.75, logit=1.1, threshold=0.5, positive=True)
TROPONIN = Score(head="troponin", label="troponin", probability=0.25, logit=-1.1, threshold=0.5, positive=False)
NO_TROPONIN = Score(
    head="troponin", label="troponin", probability=None, logit=None, reasons=(("age-unknown", "the age is unknown"),)
)
COMPOSER = Composer({"ehr": partial(compose, profile=Profile())}, device_id="device 1")


def scoring(*scores: Score) -> Scoring:
    return Scoring(
        ecg_id=7,
        model_id="f" * 64,
        model_name="m",
        model_version="3",
        preprocessing="p",
        runtime="r",
        input_digest="d",
        scored_at=NOW,
        scores=scores,
    )


def draft(kind: Kind, now: Scoring, before: Scoring | None = None, **changes: object) -> Draft:
    given = {
        "destination": "ehr",
        "control_id": "E1",
        "filler": "ECGFM-K7QF-7",
        "composed_at": NOW,
        "ecg_id": 7,
        "ecg": make_ecg(1),
    }
    return Draft(kind=kind, scoring=now, replaces=before, **(given | changes))  # type: ignore[arg-type]  # fields of Draft


def statuses(body: bytes) -> tuple[str, dict[str, str]]:
    """OBR-25, and OBX-11 by code."""
    lines = [line.split("|") for line in body.decode().split("\r")]
    (obr,) = (line for line in lines if line[0] == "OBR")
    return obr[25], {line[3].split("^")[0]: line[11] for line in lines if line[0] == "OBX"}


def test_only_a_result_without_any_known_order_may_ask_for_one() -> None:
    asking = Composer({"ehr": partial(compose, profile=Profile(trigger="R30"))}, device_id="device 1")
    asked = {
        reason: b"ORU^R30" in asking(draft("F", scoring(LVEF), answer=OrderAnswer(reason=reason)))
        for reason in AnswerReason
        if reason is not AnswerReason.MATCHED
    }
    assert {reason for reason, asks in asked.items() if asks} == {AnswerReason.NO_NUMBER, AnswerReason.NO_ORDER}


@pytest.mark.parametrize(
    ("kind", "order", "observations"),
    [
        ("F", "F", {"ECGFM-LVEF": "F", "ECGFM-TROP": "X"}),
        ("C", "C", {"ECGFM-LVEF": "C", "ECGFM-TROP": "X"}),
        ("W", "C", {"ECGFM-LVEF": "W", "ECGFM-TROP": "W"}),
        ("D", "C", {"ECGFM-LVEF": "D", "ECGFM-TROP": "D"}),
    ],
)
def test_every_kind_says_so_in_each_observation(kind: Kind, order: str, observations: dict[str, str]) -> None:
    body = COMPOSER(draft(kind, scoring(LVEF, NO_TROPONIN)))
    assert statuses(body) == (order, observations)
    assert conformance_problems(body) == []


def test_a_correction_deletes_what_it_no_longer_speaks_of() -> None:
    body = COMPOSER(draft("C", scoring(LVEF), scoring(LVEF, TROPONIN)))
    assert statuses(body) == ("C", {"ECGFM-LVEF": "C", "ECGFM-TROP": "D"})
    assert conformance_problems(body) == []


@pytest.mark.parametrize(
    ("samples", "segments", "note"),
    [
        (5000, 2, "Rests on 2 segments of 5 s of a recording of 10.0 s."),
        (4970, 1, "Rests on 1 segment of 5 s of a recording of 9.9 s; its last 4.9 s were not looked at."),
        (4970, 2, "Rests on 2 segments of 5 s of a recording of 9.9 s."),
    ],
)
def test_the_receiver_is_told_on_how_much_of_the_recording_a_result_rests(
    samples: int, segments: int, note: str
) -> None:
    ecg = make_ecg(1)
    ecg = replace(ecg, sampling_rate=500.0, signal=np.zeros((12, samples), np.float32))
    body = COMPOSER(draft("F", replace(scoring(LVEF), segments=segments), ecg=ecg))
    assert f"|L|{note}\r" in body.decode()
    assert conformance_problems(body) == []


@pytest.mark.parametrize(("kind", "segments"), [("F", None), ("F", 0), ("W", 2)])
def test_nothing_is_said_of_segments_where_nothing_is_known_or_stands(kind: Kind, segments: int | None) -> None:
    assert b"Rests on" not in COMPOSER(draft(kind, replace(scoring(LVEF), segments=segments)))


def flags(body: bytes) -> dict[str, tuple[str, str]]:
    """OBX-7 and OBX-8 by code."""
    lines = [line.split("|") for line in body.decode().split("\r") if line.startswith("OBX")]
    return {line[3].split("^")[0]: (line[7], line[8]) for line in lines}


def positive(head: str, label: str) -> Score:
    return Score(head=head, label=label, probability=1.0, logit=9.0, threshold=0.5, positive=True)


def test_only_abnormal_findings_are_flagged() -> None:
    labels = ("Sinus rhythm", "Poor data quality", "Electronic pacemaker", "Atrial fibrillation")
    body = COMPOSER(draft("F", scoring(LVEF, TROPONIN, *(positive("interpretation", label) for label in labels))))
    assert flags(body) == {
        "ECGFM-LVEF": ("<0.5", "H"),
        "ECGFM-TROP": ("<0.5", "N"),
        "ECGFM-INT-SINUS": ("", ""),
        "ECGFM-INT-QUALITY": ("", ""),
        "ECGFM-INT-PACED": ("", ""),
        "ECGFM-INT-AF": ("<0.5", "H"),
    }


def test_labels_of_a_head_of_the_sites_own_are_flagged_where_the_settings_call_them_abnormal() -> None:
    settings = Settings.model_validate(
        {
            "heads": {"rhythm": {"abnormal": ["af"]}},
            "destinations": {"file": [{"name": "ehr", "path": "results"}]},
        }
    )
    compose_for = build_telling(settings).compose
    assert compose_for is not None
    body = compose_for(draft("F", scoring(positive("rhythm", "af"), positive("rhythm", "normal"))))
    assert sorted(flags(body).values()) == [("", ""), ("<0.5", "H")]


def test_every_label_of_the_published_heads_has_a_meaning() -> None:
    known = {
        (spec.name, label)
        for spec in (heads.REDUCED_LVEF, heads.TROPONIN, heads.INTERPRETATION)
        for label in spec.labels
    }
    silent = {label for head, label in known if meaning(head, label) != "abnormal"}
    assert silent == {"Sinus rhythm", "Poor data quality", "Electronic pacemaker"}
    assert meaning("interpretation", "another") == meaning("mine", "mine") == "none"


def test_a_draft_gives_the_same_bytes_however_often_it_is_composed() -> None:
    assert COMPOSER(draft("F", scoring(LVEF))) == COMPOSER(draft("F", scoring(LVEF)))


def test_what_cannot_be_filed_or_sent_is_refused() -> None:
    with pytest.raises(Refused, match="no-identifier"):
        COMPOSER(draft("F", scoring(LVEF), ecg=make_ecg(1, patient=Patient())))
    with pytest.raises(Refused, match="unknown-destination"):
        COMPOSER(draft("F", scoring(LVEF), destination="gone"))


def test_a_page_goes_as_encapsulated_data_beside_the_numbers() -> None:
    profile = Profile(
        page="ORU", page_type=("application", "pdf"), alternate_codes={"ECGFM-PAGE": ("P1", "Page", "99S")}
    )
    to_page = Composer({"ehr": partial(compose, profile=profile)}, device_id="device 1")
    body = to_page(draft("F", scoring(LVEF), page=bytes(range(256))))
    (obx,) = (line.split("|") for line in body.decode().split("\r") if "ECGFM-PAGE" in line)
    assert obx[:5] == ["OBX", "2", "ED", "ECGFM-PAGE^AI-ECG result page^99ECGFM^P1^Page^99S", "1"]
    *before, data = obx[5].split("^")
    assert before == ["", "application", "pdf", "Base64"]
    assert b64decode(data, validate=True) == bytes(range(256))
    assert obx[11] == "F"
    # ED has no length of its own in HL7; hl7apy's table gives it 199 letters.
    assert [one for one in conformance_problems(body) if not one.startswith("MaxLengthReached")] == []


@pytest.mark.parametrize(
    ("kind", "changes", "status"),
    [("F", {"page_refused": "no signal"}, "X"), ("C", {"page_refused": "x"}, "X"), ("W", {}, "W"), ("D", {}, "D")],
)
def test_where_there_is_no_page_its_observation_says_so(kind: Kind, changes: dict[str, Any], status: str) -> None:
    to_page = Composer({"ehr": partial(compose, profile=Profile(page="ORU"))}, device_id="device 1")
    body = to_page(draft(kind, scoring(LVEF), **changes))
    (obx,) = (line.split("|") for line in body.decode().split("\r") if "ECGFM-PAGE" in line)
    assert (obx[2], obx[5], obx[11]) == ("ED", "", status)
    assert ("This result goes without its page" in body.decode()) == bool(changes)
    assert conformance_problems(body) == []


def test_while_a_page_is_to_be_drawn_and_where_none_is_wanted_nothing_is_said_of_it() -> None:
    for page in ("ORU", "none"):
        to_page = Composer({"ehr": partial(compose, profile=Profile(page=page))}, device_id="device 1")
        assert b"ECGFM-PAGE" not in to_page(draft("F", scoring(LVEF)))
    assert b"ECGFM-PAGE" not in COMPOSER(draft("F", scoring(LVEF), page=b"PDF"))


def test_a_companion_brings_the_page_as_a_document_of_its_own(tmp_path: Path) -> None:
    text = '[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = 6661\npage = "companion"\n'
    (tmp_path / "settings.toml").write_text(text, encoding="utf-8")
    telling = build_telling(read_settings(tmp_path / "settings.toml"))
    assert telling.destinations == ("ehr", "ehr-page")
    numbers = telling.compose(draft("F", scoring(LVEF)))
    page = telling.compose(draft("F", scoring(LVEF), destination="ehr-page", page=b"%PDF"))
    assert (b"ORU^R01" in numbers, b"ECGFM-LVEF" in numbers, b"ECGFM-PAGE" in numbers) == (True, True, False)
    assert (b"MDM^T02" in page, b"ECGFM-LVEF" in page, b"ECGFM-PAGE" in page) == (True, False, True)
