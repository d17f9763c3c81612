"""CONFORMANCE lists every reason for which an outcome is left out, and no other."""

import re
from pathlib import Path
from typing import get_args

from ecgfm_connectors.dicom import echo_report
from ecgfm_connectors.hl7 import deaths
from ecgfm_connectors.hl7.outcomes import reading
from ecgfm_connectors.outcomes import codes, names
from ecgfm_connectors.outcomes.report.reader import Reason

ROOMS = (Path(reading.__file__).parent, Path(codes.__file__).parent)
REPORTS = Path(echo_report.__file__)
STATEMENT = Path(__file__).parents[3] / "connectors" / "CONFORMANCE.md"


def section() -> str:
    return STATEMENT.read_text("utf-8").split("#### Why an outcome is left out\n", 1)[1].split("\n#", 1)[0]


def test_each_reason_has_its_row() -> None:
    files = [REPORTS, Path(deaths.__file__), *(path for room in ROOMS for path in room.rglob("*.py"))]
    source = "\n".join(path.read_text("utf-8") for path in files)
    given = set(re.findall(r'reason="([a-z-]+)"', source)) | set(re.findall(r'"((?:outcome|death)-[a-z-]+)"', source))
    given |= set(re.findall(r'"((?:lvef|troponin)-ambiguous)"', source)) | set(get_args(Reason))
    given -= {"outcome-without-patient"}  # a finding: without a patient nothing can be kept
    stated = set(re.findall(r"^\| `([a-z-]+)` \|", section(), flags=re.MULTILINE))
    assert stated == given


def test_each_other_meaning_of_a_name_is_named() -> None:
    stated = set(re.findall(r"`([a-z-]+)`", section().splitlines()[-1]))
    assert set(get_args(names.Other)) | set(codes.LVEF_OTHERS.values()) | set(codes.TROPONIN_OTHERS.values()) <= stated
