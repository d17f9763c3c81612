"""Cuts a report into sentences, each with the section it stands in and whether a heading names another chamber."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ecgfm_connectors.outcomes.folding import fold, words
from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report import exertion
from ecgfm_connectors.outcomes.report.dates import Days
from ecgfm_connectors.outcomes.report.vocabulary import ABBREVIATIONS, CUES, HEADINGS

Section = Literal["history", "family", "prior", "conclusion", "advice", "findings", ""]

_BULLETS = frozenset("•·\u2022\u25cf")
_ENDS = frozenset(";!|") | _BULLETS
_HEADING_WORDS = 6
_ABBREVIATED = 3  #: letters: `VG`, `AP` are headings only where nothing stands before them
_LONGEST_HEADING = 40  #: characters
_WRAPPED = 60  #: characters: a longer line without a full stop goes on in the next
_GOES_ON = word_set(
    """with and of is at the to a an in was for or by mit und von ist bei der die das avec et de la le du des est con y
    del el e di il met en van een het com o da do med och av ar fraction ejection ef lvef from between approximately
    about around estimated measured auf bis ca circa zwischen fran till entre dal desde para hasta tot naar environ
    aproximadamente ungefahr ongeveer cirka"""
)
#: The last words of the quantity's names: the value may stand on the next line.
_NAMES = word_set(
    """ef lvef lvefbp fraction is of at about approximately ca circa estimated measured fevg fevi feve fevs fejve
    fe fey vg vi ve vs lv ejektionsfraktion auswurffraktion ejectiefractie eyeccion expulsion eiezione ejecao
    ejeccao linkerventrikelejectiefractie linksventrikelejektionsfraktion izquierdo esquerdo sinistro gauche
    betragt bedraagt ist est es e ar utgor pari liegt"""
)
#: A sentence that begins so speaks of this study, though an earlier one was spoken of before it.
_TODAY = re.compile(
    r"\s{0,3}(?:today|heute|aujourd'hui|ce jour|hoy|oggi|vandaag|hoje|idag|i dag"
    r"|(?:this|current|present) (?:study|echo|exam)"
    r"|(?:heutig|aktuell)e[rs]? (?:echo|befund|untersuchung)|(?:examen|echo) (?:de ce jour|du jour|actuel)"
    r"|(?:eco|estudio|ecocardiograma) (?:actual|de hoy)|(?:esame|eco|ecocardiogramma) (?:attuale|odierno|di oggi)"
    r"|(?:huidige?|echo van vandaag)|(?:exame|eco) (?:atual|de hoje)|dagens (?:eko|undersokning|ukg))(?![a-z])"
)
#: The heading of what happened during a stay; the word for the place says nothing of where the heart was looked at.
_COURSE = re.compile(r"\s{0,3}(?:brief )?(?:hospital course|course in hospital|clinical course)\s{0,3}:")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_OF_A_REPORT = word_set(
    """report echo echocardiogram echocardiography tte tee study exam examination date dated performed of on from the
    befund echokardiographie echokardiografie untersuchung untersuchungsdatum datum vom am uko
    compte rendu echographie echocardiographie ett examen du le realise realisee
    informe ecocardiograma eco estudio fecha del de realizado referto ecocardiogramma esame data
    verslag onderzoek echocardiografie d dd relatorio laudo exame utlatande ekokardiografi eko ukg undersokning den"""
)
_MONTHS = ("jan", "feb", "fev", "mar", "apr", "avr", "abr", "mai", "may", "maj", "mei", "mag", "gen", "ene", "jun",
           "jui", "giu", "jul", "lug", "aug", "aou", "ago", "sep", "set", "oct", "okt", "ott", "out", "nov", "dec",
           "dez", "dic", "des")  # fmt: skip
#: A number or a range, with its percent sign.
_NUMBERS = re.compile(r"\d{1,6}(?:[.,]\d{1,3})? ?%?(?: ?(?:-|–|to|bis|à|a|tot|till) ?\d{1,6}(?:[.,]\d{1,3})? ?%?)?")
#: A clause that begins with a method and its value speaks of the ejection fraction named before it.
_METHOD = re.compile(
    r"[ \t]{0,4}(?:(?:by|per|por|par|mit|met|nach|med|selon|volgens|enligt|con|com|the|modified) ){0,2}"
    r"(?:biplan[eo]?r?|monoplan[eo]?r?|simpsons?|simpson's|teichholz|mod[ -]bp|single[ -]plane|visuell?"
    r"|visual(?:ly|mente)?|a[24]c|[24][ -]?(?:ch|chambers?|kammer\w{0,12}|kammar\w{0,8}|kamers?|cavites?|camere"
    r"|camaras?))(?![a-z])[^.;|\n]{0,40}\d"
)
#: The cells of a row behind the name: one number, then no other one that could be a value.
_CELL = re.compile(r"[ \t]{0,9}\d{1,3}(?:[.,]\d)?[ ]?%?[ \t]{0,9}(?=\||$)")
_ROW = 120  #: characters
_LONGEST_GLUED = 12  #: characters
#: A full stop without a blank: `EF38% .MI`, `settale.Fraz eiezione`, `gr3.TAPSE`; `z.B.` and `sec.Simpson` are none.
_GLUED = re.compile(r"(?:[%)] ?|([a-z]{5,12})|(?<![a-z0-9])[a-z]{2,5}\d{1,2})\.[a-z]$")
_BEGINS_VALUE = frozenset("0123456789:=<>≤≥~(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence; `start` is its place in the report."""

    text: str
    folded: str
    start: int
    section: Section
    other_chamber: bool = False  #: its heading names the right ventricle, an atrium …
    exerted: bool = False  #: the report is of a stress test


