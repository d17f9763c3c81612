"""The ORU^R01 that goes out conforms in every version, says everything about the ECG, and lets no value break out."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Literal

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgfm_connectors.errors import Misconfigured, Refused
from ecgfm_connectors.hl7 import message, tables
from ecgfm_connectors.hl7.profile import OUTGOING_VERSIONS, Hl7Version, Profile
from ecgfm_connectors.hl7.result import compose
from ecgfm_connectors.outcomes import codes
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Observation, Result

LVEF = Observation(
    code="ECGFM-LVEF",
    name="AI-ECG probability of reduced LVEF",
    status="F",
    probability=0.8312,
    threshold=0.5,
    positive=True,
)
PACED = Observation(
    code="ECGFM-TROP",
    name="AI-ECG probability of abnormal troponin",
    status="X",
    probability=None,
    reasons=(("paced-rhythm", "The ECG is paced."), ("noise", "Lead V1 is noisy; repeat the ECG.")),
)
RESULT = Result(
    control_id="20260301090000ABCDEF",
    composed_at=datetime(2026, 3, 1, 9, tzinfo=UTC),
    patient=Patient(
        identifiers=(
            Identifier(authority="HOSP", value="123"),
            Identifier(authority="1.2.3.4", type="PI", value="987"),
        ),
        birth_date=date(1950, 4, 5),
        sex="F",
        family_name="TEST",
        given_name="PATIENT",
    ),
    placer_number="ORD1^CPOE",
    filler_number="ECGFM-7",
    ecg_filler_number="ECG9^MUSE",
    study_uid="1.2.3",
    acquired_at=datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=1))),
    scored_at=datetime(2026, 3, 1, 8, 59, tzinfo=UTC),
    status="F",
    model_name="ecg-fm",
    model_version="1.0",
    device_id="ecgfm-clinical 0.1",
    observations=(LVEF, PACED),
    notes=("Not a measurement.\nNot a stand-alone diagnosis.",),
)


def read(result: Result = RESULT, profile: Profile | None = None) -> message.Message:
    return message.parse(compose(result, profile or Profile()))


def segment(name: str, result: Result = RESULT, profile: Profile | None = None, index: int = 0) -> message.Segment:
    return list(read(result, profile).all(name))[index]


@pytest.mark.parametrize("version", OUTGOING_VERSIONS)
@pytest.mark.parametrize("reasons", ["coded", "note"])
def test_conforms_in_every_version(version: Hl7Version, reasons: Literal["coded", "note"]) -> None:
    profile = Profile(version=version, reasons=reasons, study_uid=True)
    assert tables.conformance_problems(compose(RESULT, profile)) == []


@pytest.mark.parametrize("version", OUTGOING_VERSIONS)
def test_the_conformance_check_can_fail(version: Hl7Version) -> None:
    body = compose(RESULT, Profile(version=version))
    assert tables.conformance_problems(body.replace(b"\rPID|", b"\rOBR|1\rPID|")) != []


@pytest.mark.parametrize("version", OUTGOING_VERSIONS)
def test_python_hl7_reads_the_same_leaves(version: Hl7Version) -> None:
    body = compose(RESULT, Profile(version=version)).decode()
    theirs = hl7.parse(body)
    assert str(theirs.segment("PID")[3]) == "123^^^HOSP^MR~987^^^&1.2.3.4&ISO^PI"
    assert str(theirs.segment("OBR")[2]) == "ORD1^CPOE"
    assert [str(obx[11]) for obx in theirs.segments("OBX")] == ["F", "X"]


def test_header_and_order() -> None:
    profile = Profile(sending_facility="HOSP", receiving_application="EHR^1.2.3^ISO", zone=UTC)
    msh = segment("MSH", profile=profile)
    assert (msh.value(3), msh.value(4), msh.raw(5)) == ("ECGFM", "HOSP", "EHR^1.2.3^ISO")
    assert (msh.raw(9), msh.value(10), msh.value(11)) == ("ORU^R01^ORU_R01", RESULT.control_id, "P")
    assert (msh.value(12), msh.value(18), msh.value(7)) == ("2.5.1", "UNICODE UTF-8", "20260301090000+0000")
    obr = segment("OBR", profile=profile)
    assert (obr.raw(2), obr.raw(3), obr.raw(29)) == ("ORD1^CPOE", "ECGFM-7^ECGFM", "^ECG9&MUSE")
    assert obr.raw(4) == "ECGFM^AI-ECG analysis^99ECGFM^11524-6^EKG study^LN"
    assert (obr.value(7), obr.value(22)) == ("20260301073000+0000", "20260301085900+0000")
    assert (obr.value(24), obr.value(25)) == ("EC", "F")
    orc = segment("ORC")
    assert (orc.value(1), orc.raw(2), orc.raw(3)) == ("RE", obr.raw(2), obr.raw(3))


def test_a_probability() -> None:
    obx = segment("OBX")
    assert obx.raw(3) == "ECGFM-LVEF^AI-ECG probability of reduced LVEF^99ECGFM"
    assert (obx.value(2), obx.value(5), obx.value(6)) == ("NM", "0.8312", "1")
    assert (obx.value(7), obx.value(8), obx.value(11)) == ("<0.5", "H", "F")
    assert (obx.value(14), obx.value(19)) == ("20260301083000+0100", "20260301085900+0000")
    assert (obx.value(17), obx.raw(18)) == ("ecg-fm 1.0", "ecgfm-clinical 0.1^ECGFM")


def flagged(probability: float, threshold: float, *, abnormal: bool = True) -> tuple[str, str, str]:
    """OBX-5, OBX-7 and OBX-8."""
    one = replace(
        LVEF,
        probability=probability,
        threshold=threshold,
        positive=probability >= threshold,
        abnormal=abnormal,
    )
    obx = segment("OBX", replace(RESULT, observations=(one,)))
    return obx.value(5), obx.value(7), obx.value(8)


@pytest.mark.parametrize(
    ("probability", "threshold", "printed"),
    [
        (0.5, 0.5, ("0.5000", "<0.5", "H")),
        (0.49999, 0.5, ("0.49999", "<0.5", "N")),
        (0.5000001, 0.5000004, ("0.5000001", "<0.5000004", "N")),
        (0.5000004, 0.5000004, ("0.5000", "<0.5", "H")),
        (0.29999999999999993, 0.3, ("0.2999999999999999", "<0.3", "N")),
        (1e-9, 2e-9, ("0.000000001", "<0.000000002", "N")),
    ],
)
def test_the_printed_numbers_agree_with_the_flag(
    probability: float, threshold: float, printed: tuple[str, str, str]
) -> None:
    assert flagged(probability, threshold) == printed


@given(
    threshold=st.floats(0, 1), steps=st.integers(-3, 3), apart=st.sampled_from([0.0, 1e-17, 1e-13, 1e-7, 3e-7, 1e-4])
)
def test_whatever_lies_close_to_the_limit_is_printed_on_its_side(threshold: float, steps: int, apart: float) -> None:
    probability = min(1.0, max(0.0, threshold + steps * apart))
    value, limit, flag = flagged(probability, threshold)
    assert "e" not in (value + limit).lower()  # NM has no exponent
    assert flag == ("H" if Decimal(value) >= Decimal(limit.removeprefix("<")) else "N")
    assert (flag == "H") == (probability >= threshold)


def test_what_is_no_abnormal_finding_has_neither_range_nor_flag() -> None:
    assert flagged(1.0, 0.5, abnormal=False) == ("1.0000", "", "")


@pytest.mark.parametrize(("version", "coded"), [("2.3", "CE"), ("2.5.1", "CE"), ("2.6", "CWE"), ("2.8.2", "CWE")])
def test_not_evaluable_is_an_answer_with_coded_reasons(version: Hl7Version, coded: str) -> None:
    obx = segment("OBX", profile=Profile(version=version), index=1)
    assert (obx.value(2), obx.value(11), obx.value(6), obx.value(7), obx.value(8)) == (coded, "X", "", "", "")
    assert [obx.value(5, repetition=index) for index in (0, 1)] == ["paced-rhythm", "noise"]
    notes = [note.text(3) for note in read().all("NTE")]
    assert notes == [RESULT.notes[0], "The ECG is paced.", "Lead V1 is noisy; repeat the ECG."]


def test_not_evaluable_with_an_empty_value() -> None:
    obx = segment("OBX", profile=Profile(reasons="note"), index=1)
    assert (obx.value(2), obx.value(5), obx.value(11)) == ("NM", "", "X")


def test_test_results_say_so() -> None:
    assert segment("MSH", replace(RESULT, test=True)).value(11) == "T"


@pytest.mark.parametrize(("status", "obr_25"), [("F", "F"), ("C", "C"), ("X", "X"), ("W", "C")])
def test_status(status: Literal["F", "C", "X", "W"], obr_25: str) -> None:
    assert segment("OBR", replace(RESULT, status=status)).value(25) == obr_25


def test_correction_and_withdrawal_of_an_observation() -> None:
    withdrawn = replace(RESULT, status="W", observations=(replace(LVEF, status="W"),))
    assert segment("OBX", withdrawn).value(11) == "W"
    assert tables.conformance_problems(compose(withdrawn, Profile())) == []


@pytest.mark.parametrize("parent", ["OBR-29", "OBR-18", "none"])
def test_where_the_parent_goes(parent: Literal["OBR-29", "OBR-18", "none"]) -> None:
    obr = segment("OBR", profile=Profile(parent=parent))
    assert (obr.raw(18), obr.raw(29)) == {
        "OBR-29": ("", "^ECG9&MUSE"),
        "OBR-18": ("ECG9", ""),
        "none": ("", ""),
    }[parent]


ORDERED = replace(
    RESULT,
    accession="ACC^1",
    provider=((("77",), ("HO|USE",), (), ("",), ("",), ("",), ("",), ("",), ("NPI", "2.16", "ISO")), (("88",),)),
)


@pytest.mark.parametrize("version", OUTGOING_VERSIONS)
def test_the_order_that_is_answered(version: Hl7Version) -> None:
    body = compose(ORDERED, Profile(version=version))
    assert tables.conformance_problems(body) == []
    orc, obr = segment("ORC", ORDERED, Profile(version=version)), segment("OBR", ORDERED, Profile(version=version))
    told = orc if 16 not in tables.field_types(version, "OBR") else obr
    number = 12 if told is orc else 16
    assert (told.value(number), told.value(number, 2), told.value(number, repetition=1)) == ("77", "HO|USE", "88")
    assert [told.value(number, 9, at) for at in (1, 2, 3)] == ["NPI", "2.16", "ISO"]
    assert obr.value(18) == "ACC^1"


def test_where_the_accession_number_goes() -> None:
    assert segment("OBR", ORDERED, Profile(parent="OBR-18")).value(19) == "ACC^1"
    assert segment("OBR", ORDERED, Profile(accession="OBR-20")).value(20) == "ACC^1"
    assert segment("OBR", ORDERED, Profile(accession="none")).value(18) == ""
    with pytest.raises(Misconfigured):
        Profile(parent="OBR-18", accession="OBR-18")


@pytest.mark.parametrize("version", OUTGOING_VERSIONS)
def test_a_result_that_answers_no_order_has_no_order_fields(version: Hl7Version) -> None:
    alone = replace(RESULT, unsolicited=True, placer_number="")
    assert tables.conformance_problems(compose(alone, Profile(version=version))) == []
    assert read(alone, Profile(version=version)).first("ORC") is None
    obr = segment("OBR", alone, Profile(version=version))
    assert (obr.value(2), obr.value(3)) == ("", "ECGFM-7")


def test_a_child_names_its_parents_result_and_both_numbers() -> None:
    profile = Profile(parent="child", parent_result=("11524-6", "EKG study", "LN"))
    obr = segment("OBR", profile=profile)
    assert [obr.value(26, 1, at) for at in (1, 2, 3)] == ["11524-6", "EKG study", "LN"]
    assert [obr.value(29, 1, at) for at in (1, 2)] == ["ORD1", "CPOE"]
    assert [obr.value(29, 2, at) for at in (1, 2)] == ["ECG9", "MUSE"]
    assert tables.conformance_problems(compose(RESULT, profile)) == []
    with pytest.raises(Misconfigured):
        Profile(parent_result=("11524-6", "EKG study", "LN"))


def test_sub_ids_group_the_labels_of_a_head_and_stay_in_a_correction() -> None:
    profile = Profile(sub_ids="head")
    one, other = replace(LVEF, head_code="ECGFM-LVEF"), replace(PACED, head_code="ECGFM-TROP")
    told = read(replace(RESULT, observations=(one, other)), profile)
    assert [obx.value(4) for obx in told.all("OBX")] == ["ECGFM-LVEF", "ECGFM-TROP"]
    corrected = read(replace(RESULT, status="C", observations=(other, replace(one, status="D"))), profile)
    assert [obx.value(4) for obx in corrected.all("OBX")] == ["ECGFM-TROP", "ECGFM-LVEF"]


@pytest.mark.parametrize(("trigger", "control"), [("R30", "NW"), ("R31", "RE")])
def test_point_of_care_asks_for_an_order_once(trigger: Literal["R30", "R31"], control: str) -> None:
    alone = replace(RESULT, unsolicited=True, placer_number="")
    for version in ("2.5", "2.5.1", "2.6", "2.7"):
        profile = Profile(version=version, trigger=trigger)
        told = read(alone, profile)
        assert [told.msh.value(9, at) for at in (1, 2, 3)] == ["ORU", trigger, "ORU_R30"]
        assert [one.value(1) for one in told.all("ORC")] == [control]
    asked = Profile(trigger=trigger)
    for later in (
        RESULT,
        replace(alone, status="C"),
        replace(alone, status="W"),
        replace(alone, revives=True),
        replace(alone, order_refused=True),
    ):
        assert read(later, asked).event == "R01"
    with pytest.raises(Misconfigured):
        Profile(version="2.4", trigger=trigger)
    with pytest.raises(Misconfigured):
        Profile(form="MDM", trigger=trigger)


def test_rounding_never_contradicts_the_flag() -> None:
    close = replace(LVEF, probability=0.49999, positive=False)
    assert segment("OBX", replace(RESULT, observations=(close,))).value(5) == "0.49999"


def test_what_a_version_does_not_know_is_left_out() -> None:
    assert len(segment("OBX", profile=Profile(version="2.3")).fields) - 1 <= 17
    assert segment("MSH", profile=Profile(version="2.3")).raw(9) == "ORU^R01"


def test_nobody_to_file_it_under() -> None:
    with pytest.raises(Refused, match="no-identifier"):
        compose(replace(RESULT, patient=Patient()), Profile())
    nameless = replace(RESULT, patient=Patient(identifiers=RESULT.patient.identifiers))
    assert tables.conformance_problems(compose(nameless, Profile())) == []


@pytest.mark.parametrize("code", sorted(codes.MEASURED))
def test_never_under_a_code_of_a_measured_value(code: str) -> None:
    with pytest.raises(Misconfigured):
        compose(replace(RESULT, observations=(replace(LVEF, code=code),)), Profile())
    with pytest.raises(Misconfigured):
        Profile(service_alternate=(code, "x", "LN"))
    with pytest.raises(Misconfigured):
        Profile(alternate_codes={"ECGFM-LVEF": (code, "x", "LN")})


@pytest.mark.parametrize("version", OUTGOING_VERSIONS)
def test_no_measured_code_stands_anywhere_in_the_output(version: Hl7Version) -> None:
    leaves = {
        leaf
        for found in read(profile=Profile(version=version)).segments
        for text in found.fields
        for repetition in text.split("~")
        for leaf in repetition.split("^")
    }
    assert not leaves & codes.MEASURED


@given(
    st.text(min_size=1), st.text(min_size=1), st.text(), st.sampled_from(["2.3", "2.5.1", "2.8"]), st.text(max_size=40)
)
@settings(max_examples=200, deadline=None)
def test_no_value_breaks_out_of_its_leaf(name: str, number: str, note: str, version: Hl7Version, reason: str) -> None:
    hostile = replace(
        RESULT,
        patient=replace(
            RESULT.patient, family_name=name, identifiers=(Identifier(authority="HOSP", value=number or "1"),)
        ),
        notes=(note,),
        observations=(LVEF, replace(PACED, reasons=((reason, reason),))),
    )
    body = compose(hostile, Profile(version=version))
    names = [line[:3] for line in body.split(b"\r")]
    assert names == [b"MSH", b"PID", b"ORC", b"OBR", b"NTE", b"OBX", b"OBX", b"NTE", b""]
    assert b"\x0b" not in body
    assert b"\x1c" not in body
    parsed = message.parse(body)
    pid = parsed.first("PID")
    assert pid is not None
    surrogate_free = name.encode("utf-8", "replace").decode()
    assert pid.value(5) == ("" if surrogate_free.strip() == '""' else surrogate_free.strip())


@pytest.mark.parametrize("written", ["Ж123", "Š123", "Č123"])
@pytest.mark.parametrize("charset", ["8859/1", "ASCII"])
def test_a_number_never_leaves_changed(written: str, charset: str) -> None:
    """Three people's numbers must not all become `?123`."""
    patient = replace(RESULT.patient, identifiers=(Identifier(authority="HOSP", value=written),))
    with pytest.raises(Refused, match="unwritable") as refusal:
        compose(replace(RESULT, patient=patient), Profile(charset=charset))
    assert written not in str(refusal.value)


def test_a_name_may_lose_a_letter_to_a_narrow_charset() -> None:
    patient = replace(RESULT.patient, family_name="Ж")
    assert b"123^^^HOSP^MR" in compose(replace(RESULT, patient=patient), Profile(charset="ASCII"))


@pytest.mark.parametrize("placeholder", [date(1, 1, 1), date(1753, 1, 1), date(1900, 1, 1)])
def test_a_placeholder_is_not_sent_as_birth_date(placeholder: date) -> None:
    patient = replace(RESULT.patient, birth_date=placeholder)
    assert segment("PID", replace(RESULT, patient=patient)).value(7) == ""
