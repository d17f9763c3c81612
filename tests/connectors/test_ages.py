"""Ages as senders state them."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ecgfm_connectors import ages
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


@pytest.mark.parametrize(
    ("birth_date", "acquired", "stated", "candidates"),
    [
        (date(1986, 3, 1), datetime(2026, 3, 1, tzinfo=UTC), (), (40.0,)),
        (date(1986, 3, 1), datetime(2026, 3, 1, tzinfo=UTC), (("age", "40 a"),), (40.0,)),
        (date(1986, 3, 1), datetime(2026, 3, 1, tzinfo=UTC), (("age", "5 a"),), (40.0, 5.0)),
        (date(2026, 3, 2), datetime(2026, 3, 1, tzinfo=UTC), (("age", "5 a"),), (5.0,)),
        (date(1899, 3, 2), datetime(2026, 3, 1, tzinfo=UTC), (("age", "5 a"),), (5.0,)),
        (date(1753, 1, 1), datetime(2026, 3, 1, tzinfo=UTC), (), ()),
        (None, None, (("age", "3 d"),), (3 / 365.25,)),
    ],
)
def test_age_at_acquisition(
    birth_date: date | None,
    acquired: datetime | None,
    stated: tuple[tuple[str, str], ...],
    candidates: tuple[float, ...],
) -> None:
    found = ages.at_acquisition(birth_date, acquired, stated).candidates
    assert found == pytest.approx(candidates, abs=0.01)


@pytest.mark.parametrize(
    ("birth_date", "stated", "doubt"),
    [
        (date(1986, 3, 1), (("age", "40 a"),), ""),
        (date(1986, 3, 1), (("age", "5 a"),), "contradict"),
        (date(2026, 3, 2), (("age", "5 a"),), "before the birth"),
        (date(1900, 1, 1), (("age", "5 a"),), "placeholder"),
        (date(1890, 3, 2), (), "older than"),
        (None, (("age", "140 a"),), "anonymisers"),
    ],
)
def test_what_is_doubtful_of_an_age_is_said(
    birth_date: date | None, stated: tuple[tuple[str, str], ...], doubt: str
) -> None:
    doubts = ages.at_acquisition(birth_date, datetime(2026, 3, 1, tzinfo=UTC), stated).doubts
    assert doubt in "; ".join(doubts)
    assert bool(doubts) is bool(doubt)


@pytest.mark.parametrize(
    ("birth_date", "registered", "stated", "candidates", "doubt"),
    [
        (None, date(1986, 3, 1), (), (40.0,), ""),
        (date(1986, 3, 1), date(1986, 3, 1), (), (40.0,), ""),
        (date(1986, 3, 1), date(1956, 3, 1), (), (40.0, 70.0), "birth date and registered birth date contradict"),
        (None, date(1956, 3, 1), (("age", "5 a"),), (70.0, 5.0), "registered birth date and stated age contradict"),
        (date(1986, 3, 1), date(1956, 3, 1), (("age", "70 a"),), (40.0, 70.0), "and registered birth date contradict"),
        (date(1900, 1, 1), date(1956, 3, 1), (), (70.0,), "placeholder"),
        (None, date(1900, 1, 1), (), (), "registered birth date is a program's placeholder"),
        (None, date(2026, 3, 2), (), (), "before the registered birth"),
    ],
)
def test_a_register_s_birth_date(
    birth_date: date | None,
    registered: date | None,
    stated: tuple[tuple[str, str], ...],
    candidates: tuple[float, ...],
    doubt: str,
) -> None:
    found = ages.at_acquisition(birth_date, datetime(2026, 3, 1, tzinfo=UTC), stated, registered=registered)
    assert found.candidates == pytest.approx(candidates, abs=0.01)
    assert doubt in "; ".join(found.doubts)
    assert bool(found.doubts) is bool(doubt)
