"""The HL7 v2 part of the golden files: one ECG in every way a message can carry it, and messages that must be
refused.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.testing import dicom_writer, oru_writer
from tests.helpers import waveform_writer

_SENT_AT = datetime(2026, 3, 29, 15, 0, tzinfo=UTC)


def read_cases(ecg: Ecg) -> Iterator[tuple[str, str, bytes]]:
    """(name, what it shows, content) of messages from which `ecg` is to be read."""
    plain = oru_writer.write_ecg(ecg, control_id="GOLDEN1", sent_at=_SENT_AT)
    yield "oru-lf.hl7", "segments end with LF", plain.replace(b"\r", b"\n")
    yield "oru-crlf.hl7", "segments end with CR LF", plain.replace(b"\r", b"\r\n")
    yield "oru-z-segment.hl7", "a Z segment between OBR and OBX", plain.replace(b"\rOBX", b"\rZEC|local\rOBX")
    yield "oru-wrapped.hl7", "base64 broken by escaped line ends", plain.replace(b"AAAA", b"AA\\X0D0A\\AA")
    yield "oru-shifted-ed.hl7", "ED components shifted by one", plain.replace(b"CART^AP^DICOM^", b"^application^dicom^")
    yield "oru-delimiters.hl7", "other encoding characters", _with_delimiters(plain, b"#*!+@")
    yield "oru-2.3.hl7", "version 2.3", plain.replace(b"|2.5.1|", b"|2.3|").replace(b"ORU^R01^ORU_R01", b"ORU^R01")
    yield "oru-mllp.hl7", "still in its MLLP frame", b"\x0b" + plain + b"\x1c\r"
    big5 = plain.replace(b"UNICODE UTF-8", b"BIG-5").replace(b"|TEST^", "|許功蓋^".encode("big5"))
    yield "oru-big5.hl7", "Big5: second bytes of the name equal the escape character", big5
    yield "oru-big5-undeclared.hl7", "the same, MSH-18 empty", big5.replace(b"BIG-5", b"")
    yield "batch.hl7", "a batch file of one message", b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + plain + b"BTS|1\rFTS|1\r"
    for form in ("NA", "MA", "MDC"):
        content = waveform_writer.write_ecg(ecg, form=form, control_id="GOLDEN1", sent_at=_SENT_AT, leads=LEADS)
        yield f"oru-waveform-{form.lower()}.hl7", f"the samples written out, {form}", content


def refused_cases(ecg: Ecg) -> Iterator[tuple[str, str, str, bytes]]:
    """(name, what it shows, reason code, content) of messages that must not become an ECG."""
    plain = oru_writer.write_ecg(ecg, control_id="GOLDEN1", sent_at=_SENT_AT)
    stranger = Patient(identifiers=(replace(ecg.patient.identifiers[0], value="TEST-OTHER"),))
    payload = [(dicom_writer.write_ecg(ecg), "DICOM")]
    mismatch = oru_writer.write_message(payload, patient=stranger, control_id="GOLDEN1", sent_at=_SENT_AT)
    yield "oru-refused-patient.hl7", "PID and the embedded ECG are two people", "patient-mismatch", mismatch
    pdf = oru_writer.write_message(
        [(b"%PDF-1.4\n", "PDF")], patient=ecg.patient, control_id="GOLDEN1", sent_at=_SENT_AT
    )
    yield "oru-refused-pdf.hl7", "the ECG as a PDF", "pdf", pdf
    yield (
        "oru-refused-base64.hl7",
        "base64 with a character too many",
        "base64",
        plain.replace(b"^Base64^", b"^Base64^*"),
    )
    yield "oru-refused-joined.hl7", "segment ends lost", "single-segment", plain.replace(b"\r", b" ")
    yield "oru-refused-version.hl7", "no version 2", "unsupported-version", plain.replace(b"|2.5.1|", b"|3.0|")
    charge = plain.replace(b"ORU^R01^ORU_R01", b"DFT^P03^DFT_P03")
    yield "dft-refused.hl7", "a charge, not a result", "unsupported-type", charge
    waveform = waveform_writer.write_ecg(ecg, form="NA", control_id="GOLDEN1", sent_at=_SENT_AT)
    scaleless = waveform.replace(b"0.005&mV", b"")
    yield "oru-refused-scale.hl7", "samples without a sensitivity", "no-sensitivity", scaleless
    monitor = waveform_writer.write_ecg(ecg, form="MDC", control_id="GOLDEN1", sent_at=_SENT_AT, leads=("I", "II"))
    yield "oru-refused-monitor.hl7", "a monitor's two leads", "not-12-lead", monitor


def _with_delimiters(content: bytes, marks: bytes) -> bytes:
    """The message with other encoding characters; base64 holds none of the standard encoding characters."""
    return content.translate(bytes.maketrans(b"|^~\\&", marks))
