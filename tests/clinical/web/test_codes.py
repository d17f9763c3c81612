"""Codes of acknowledgements on a page: the standard's are explained, everybody else's are shown as they are."""

import pytest

from ecgfm_clinical.web import codes, languages
from ecgfm_clinical.web.segments import UNKNOWN, lines_of
from ecgfm_clinical.wording import in_english

MSH = "MSH|^~\\&|A|B|C|D|20310101||ORU^R01^ORU_R01|1|P|2.5.1|||{accept}|{application}"


def _meanings(text: str) -> list[tuple[str, str, str]]:
    return [(one.where, one.code, one.meaning) for one in codes.meanings(text, in_english)]


def test_what_the_tables_hold_is_explained() -> None:
    assert _meanings(MSH.format(accept="AL", application="NE")) == [
        ("MSH-15", "AL", "always"),
        ("MSH-16", "NE", "never"),
    ]
    assert _meanings("MSA|AA|1") == [("MSA-1", "AA", "taken (application accept)")]
    assert _meanings("ERR||PID^1|207^Application internal error^HL70357|E") == [
        ("ERR-3", "207", "application internal error")
    ]
    assert _meanings(MSH.format(accept="", application="")) == []


@pytest.mark.parametrize("code", ["XX", "al ways", "<b>", "é", "A" * 300])
def test_what_no_table_holds_is_shown_as_it_is_with_a_sentence(code: str) -> None:
    sentence = "no code of HL7 table {}: it is shown as it was written"
    assert _meanings(MSH.format(accept=code, application="AL")) == [
        ("MSH-15", code, sentence.format("0155")),
        ("MSH-16", "AL", "always"),
    ]
    assert _meanings(f"MSA|{code}|1") == [("MSA-1", code, sentence.format("0008"))]


@pytest.mark.parametrize("text", ["", "M", "MSH", "MSH|", "MSA", "MSA|", "MSA|^", "ERR|||"])
def test_what_breaks_off_has_no_codes(text: str) -> None:
    assert _meanings(text) == []


def test_every_segment_has_a_sentence() -> None:
    known, strange = lines_of(b"PID|1\rZZZ|what a site adds\r", in_english)
    assert known.about.startswith("the patient")
    assert (strange.text, strange.about) == ("ZZZ|what a site adds", UNKNOWN)


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("AA", "", "taken (application accept)"),
        ("AR", "207", "rejected (application reject); application internal error"),
        (
            "AE",
            "999",
            "refused for its content (application error); no code of HL7 table 0357: it is shown as it was written",
        ),
        ("AX", "", "no code of HL7 table 0008: it is shown as it was written"),
        ("HTTP 201", "", ""),
        ("0x0000", "", ""),
        ("no-objects", "no-objects", ""),
    ],
)
def test_an_answer_is_explained_where_it_is_one_of_hl7(code: str, error: str, said: str) -> None:
    assert codes.answered(code, error, in_english) == said


def test_it_is_explained_in_german_too() -> None:
    german = languages.languages()["de"]
    assert codes.answered("AX", "", german.say) == "kein Code der HL7-Tabelle 0008: gezeigt, wie er geschrieben wurde"