@dataclass(frozen=True, slots=True)
class _Heading:
    section: Section
    other_chamber: bool
    known: bool  #: whether the words are a heading of our table
    end: int  #: where the text after the colon begins


def sentences(text: str, study: Days | None = None) -> Iterator[Sentence]:
    """The sentences of a report in their order. Linear in the length of the text.

    What stands below the date of an earlier year (`Echo 12.03.2019:`) is an earlier report, up to the next date.
    """
    folded = fold(text)
    exerted = exertion.is_stress_test(folded)
    section: Section = ""
    other_chamber, short_lived, older = False, False, False
    for start, end in _lines(text):
        if short_lived:
            section, other_chamber = "", False
        stripped = folded[start:end].strip()
        if study is not None and (dated := _report_of(stripped)) is not None:
            older = dated < study.first.year and (older or section not in ("prior", "history"))
        short_lived = short_lived or not stripped
        for begin, last in _cut(text, folded, start, end):
            told = _COURSE.match(folded, begin, last)
            first = told.end() if told is not None else begin
            heading = _heading(folded, text, first, last)
            if heading is not None and (
                heading.known or heading.other_chamber or not folded[heading.end : last].strip()
            ):
                section = heading.section if heading.known else section if not heading.other_chamber else ""
                other_chamber = heading.other_chamber
                older = older and not _of_now(stripped)
                short_lived = bool(folded[heading.end : end].strip())
                if not heading.known and not heading.other_chamber:
                    section = ""
            elif section in ("prior", "history") and _TODAY.match(folded, first, last):
                section = ""
            yield Sentence(
                text=text[first:last],
                folded=folded[first:last],
                start=first,
                section="prior" if older else section,
                other_chamber=other_chamber,
                exerted=exerted,
            )


def _report_of(line: str) -> int | None:
    """The year of a line that is nothing but the date of a report: `Echo 12.03.2019:`, `== Report of 3 May 2019 ==`."""
    if len(line) > _WRAPPED or not any(char.isdigit() for char in line):
        return None
    years = _YEAR.findall(line)
    spoken = words(line)
    if not years or not spoken or not all(map(_is_of_a_date, spoken)):
        return None
    return max(map(int, years))


def _is_of_a_date(word: str) -> bool:
    return word in _OF_A_REPORT or (word.startswith(_MONTHS) and word not in _NAMES)  # `fevg` is no February


def _of_now(line: str) -> bool:
    cue = CUES.at(words(line[:_LONGEST_HEADING]) or ("",), 0)
    return cue is not None and cue[0] == "now"


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Lines, with those that go on in the next one joined."""
    start, size = 0, len(text)
    while start <= size:
        end = _line_end(text, start)
        while end < size and _goes_on(text, start, end):
            end = _line_end(text, end + 1)
        yield start, end
        start = end + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _goes_on(text: str, start: int, end: int) -> bool:
    """Whether a sentence, or a range, goes on behind the line that ends at `end`."""
    if _METHOD.match(fold(text[end + 1 : end + 101])):
        return True
    last_line = max(text.rfind("\n", start, end) + 1, start)
    line = text[last_line:end].strip()
    following = text[end + 1 : end + 41].lstrip(" \t").split("\n", 1)[0]
    if not line or not following.strip() or line[-1] in ".:;!?|":
        return False
    if line[-1] == ",":
        return True
    if line[-1] in "-–" and following[0].isdigit() and line[:-1].rstrip(" %")[-1:].isdigit():
        return True  # a range that is cut in two
    spoken = words(fold(line[-20:]))
    if spoken and line[-1].isalpha() and following[0] in _BEGINS_VALUE:
        return spoken[-1] in _NAMES and _is_one_value(following)
    if spoken and spoken[-1] in _GOES_ON and line[-1].isalpha():
        return True
    return (following[0].islower() and len(line) > 20) or (
        len(line) > _WRAPPED and following[:1].isalpha() and ":" not in following
    )


def _is_one_value(line: str) -> bool:
    """Whether a line holds one number or range, or marks its first one with a percent sign: no row of a table."""
    numbers = _NUMBERS.findall(line)
    return len(numbers) == 1 or (bool(numbers) and "%" in numbers[0])


def _cut(text: str, folded: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences within a line; a point within a number or behind an abbreviation ends none."""
    first = start
    for at in range(start, end):
        char = folded[at]
        if char == "|" and _is_row(folded, first, at, end):
            continue
        if char in _BULLETS and folded[at - 1 : at].isdigit() and folded[at + 1 : at + 2].isdigit():
            continue  # a decimal point as some journals set it
        if char in _ENDS or (char == "." and _ends_sentence(folded, first, at, end)):
            if char in ".;" and _METHOD.match(folded, at + 1, end):
                continue
            if folded[first:at].strip():
                yield first, at
            first = at + 1
        elif (
            char == "?"
            and folded[first:at].strip()
            and text[at + 1 : at + 2] == " "
            and text[at + 2 : at + 3].isupper()
        ):
            yield first, at + 1  # the mark of the question stays with what it doubts
            first = at + 1
    if folded[first:end].strip():
        yield first, end


