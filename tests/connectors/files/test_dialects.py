"""MUSE and EDF as other programs write them: other encodings, more blocks than one, labels and numbers of other
countries.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.leads import from_label
from ecgfm_connectors.reading import read
from ecgfm_connectors.units import millivolts
from tests.helpers import vendor_files as write

ReadOne = Callable[[bytes], Ecg]


def codes(ecg: Ecg) -> list[str]:
    return [finding.code for finding in ecg.findings]


def same(found: Ecg, ecg: Ecg) -> None:
    np.testing.assert_allclose(found.signal, ecg.signal, atol=0.0026)


def refusal(content: bytes, context: ReadingContext) -> str:
    with pytest.raises(PayloadError) as caught:
        read(content, context)
    return f"{type(caught.value).__name__} {caught.value.code}"


# --- MUSE -------------------------------------------------------------------------------------------------------------


def muse(ecg: Ecg, encoding: str) -> bytes:
    return write.write_muse(ecg).decode("latin-1").replace("ISO-8859-1", "UTF-16").encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8", "utf-8-sig"])
def test_muse_that_calls_itself_utf_16(ecg: Ecg, read_one: ReadOne, encoding: str) -> None:
    """With its DOCTYPE; with and without byte order mark; and written in single bytes after all."""
    named = replace(ecg, statements=("Rythme électro-entraîné",))
    found = read_one(muse(named, encoding))
    same(found, ecg)
    assert found.statements == ("Rythme électro-entraîné",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "latin-1"])
@pytest.mark.parametrize(
    "subset",
    [
        '<!DOCTYPE RestingECG [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE RestingECG SYSTEM "restecg.dtd" [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE RestingECG SYSTEM "restecg.dtd"><!DOCTYPE RestingECG [<!ENTITY a "a">]>',
    ],
)
def test_muse_with_entities_stays_refused(ecg: Ecg, context: ReadingContext, encoding: str, subset: str) -> None:
    text = write.write_muse(ecg).decode("latin-1").replace('<!DOCTYPE RestingECG SYSTEM "restecg.dtd">', subset)
    content = text.replace("ISO-8859-1", "UTF-16" if encoding != "latin-1" else "ISO-8859-1").encode(encoding)
    assert refusal(content, context) in ("Refused xml-entities", "Unreadable not-xml")


def test_muse_in_utf_16_that_is_cut_short(ecg: Ecg, context: ReadingContext) -> None:
    assert refusal(muse(ecg, "utf-16")[:-1], context) == "Unreadable not-xml"


def block(content: bytes) -> str:
    found = re.search(r"<Waveform><WaveformType>Rhythm.*?</Waveform>", content.decode("latin-1"), re.DOTALL)
    assert found is not None
    return found[0]


def lead_data(text: str, leads: set[str]) -> str:
    """A rhythm block with these leads only."""
    kept = [one for one in re.findall(r"<LeadData>.*?</LeadData>", text, re.DOTALL) if lead_id(one) in leads]
    return re.sub(r"<LeadData>.*</LeadData>", lambda _: "".join(kept), text, count=1, flags=re.DOTALL)


def lead_id(text: str) -> str:
    found = re.search(r"<LeadID>(\w+)", text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("first", [True, False])
def test_muse_takes_the_block_of_all_leads_beside_a_longer_strip(ecg: Ecg, read_one: ReadOne, first: bool) -> None:
    signal = np.concatenate([ecg.signal] * 3, axis=1)
    strip = lead_data(block(write.write_muse(replace(ecg, signal=signal))), {"II", "V1", "V5"})
    text = write.write_muse(ecg).decode("latin-1")
    both = (
        text.replace("<Diagnosis>", strip + "<Diagnosis>")
        if first
        else text.replace("</RestingECG>", strip) + "</RestingECG>"
    )
    same(read_one(both.encode("latin-1")), ecg)


def test_muse_of_two_blocks_of_all_leads_and_one_length_takes_the_finer(ecg: Ecg, read_one: ReadOne) -> None:
    coarse = replace(ecg, signal=ecg.signal[:, ::2].copy(), sampling_rate=250.0)
    text = write.write_muse(ecg).decode("latin-1")
    both = text.replace("<Diagnosis>", block(write.write_muse(coarse)) + "<Diagnosis>")
    found = read_one(both.encode("latin-1"))
    assert found.sampling_rate == 500.0
    same(found, ecg)


def test_muse_lead_that_is_off_is_missing(ecg: Ecg, read_one: ReadOne) -> None:
    text = write.write_muse(ecg).decode("latin-1")
    parts = text.split("<LeadID>V3</LeadID>")
    off = "<LeadID>V3</LeadID>".join(
        part.replace("<LeadOff>FALSE", "<LeadOff>TRUE", 1) if n else part for n, part in enumerate(parts)
    )
    found = read_one(off.encode("latin-1"))
    assert np.isnan(found.signal[LEADS.index("V3")]).all()
    assert np.isfinite(found.signal[LEADS.index("V2")]).all()
    assert "lead-off" in codes(found)


@pytest.mark.parametrize("other", ["V3R", "V7"])
def test_muse_lead_that_another_takes_the_place_of_stays_missing(ecg: Ecg, read_one: ReadOne, other: str) -> None:
    content = write.write_muse(ecg).replace(b"<LeadID>V3</LeadID>", f"<LeadID>{other}</LeadID>".encode())
    found = read_one(content)
    assert np.isnan(found.signal[LEADS.index("V3")]).all()
    assert "V3" not in found.stored_leads


# --- EDF --------------------------------------------------------------------------------------------------------------

_LABELS, _UNITS, _LOW, _HIGH = 256, 256 + 12 * 96, 256 + 12 * 104, 256 + 12 * 112


def put(content: bytes, at: int, width: int, texts: list[bytes]) -> bytes:
    """`content` with a field of all signals written anew."""
    field = b"".join(text.ljust(width) for text in texts)
    return content[:at] + field + content[at + len(field) :]


def microvolts(ecg: Ecg, unit: bytes) -> bytes:
    content = put(write.write_edf(ecg), _UNITS, 8, [unit] * 12)
    return put(put(content, _LOW, 8, [b"-163840"] * 12), _HIGH, 8, [b"163835"] * 12)


@pytest.mark.parametrize(
    "unit",
    [b"\xb5V", "µV".encode(), "μV".encode(), "μV".encode("shift-jis"), "μV".encode("gbk"), "µV".encode("cp437"), b"uV"],
)
def test_edf_microvolts_in_every_encoding(ecg: Ecg, read_one: ReadOne, unit: bytes) -> None:
    same(read_one(microvolts(ecg, unit)), ecg)


@pytest.mark.parametrize(
    "form", ["EKG {}", "ECG {}", "ECG {}-Ref", "EKG {}-REF", "{}-Ref", "ekg {}", "EKG-{}", "ECG:{}"]
)
def test_edf_labels(ecg: Ecg, read_one: ReadOne, form: str) -> None:
    content = put(write.write_edf(ecg), _LABELS, 16, [form.format(lead).encode() for lead in LEADS])
    same(read_one(content), ecg)


def test_a_minus_before_a_lead_is_a_sign_not_a_hyphen() -> None:
    inverted = from_label("ECG -aVR")
    assert inverted is not None
    assert (inverted.name, inverted.sign) == ("aVR", -1)
    assert [from_label(text) for text in ("ECG", "EKG", "ECG Ref", "EEG I-Ref", "I-II", "ECG 12")] == [None] * 6


def test_edf_with_unknown_number_of_records(ecg: Ecg, read_one: ReadOne) -> None:
    content = put(write.write_edf(ecg), 236, 8, [b"-1"])
    found = read_one(content + b"\0\0\0")  # half a record, as a writer leaves that is stopped
    same(found, ecg)
    assert codes(found) == ["header-malformed"]


def test_edf_without_a_whole_record(ecg: Ecg, context: ReadingContext) -> None:
    content = put(write.write_edf(ecg), 236, 8, [b"-1"])
    assert refusal(content[: 256 * 13 + 100], context) == "Unreadable waveform-length"


def test_edf_reversed_ranges_are_an_inverting_amplifier(ecg: Ecg, read_one: ReadOne) -> None:
    content = put(put(write.write_edf(ecg), _LOW, 8, [b"163.835"] * 12), _HIGH, 8, [b"-163.84"] * 12)
    np.testing.assert_allclose(read_one(content).signal, -ecg.signal, atol=0.0076)


def test_edf_padded_with_nul(ecg: Ecg, read_one: ReadOne) -> None:
    content = write.write_edf(ecg)
    header = re.sub(rb" +$", lambda found: b"\0" * len(found[0]), content[: 256 * 13])
    header = b"".join(
        piece if n % 8 else piece.rstrip().ljust(8, b"\0")
        for n, piece in enumerate(header[i : i + 8] for i in range(0, 3328, 8))
    )
    same(read_one(header + content[3328:]), ecg)


def test_edf_numbers_with_a_decimal_comma(ecg: Ecg, read_one: ReadOne, context: ReadingContext) -> None:
    content = put(put(write.write_edf(ecg), _LOW, 8, [b"-163,84"] * 12), _HIGH, 8, [b"163,84"] * 12)
    same(read_one(content), ecg)
    thousands = put(put(write.write_edf(ecg), _LOW, 8, [b"-163,840"] * 12), _HIGH, 8, [b"163,835"] * 12)
    assert refusal(thousands, context) == "Refused no-sensitivity"


@pytest.mark.parametrize("unit", ["V\xb5", "µ", "æ", "mmHg", "kV", "%"])
def test_what_is_no_microvolt(unit: str) -> None:
    assert millivolts(unit) is None
