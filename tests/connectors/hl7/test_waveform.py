"""Waveforms written out in OBX are read with the right scale and leads, or refused with the reason."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError, Refused
from ecgfm_connectors.reading import read
from tests.helpers import waveform_writer


def message(lines: list[str], processing: str = "P") -> bytes:
    head = f"MSH|^~\\&|CART|WARD|ECGFM|H|20260301090000+0000||ORU^W01^ORU_R01|M1|{processing}|2.5.1"
    order = "OBR|1|ORD1^CPOE|ECG9^MUSE|93000^ECG^CPT|||20260301083000"
    numbered = [f"OBX|{number}|{line}" for number, line in enumerate(lines, start=1)]
    return "\r".join((head, "PID|1||123^^^HOSP^MR||TEST^PATIENT", order, *numbered, "")).encode()


def lines_of(ecg: Ecg, form: waveform_writer.Form) -> list[str]:
    """The OBX segments that the writer makes, without OBX and its number."""
    sent = datetime(2026, 3, 1, 9, tzinfo=UTC)
    written = waveform_writer.write_ecg(ecg, form=form, control_id="M1", sent_at=sent).decode()
    return [line.split("|", 2)[2] for line in written.split("\r") if line.startswith("OBX|")]


@pytest.fixture
def one_by_one(ecg: Ecg) -> list[str]:
    return lines_of(ecg, "NA")


@pytest.fixture
def multiplexed(ecg: Ecg) -> list[str]:
    return lines_of(ecg, "MA")


@pytest.fixture
def coded(ecg: Ecg) -> list[str]:
    return lines_of(ecg, "MDC")


@pytest.mark.parametrize("form", ["one_by_one", "multiplexed", "coded"])
def test_the_three_forms(request: pytest.FixtureRequest, ecg: Ecg, context: ReadingContext, form: str) -> None:
    (found,) = read(message(request.getfixturevalue(form)), context).ecgs
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-5)
    assert (found.sampling_rate, found.format) == (500.0, "hl7-waveform")
    assert (found.stored_leads, found.derived_leads) == (waveform_writer.INDEPENDENT, ("III", "aVR", "aVL", "aVF"))
    assert found.acquired is not None
    assert found.acquired.at.isoformat() == "2026-03-01T08:30:00+00:00"
    assert found.patient.identifiers[0].value == "123"
    assert (found.order.placer, found.order.filler) == ("ORD1^CPOE", "ECG9^MUSE")
    assert found.source_id.startswith("hl7:CART|WARD|ECG9^MUSE|")
    assert found.measurements == ()


def test_baseline_correction_and_unit(ecg: Ecg, context: ReadingContext, one_by_one: list[str]) -> None:
    changed = [line.replace("0.005&mV^1&0&0", "10&uV^0.5&100&0") for line in one_by_one]
    (found,) = read(message(changed), context).ecgs
    np.testing.assert_allclose(found.signal[6], ecg.signal[6] - 0.5, atol=1e-5)


def test_a_long_row_may_be_broken_into_several(ecg: Ecg, context: ReadingContext, one_by_one: list[str]) -> None:
    broken = []
    for line in one_by_one:
        head, _, data = line.partition("^ECG^CPT|")
        broken.append(line)
        if "&WAV" in head:
            words = data.split("|")[1].split("^")
            place = data.split("|")[0]
            broken[-1] = f"{head}^ECG^CPT|{place}|{'^'.join(words[:2000])}~{'^'.join(words[2000:3000])}||||||F"
            broken.append(f"{head}^ECG^CPT|{place}|{'^'.join(words[3000:])}||||||F")
    (found,) = read(message(broken), context).ecgs
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-5)


def test_left_out_and_invalid_samples_are_nan(ecg: Ecg, context: ReadingContext, coded: list[str]) -> None:
    place = coded[0].index("|1.7.6.1|") + len("|1.7.6.1|")
    words = coded[0][place:].split("^")
    coded[0] = coded[0][:place] + "^".join(["", "-32768", *words[2:]])
    (found,) = read(message(coded), context).ecgs
    assert np.isnan(found.signal[0, :2]).all()
    assert np.isfinite(found.signal[0, 2:]).all()


def test_values_that_are_millivolts_already(ecg: Ecg, context: ReadingContext, coded: list[str]) -> None:
    lines = []
    for line in coded:
        if line.startswith("NA|"):
            kind, code, place, data, *rest = line.split("|")
            volts = "^".join(f"{int(word) * 0.005:.3f}" for word in data.split("^"))
            line = "|".join((kind, code, place, volts, "266418^MDC_DIM_MILLI_VOLT^MDC", *rest[1:]))
        lines.append(line)
    (found,) = read(message(lines), context).ecgs
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-5)


def replaced(lines: list[str], old: str, new: str, count: int = -1) -> list[str]:
    return "\n".join(lines).replace(old, new, count).split("\n")


@pytest.mark.parametrize(
    ("form", "old", "new", "code"),
    [
        ("one_by_one", "0.005&mV", "", "no-sensitivity"),
        ("one_by_one", "&mV", "&mmHg", "unknown-unit"),
        ("one_by_one", "^500^", "^^", "sampling-frequency"),
        ("one_by_one", "&CHN", "&XXX", "channel-definition"),
        ("one_by_one", "2&II^II^", "2&I^II^", "lead-doubtful"),
        ("multiplexed", "2&II^II~", "2&II^II~9&V7^V7~", "channel-count"),
        ("coded", "|500|", "|fast|", "sampling-frequency"),
        ("coded", "MDC_ATTR_NU_MSMT_RES", "MDC_ATTR_OTHER", "no-sensitivity"),
        ("coded", "131330^MDC_ECG_ELEC_POTL_II^", "131330^MDC_ECG_ELEC_POTL_V1^", "lead-doubtful"),
        ("coded", "131330^MDC_ECG_ELEC_POTL_II^", "1^MDC_ECG_ELEC_POTL_Q^", "lead-doubtful"),
    ],
)
def test_what_is_missing_or_doubtful_is_refused(
    request: pytest.FixtureRequest, context: ReadingContext, form: str, old: str, new: str, code: str
) -> None:
    with pytest.raises(PayloadError) as refusal:
        read(message(replaced(request.getfixturevalue(form), old, new)), context)
    assert refusal.value.code == code


def test_a_component_with_two_numbers_would_shift_the_channels(context: ReadingContext, multiplexed: list[str]) -> None:
    whole = message(multiplexed)
    place = whole.rindex(b"~", 0, whole.rindex(b"~"))
    first, second, rest = whole[place + 1 :].split(b"^", 2)
    with pytest.raises(PayloadError) as refusal:
        read(whole[: place + 1] + first + b" " + second + b"^ ^" + rest, context)
    assert refusal.value.code == "sample-text"
    spaced = whole[: place + 1] + b" " + first + b"^ " + second + b" ^" + rest
    np.testing.assert_array_equal(read(spaced, context).ecgs[0].signal, read(whole, context).ecgs[0].signal)


def test_a_monitor_strip_of_two_leads(context: ReadingContext, coded: list[str]) -> None:
    with pytest.raises(Refused, match="not-12-lead"):
        read(message([line for line in coded if "POTL_V" not in line]), context)


def test_whole_counts_that_claim_to_be_millivolts(context: ReadingContext, coded: list[str]) -> None:
    lines = [line.replace("|||||||||2026", "|266418^MDC_DIM_MILLI_VOLT^MDC||||||||2026") for line in coded]
    with pytest.raises(Refused, match="scale-doubtful"):
        read(message(lines), context)


def test_leads_at_different_rates(context: ReadingContext, one_by_one: list[str]) -> None:
    with pytest.raises(Refused, match="mixed-rates"):
        read(message(replaced(one_by_one, "^500^", "^250^", 1)), context)


def test_text_where_numbers_belong(context: ReadingContext, coded: list[str]) -> None:
    first = coded[0].split("|")
    first[3] = "Lead I"
    with pytest.raises(PayloadError, match="sample-text"):
        read(message(["|".join(first), *coded[1:]]), context)


def test_test_messages_are_marked(context: ReadingContext, coded: list[str]) -> None:
    assert read(message(coded, processing="T"), context).ecgs[0].test_data