def _is_row(folded: str, first: int, at: int, end: int) -> bool:
    """Whether a bar stands between the quantity's name and its one value: `LVEF | 58 % | >55`."""
    cell = words(folded[first:at])
    if not cell or len(cell) > _HEADING_WORDS or cell[-1] not in _NAMES or any(c.isdigit() for c in folded[first:at]):
        return False
    rest = folded[at + 1 : min(end, at + _ROW)]
    return _CELL.match(rest) is not None and not any(_CELL.match(rest, bar + 1) for bar in _bars(rest))


def _bars(text: str) -> list[int]:
    return [at for at, char in enumerate(text) if char == "|"]


def _ends_sentence(folded: str, first: int, at: int, end: int) -> bool:
    if at + 1 < end and not folded[at + 1].isspace():
        glued = _GLUED.search(folded[max(at - _LONGEST_GLUED, first) : at + 2])
        return glued is not None and glued.group(1) not in ABBREVIATIONS
    if folded[at - 1 : at] == ".":
        return False  # dots that lead to a number
    begin = at
    while begin > first and folded[begin - 1].isalpha() and at - begin < 12:
        begin -= 1
    word = folded[begin:at]
    if len(word) == 1 and folded[begin - 1 : begin] == "/":
        return True  # `88 pmol/l.`
    if (len(word) == 1 and word != "i") or word in ABBREVIATIONS:  # `MI I.` is a grade
        return at + 1 >= end
    return True


def _heading(folded: str, text: str, first: int, last: int) -> _Heading | None:
    """The heading a sentence begins with: a few words and a colon, or a line in capitals that is nothing else."""
    colon = folded.find(":", first, min(last, first + 60))
    if colon < 0:
        alone = text[first:last].strip()
        if len(alone) > _LONGEST_HEADING or any(char.isdigit() for char in alone):
            return None
        if not alone.isupper() and not _is_heading_alone(alone):
            return None
        spoken = words(folded[first:last])
        end = last
    else:
        spoken = words(folded[first:colon])
        end = colon + 1
    if not 0 < len(spoken) <= _HEADING_WORDS or any(char.isdigit() for char in folded[first:end]):
        return None
    found = _of_conclusion(spoken) or HEADINGS.at(spoken, 0) or _of_the_past(spoken)
    section: Section = ""
    if found is not None and not (spoken == ("vg",) and _is_french(folded[end:last])):
        section = found[0]  # type: ignore[assignment]  # the table's keys are the literals
    cue = CUES.at(spoken, 0)
    other = cue is not None and cue[0] == "other-chamber"
    if colon < 0 and not section and not other:
        return None  # `CHF` on a line of its own
    return _Heading(section, other, bool(section), end)


def _is_heading_alone(line: str) -> bool:
    """`Indication`, `Right Ventricle` on a line of its own: wholly in our table, or wholly a chamber."""
    spoken = words(fold(line))
    if not spoken or len(line) <= _ABBREVIATED or not line[0].isupper() or not line[-1].isalpha():
        return False
    heading, cue = HEADINGS.at(spoken, 0), CUES.at(spoken, 0)
    chamber = cue is not None and cue[0] == "other-chamber" and cue[1] == len(spoken)
    return chamber or (heading is not None and heading[1] == len(spoken))


def _of_the_past(spoken: tuple[str, ...]) -> tuple[str, int] | None:
    """`Pre-procedure diagnosis:`, `Study indication:`: whatever stands before it, the word for the past decides."""
    for index in range(1, len(spoken)):
        found = HEADINGS.at(spoken, index) if len(spoken[index]) > _ABBREVIATED else None
        if spoken[index : index + 2] == ("prior", "to"):
            continue  # `TEE prior to cardioversion:`
        if found is not None and found[0] in ("history", "family", "prior"):
            return found
    return None


def _of_conclusion(spoken: tuple[str, ...]) -> tuple[str, int] | None:
    """`Kardiologische Beurteilung:`, `Echo conclusion:`: the last word decides."""
    found = HEADINGS.at(spoken, len(spoken) - 1) if len(spoken) > 1 else None
    return found if found is not None and found[0] == "conclusion" else None


def _is_french(folded: str) -> bool:
    """`VG:` is the left ventricle in French and the history in Dutch."""
    spoken = set(words(folded))
    return bool(spoken & {"fevg", "fe", "fraction", "normal", "dilate"}) or not spoken & {
        "lvef",
        "ef",
        "ejectiefractie",
    }
