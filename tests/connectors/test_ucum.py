"""Every unit that results carry, in each form, is a valid UCUM term (The Unified Code for Units of Measure 2.1, §2)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset

from ecgfm_connectors.fhir.bundle import compose as compose_fhir
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.hl7 import message
from ecgfm_connectors.hl7.profile import Profile
from ecgfm_connectors.hl7.result import compose as compose_hl7
from tests.helpers.dicom_results import RESULT, every_form, objects

#: A number, or an annotation alone, stands for the unity (§2.1 6 and 7, §2.4.3): the only terms without a unit atom.
UNITY = re.compile(r"[1-9][0-9]*|\{[\x21-\x7a\x7c\x7e]+\}")
SYSTEM = "http://unitsofmeasure.org"


def is_unity(code: str) -> bool:
    return UNITY.fullmatch(code) is not None


@pytest.mark.parametrize("code", ["", "%%", "no units", "{0:1", "0:1", "{a}{b}", "ratio", "1 "])
def test_what_is_no_ucum_is_told(code: str) -> None:
    assert not is_unity(code)


def test_of_hl7() -> None:
    told = message.parse(compose_hl7(RESULT, Profile()))
    numbers = [one for one in told.all("OBX") if one.value(2) == "NM"]
    assert numbers
    assert all(is_unity(one.value(6)) and one.value(6, 3) == "UCUM" for one in numbers)


def test_of_fhir() -> None:
    profile = FhirProfile(namespace="https://hospital.example/ecgfm", systems={"HOSP": "https://hospital.example/mrn"})
    found = list(_quantities(json.loads(compose_fhir(RESULT, profile))))
    assert found
    assert all(one["system"] == SYSTEM and is_unity(one["code"]) for one in found)


def test_of_dicom() -> None:
    units = [unit for body in every_form().values() for one in objects(body) for unit in _units(one)]
    assert units
    assert all(unit.CodingSchemeDesignator == "UCUM" and is_unity(unit.CodeValue) for unit in units)


def _quantities(told: Any) -> Iterator[dict[str, Any]]:
    if isinstance(told, list):
        for one in told:
            yield from _quantities(one)
    elif isinstance(told, dict):
        if "value" in told and "code" in told and "system" in told:
            yield told
        for one in told.values():
            yield from _quantities(one)


def _units(item: Dataset) -> Iterator[Dataset]:
    for measured in item.get("MeasuredValueSequence", ()):
        yield from measured.MeasurementUnitsCodeSequence
    for child in item.get("ContentSequence", ()):
        yield from _units(child)
