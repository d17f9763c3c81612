"""A result as a document: MDM^T02, replaced by T10 and cancelled by T11."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest

from ecgfm_connectors.hl7.document import compose
from ecgfm_connectors.hl7.profile import Hl7Version, Profile
from ecgfm_connectors.hl7.result import compose as compose_result
from ecgfm_connectors.hl7.tables import conformance_problems
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Former, Observation, Result

NOW = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)
RESULT = Result(
    control_id="E2",
    composed_at=NOW,
    patient=Patient(identifiers=(Identifier(authority="TEST", value="T1"),), family_name="Test|person"),
    placer_number="P1^HIS",
    filler_number="ECGFM-7",
    acquired_at=NOW,
    scored_at=NOW,
    status="F",
    model_name="m",
    model_version="1",
    device_id="d",
    observations=(Observation(code="ECGFM-LVEF", name="AI", status="F", probability=0.7),),
    notes=("AI & no measurement",),
    page=b"%PDF",
)
PROFILE = Profile(form="MDM", page="ORU")


def fields(body: bytes) -> dict[str, list[str]]:
    """Segment (an OBX by its code) -> fields."""
    lines = [line.split("|") for line in body.decode().split("\r") if line]
    return {one[3].split("^")[0] if one[0] == "OBX" else one[0]: one for one in lines}


@pytest.mark.parametrize("version", ["2.3", "2.4", "2.5.1", "2.6", "2.7"])
@pytest.mark.parametrize(("status", "event"), [("F", "T02"), ("C", "T10"), ("W", "T11"), ("D", "T11")])
def test_every_kind_is_an_event_of_its_own_that_hl7apy_takes(
    version: Hl7Version, status: Literal["F", "C", "W", "D"], event: str
) -> None:
    former = None if status == "F" else Former(control_id="E1", body=None)
    body = compose(replace(RESULT, status=status, former=former), replace(PROFILE, version=version))
    found = fields(body)
    assert found["MSH"][8].split("^")[:2] == ["MDM", event]
    assert found["EVN"][1] == (event if version < "2.7" else ""), "withdrawn in 2.7"
    txa = found["TXA"]
    takes_back = status in ("W", "D")
    assert (txa[2], txa[17], txa[19]) == ("CD", "DO", "CA" if takes_back else "AV")
    assert txa[12] == ("E1^ECGFM" if takes_back else "E2^ECGFM")
    assert txa[13] == ("E1^ECGFM" if status == "C" else "")
    assert txa[15].startswith("ECGFM-7^ECGFM")
    assert ("ECGFM-LVEF" in found, "ECGFM-PAGE" in found) == (not takes_back, not takes_back)
    if not takes_back:
        assert found["ECGFM-NOTE"][5] == "AI \\T\\ no measurement"
        assert found["ECGFM-PAGE"][5].endswith("^JVBERg==")
    assert ("OBR" in found) == (version >= "2.5")
    if version != "2.3" or event == "T02":  # without MSH-9.3 hl7apy finds the structure of T02 alone
        assert conformance_problems(body) == []


def test_the_page_alone_goes_without_numbers_and_as_a_result_under_its_own_number() -> None:
    alone = fields(compose(RESULT, replace(PROFILE, contents="page")))
    assert "ECGFM-LVEF" not in alone
    assert "ECGFM-PAGE" in alone
    result = fields(compose_result(RESULT, Profile(page="ORU", contents="page")))
    assert "ECGFM-LVEF" not in result
    assert result["OBR"][3] == "ECGFM-7-P^ECGFM"
    assert result["ECGFM-PAGE"][1] == "1"
