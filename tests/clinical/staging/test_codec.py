"""The stored form of an ECG: coded statements come back, and rows of versions that did not keep them stay readable."""

from types import SimpleNamespace

from ecgfm_clinical.staging import codec
from ecgfm_connectors.statements.statement import Statement
from ecgfm_connectors.statements.understanding import said_of, understood
from tests.helpers.fakes import make_ecg

PACED = Statement(concept="paced", source="MUSE", code="PaceSpikes")


def test_coded_statements_come_back() -> None:
    one = make_ecg(1, coded=(PACED,), statements=("Gibberish", "Sinusrhythmus"))
    about, private = codec.about(one), codec.private(one)
    row = SimpleNamespace(about=about, format=one.format, sampling_rate=one.sampling_rate)
    assert codec.ecg_from(row, private, one.signal).coded == (PACED,)
    assert about["unread_statements"] == 1
    assert "PaceSpikes" not in str(about)


def test_a_row_of_an_earlier_version_is_readable_and_its_words_are_understood() -> None:
    one = make_ecg(1, statements=("Schrittmacherrhythmus",))
    about, private = codec.about(one), codec.private(one)
    del about["unread_statements"], private["coded"]
    row = SimpleNamespace(about=about, format=one.format, sampling_rate=one.sampling_rate)
    back = codec.ecg_from(row, private, one.signal)
    assert back.coded == ()
    assert said_of("paced", understood(back)) == "stated"
