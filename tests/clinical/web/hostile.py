"""Messages and recordings of which every text is markup: what a careless page would run."""

import io
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pydicom
from pydicom.dataset import Dataset

from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.testing import dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import acknowledge
from tests.helpers.installation import ecg, patient

PAYLOAD = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}"
#: The longest value of each kind of text (PS3.5, table 6.2-1).
_LONGEST = {"LO": 64, "SH": 16, "PN": 64, "LT": 1000, "ST": 1000, "UT": 1000, "UC": 1000, "AE": 16, "CS": 16}
#: What would make it another object altogether, or no object: class, syntax, charset, and what a lead is.
_ASKED = {(0, 14), (0, 15)}  #: MSH-15 and MSH-16: with an unknown condition nobody is answered
_KEPT = {"SpecificCharacterSet", "Modality", "WaveformOriginality", "WaveformSampleInterpretation", "CodeValue"}


def dicom(number: int) -> bytes:
    """A 12-lead ECG object of which every free text is the payload, as much of it as the field takes."""
    found = pydicom.dcmread(io.BytesIO(dicom_writer.write_ecg(ecg(number, f"X{number}"))))
    _spoil(found)
    for name in ("InstitutionName", "StationName", "OperatorsName", "ReferringPhysicianName", "StudyDescription"):
        setattr(found, name, PAYLOAD[:16])
    written = io.BytesIO()
    found.save_as(written)
    return written.getvalue()


def _spoil(data: Dataset) -> None:
    for element in data:
        if element.VR == "SQ":
            for item in element.value:
                if element.keyword not in ("ChannelSourceSequence", "ChannelSensitivityUnitsSequence"):
                    _spoil(item)
        elif element.VR in _LONGEST and element.keyword not in _KEPT and element.VR not in ("CS", "AE"):
            element.value = PAYLOAD[: _LONGEST[element.VR]]


def hl7(number: int) -> bytes:
    """An ORU^R01 that is taken, with the payload in every free text that it has."""
    return _written(ecg(number, patient=patient(f"H{number}", family_name=PAYLOAD, given_name=PAYLOAD)), number)


def hl7_by_field(first: int) -> Iterator[bytes]:
    """Messages with the payload in one field that has a value, or in all of a segment that have none."""
    numbers = itertools.count(first)
    for line, text in enumerate(_written(ecg(0, "A"), 0).decode().split("\r")[:-1]):
        told = text.split("|")
        empty = [field for field, value in enumerate(told) if field and not value and (line, field) not in _ASKED]
        filled = [[field] for field, value in enumerate(told) if field and value and (line, field) != (0, 1)]
        for places in (*filled, empty):
            number = next(numbers)
            lines = _written(ecg(number, f"Y{number}"), number).decode().split("\r")
            fields = lines[line].split("|")
            for place in places:
                fields[place] = PAYLOAD
            lines[line] = "|".join(fields)
            yield "\r".join(lines).encode()


def _written(one: Ecg, number: int) -> bytes:
    order = Order(placer=f"P{number}{PAYLOAD}", filler=f"F{number}{PAYLOAD}", accession=PAYLOAD)
    return oru_writer.write_message(
        [(dicom_writer.write_ecg(one), "DICOM")],
        patient=one.patient,
        control_id=f"HOSTILE{number}",
        sent_at=datetime(2031, 1, 1, tzinfo=UTC),
        order=order,
        acquired_at=one.acquired.at if one.acquired else None,
        statements=(PAYLOAD, "Sinus rhythm"),
        sender=(PAYLOAD, PAYLOAD),
    )


def refusal(body: bytes, code: str, *, control_id: str | None = None, condition: str = "102") -> bytes:
    """The answer of a receiver that means harm: refused, with the payload in MSA-3 and in every text of ERR."""
    answer = acknowledge(body, "AE", control_id=control_id, condition=condition).decode()
    lines = answer.rstrip("\r").split("\r")
    lines[1] = "|".join([*lines[1].split("|")[:3], PAYLOAD])
    lines[2] = f"ERR||{PAYLOAD}|102^{PAYLOAD}|E|{PAYLOAD}||{PAYLOAD}|{PAYLOAD}"
    return ("\r".join(lines) + "\r").encode()
