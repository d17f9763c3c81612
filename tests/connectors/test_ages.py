"""Ages as senders state them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ecgfm_connectors.ages import measurement, stated
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.files.payload import load


@pytest.mark.parametrize(
    ("number", "unit", "value", "years"),
    [
        ("042", "Y", "42 a", 42.0),
        ("50", "YEARS", "50 a", 50.0),
        ("46", "a", "46 a", 46.0),
        ("006", "M", "6 mo", 0.5),
        ("3", "WEEKS", "3 wk", 21 / 365.25),
        ("000", "D", "0 d", 0.0),
    ],
)
def test_ages(number: str, unit: str, value: str, years: float) -> None:
    assert measurement(number, unit) == (("age", value),)
    assert stated(measurement(number, unit)) == pytest.approx(years)


@pytest.mark.parametrize(
    ("number", "unit"), [("", ""), ("", "Y"), ("42", ""), ("XX", "Y"), ("25599", "Y"), ("-1", "Y")]
)
def test_what_is_no_age(number: str, unit: str) -> None:
    assert measurement(number, unit) == ()
    assert stated((("QRS", "90 ms"), ("age", "forty"))) is None


@pytest.mark.parametrize(
    ("path", "years"),
    [
        ("dicom/pydicom+pydicom/waveform_ecg.dcm", 42),
        ("hl7v3_aecg/FDA+aecg-python/Example_aECG.xml", 46),
        ("muse_xml/overdodactyl+musePHI/muse_ecg1.xml", 60),
        ("philips_xml/sixlettervariables+sierra-ecg-tools/129DYPRG.XML", 50),
        ("wfdb_chapman/pSharpX+dashboard-ecg-timeseries/JS00001.hea", 85),
        ("wfdb_ptbdb/MIT-LCP+wfdb-python/s0010_re.hea", 81),
        ("scp/farhad-abtahi+SCP-Tools/ANON000001.SCP", 36),
    ],
)
def test_real_files(
    corpus: Callable[[str], Path], read_one: Callable[[bytes], Ecg], path: str, years: int | None
) -> None:
    assert stated(read_one(load(corpus(path))).measurements) == years
