"""Results as a PACS gets them, for tests: one of each kind, and Debian's validator over what comes of them."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.results.composing import compose
from ecgfm_connectors.dicom.results.profile import ObjectProfile
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Former, Observation, Result
from ecgfm_connectors.waveform_object import WaveformObject

AT = datetime(2026, 4, 10, 9, 30, tzinfo=UTC)
VENTRICLE, HEART = ("87878005", "SCT", "Left ventricle"), ("80891009", "SCT", "Heart")
WAVEFORM = WaveformObject(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.9.1.1",
    sop_instance_uid="1.2.826.0.1.3680043.8.1055.1.1",
    series_uid="1.2.826.0.1.3680043.8.1055.1.2",
    study_uid="1.2.826.0.1.3680043.8.1055.1.3",
    study_date="20260410",
    study_time="091500",
    study_id="S17",
    accession="ACC-17",
    patient_id="P17",
    issuer="HOSP",
    authority="HOSP",
    patient_name="Müller^Ann",
    birth_date="19500101",
    sex="F",
)
LVEF = Observation(
    code="ECGFM-LVEF",
    name="AI-ECG probability of reduced LVEF",
    status="F",
    probability=0.7312345,
    threshold=0.5,
    positive=True,
    finding_site=VENTRICLE,
)
TROPONIN = Observation(
    code="ECGFM-TROP",
    name="AI-ECG probability of abnormal troponin",
    status="X",
    probability=None,
    reasons=(("signal-quality", "The signal is too noisy in V1, V2."), ("a-reason-of-a-long-name", "Another reason.")),
    finding_site=HEART,
)
RESULT = Result(
    control_id="EAAAAAAAAAAAAAAAAAA1",
    composed_at=AT,
    patient=Patient(identifiers=(Identifier(authority="HOSP", value="P17"),)),
    placer_number="",
    filler_number="ECGFM-a17",
    acquired_at=AT,
    scored_at=AT,
    status="F",
    model_name="demo-head",
    model_version="1.0 0123456789ab",
    device_id="ecgfm-clinical 0.2.0",
    observations=(LVEF, TROPONIN),
    notes=("DEMONSTRATION MODEL, NOT FOR CLINICAL USE.", "Statistical estimate from the ECG alone."),
    demo=True,
    test=True,
    model_digest="01" * 32,
    preprocessing="3",
    waveform=WAVEFORM,
)
PROFILE = ObjectProfile(institution="Example", software="0.2.0")
PDF = b"%PDF-1.7\n%%EOF\n"


def objects(body: bytes) -> list[Dataset]:
    """What a message stores, in its order."""
    return [dcmread(BytesIO(one)) for one in multipart.split(body)]


def correction(of: Result, body: bytes) -> Result:
    """Of a result whose message had this body: another probability."""
    changed = (replace(LVEF, probability=0.2, positive=False, status="C"), replace(TROPONIN, status="X"))
    former = Former(control_id=of.control_id, body=body)
    return replace(of, control_id="EAAAAAAAAAAAAAAAAAA2", status="C", observations=changed, former=former)


def withdrawal(of: Result, body: bytes) -> Result:
    former = Former(control_id=of.control_id, body=body)
    return replace(of, control_id="EAAAAAAAAAAAAAAAAAA3", status="W", former=former)


def withdrawal_in_doubt(of: Result, body: bytes) -> Result:
    """The same where nobody knows whether the objects came."""
    told = withdrawal(of, body)
    return replace(told, former=Former(control_id=of.control_id, body=body, in_doubt=True))


def every_form() -> dict[str, bytes]:
    """Form -> the body of its message."""
    first = compose(RESULT, PROFILE)
    paged = compose(replace(RESULT, page=PDF), PROFILE)
    own = replace(PROFILE, report="comprehensive-3d", without_waveform="own-study", character_set="ISO_IR 100")
    return {
        "result": first,
        "result with page": paged,
        "not evaluable": compose(replace(RESULT, observations=(TROPONIN,)), PROFILE),
        "correction": compose(correction(RESULT, first), PROFILE),
        "correction of a paged one": compose(correction(replace(RESULT, page=PDF), paged), PROFILE),
        "withdrawal": compose(withdrawal(RESULT, paged), PROFILE),
        "own study": compose(replace(RESULT, waveform=None, page=PDF), own),
    }


def errors(content: bytes, folder: Path) -> list[str]:
    """What `dciodvfy` calls an error in one object; the test is skipped where that is not installed."""
    program = shutil.which("dciodvfy", path="/usr/bin")
    if program is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    path = folder / "object.dcm"
    path.write_bytes(content)
    said = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    return [line for line in said.stderr.splitlines() if "Error" in line]
