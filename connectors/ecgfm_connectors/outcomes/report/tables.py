"""Rows of a table that give an ejection fraction, read by the table's head: chambers, studies, methods or values.

    <tab>LV<tab>RV            Current<tab>06/2022      Method<tab>4C<tab>Biplane     Value      Normal
    EF (%)<tab>62<tab>56      LVEF<tab>43 %<tab>51 %   EF<tab>28<tab>26              57 %       52-72

Cells are parted by tabs, bars, semicolons or two blanks and more. A head that is not understood gives nothing, and the
row is left to the sentences.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ecgfm_connectors.outcomes.folding import fold, words
from ecgfm_connectors.outcomes.phrases import phrases, word_set
from ecgfm_connectors.outcomes.report import dates
from ecgfm_connectors.outcomes.report.dates import Days
from ecgfm_connectors.outcomes.report.items import SPANS
from ecgfm_connectors.outcomes.report.statements import Statement
from ecgfm_connectors.outcomes.report.surroundings import HIGHEST, LOWEST
from ecgfm_connectors.outcomes.report.vocabulary import CUES

Column = Literal["left", "other", "now", "prior", "biplane", "plane", "value", "limit", ""]

_CELL, _CELLS = 60, 12  #: characters of a cell, cells of a row
_PARTING = (re.compile(r"\t"), re.compile(r"\|"), re.compile(r";"), re.compile(r" {2,}"))
_NUMBER = re.compile(
    r"\s{0,3}(?:ca\.? ?|~ ?)?(\d{1,3}(?:[.,]\d{1,2})?) ?%?(?: ?(?:-|–|to|a|bis) ?(\d{1,3}(?:[.,]\d{1,2})?))? ?%?\s{0,3}"
)
_BRACKETS = re.compile(r"\(.{0,30}\)|\[.{0,30}\]")  #: `Previous (18 mo)`
_LAPSES = word_set("ago geleden sedan hace ha fa il vor for pre pra preop praop avant antes prima before innan fore")
_AROUND_PAST = word_set(
    """y a an ans ano anos anno anni jahr jahre jahren jaar ar yr yrs year years op operation surgery tavi tavr crt icd
    pci chemo chimio quimio kemo intervention eingriff chirurgie cirugia intervento operatie operacao echo eco eko tte
    ett ukg befund wert value valeur valor valore waarde varde exam examen esame exame study estudio of the du de het
    onderzoek undersokning"""
)
_COLUMNS = phrases(
    {
        "left": """lv|vg|vi|ve|vs|vsx|vk|left|links|linker ventrikel|left ventricle|ventricule gauche
            ventriculo izquierdo|ventricolo sinistro|linkerventrikel|ventriculo esquerdo|vansterkammare|vanster""",
        "other": """rv|vd|vdx|hk|right|rechts|rechter ventrikel|right ventricle|ventricule droit|ventriculo derecho
            ventricolo destro|rechterventrikel|ventriculo direito|hogerkammare|hoger|la|ra|lv mass""",
        "now": """jour|aujourd hui|du jour|examen du jour|heden|dagens|current echo|current exam|aktuelle
            aktueller befund
            aktueller wert|valeur actuelle|valor actual|valor atual|valore attuale|huidige|huidige waarde|nuvarande
            esta eco|este estudio|este exame|questo esame|echo heute|eco hoy|eco hoje|eco oggi|echo nu|nu aktuellt
            current|today|now|present|this study|current study|aktuell|heute|actuel|actuelle|ce jour|actual|hoy
            estudio actual|attuale|oggi|huidig|vandaag|nu|atual|hoje|aktuellt|idag|i dag""",
        "prior": """prior|previous|earlier|last|baseline|vorbefund|voruntersuchung|vorher|fruher|precedent|anterieur
            previo|anterior|basal|precedente|vorig|eerder|tidigare|foregaende|ausgangswert""",
        "biplane": "biplane|biplan|biplano|biplana|biplaan|bp|simpson biplane|simpson biplan|bip|mod bp",
        "plane": "c|ch|a c|ap c|teichholz|monoplan|monoplane|visual|visuell|eyeball|kb|m mode|mod a c|kam",
        "value": """value|wert|messwert|valeur|valor|valore|waarde|varde|result|results|ergebnis|resultat|resultado
            risultato|uitslag|measured|measurement|mesure|medida|misura|meting|matvarde|gemessen|patient""",
        "limit": """normal|normals|normal range|reference|ref|reference range|referenz|referenzbereich|norm|normwert
            normalwert|norme|normale|valeurs normales|valores normales|referencia|rango|riferimento|normali|valori
            referentie|normaal|normaalwaarden|referens|normalvarde|unit|units|einheit|unite|unidad|unita|eenheid|enhet
            range|bereich|intervalo|comment|kommentar|z score|limits|grading""",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that was read by its table's head: its place in the text, and what it gives."""

    start: int
    end: int
    statement: Statement


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    start: int


def rows(text: str, study: Days | None) -> Iterator[Row]:
    """The rows of the report's tables that give an ejection fraction. Linear in the length of the text."""
    parting, start = -1, 0
    columns: tuple[Column, ...] = ()
    for line in text.split("\n"):
        end = start + len(line)
        if parting >= 0 and len(cells := _cells(line, start, parting)) > 1:
            row = _row(cells, columns, line, start) if columns else None
            if row is not None:
                yield row
        else:
            parting = next((at for at in range(len(_PARTING)) if len(_cells(line, start, at)) > 1), -1)
            columns = tuple(_column(cell.text, study) for cell in _cells(line, start, parting)) if parting >= 0 else ()
            columns = columns if sum(map(bool, columns)) > 1 or columns[1:2] == ("value",) else ()
        start = end + 1


def _cells(line: str, start: int, parting: int) -> list[_Cell]:
    """The cells of a line; an empty first one stays, empty last ones go."""
    if len(line) > _CELL * _CELLS:
        return []
    found, at = [], 0
    for mark in _PARTING[parting].finditer(line):
        found.append(_Cell(line[at : mark.start()], start + at))
        at = mark.end()
    found.append(_Cell(line[at:], start + at))
    while len(found) > 1 and not found[-1].text.strip():
        found.pop()
    if parting == 1 and not found[0].text.strip():
        found = found[1:]  # a bar before the first cell
    return found if len(found) <= _CELLS and all(len(cell.text) <= _CELL for cell in found) else []


def _column(cell: str, study: Days | None) -> Column:
    """What stands in a column, by the whole cell of its head."""
    folded = _BRACKETS.sub("", fold(cell)).strip(" :*()[]")
    at = next((index for index, char in enumerate(folded) if char.isdigit()), -1)
    dated = dates.at(folded, at, study) if at == 0 else None
    if dated is not None and not folded[dated.end :].strip(" )"):
        return "now" if dated.own else "prior"
    spoken = words(folded)
    if spoken and _is_of_the_past(folded, spoken, study):
        return "prior"
    found = _COLUMNS.at(spoken, 0) if spoken else None
    if found is None or (found[1] != len(spoken) and found[0] != "limit"):
        return ""
    return found[0]  # type: ignore[return-value]  # the table's keys are the literals


def _is_of_the_past(folded: str, spoken: tuple[str, ...], study: Days | None) -> bool:
    """`Il y a 1 an`, `Vor OP`, `Nov. 2021`, `12 months ago`: whether the head of a column names another time."""
    month = dates.in_words(folded, 0, study) if folded[:1].isalpha() else None
    if month is not None and month.end == len(folded):
        return not month.own
    at, past = 0, False
    while at < len(spoken):
        cue = CUES.at(spoken, at)
        earlier = cue is not None and cue[0] == "prior"
        past = past or earlier or spoken[at] in _LAPSES
        if not (earlier or spoken[at] in _LAPSES or spoken[at] in SPANS or spoken[at] in _AROUND_PAST):
            return False
        at += cue[1] if cue is not None and earlier else 1
    found = _COLUMNS.at(spoken, 0)
    return past and (found is None or found[1] != len(spoken))


def _row(cells: list[_Cell], columns: tuple[Column, ...], line: str, start: int) -> Row | None:
    label = words(fold(cells[0].text))
    mentioned = [found[0] for at in range(len(label)) if (found := CUES.at(label, at))]
    if not any(cue in ("mention", "left-mention") for cue in mentioned) or any(
        cue in ("other-mention", "other-chamber", "stress", "prior", "change", "goal", "noun") for cue in mentioned
    ):
        return None
    values = cells[1:]
    own = columns[1:] if len(columns) == len(cells) or not columns[0] else columns
    chosen = _chosen(own[: len(values)])
    if chosen is None:
        return None
    number = _NUMBER.fullmatch(values[chosen].text.strip())
    if number is None:
        return None
    low, high = (None if one is None else Decimal(one.replace(",", ".")) for one in number.groups())
    if low is None or not LOWEST <= low <= HIGHEST or (high is not None and not low < high <= HIGHEST):
        return None
    biplane = own[chosen] == "biplane" or ("biplane" in mentioned and "plane" not in mentioned)
    at = values[chosen].start + values[chosen].text.index(number.group(1)) - start
    statement = Statement(
        role="present",
        low=low,
        high=high,
        comparator="",
        biplane=biplane,
        section="",
        sentence=line,
        start=start,
        span=(at, at + len(values[chosen].text.strip())),
    )
    return Row(start=start, end=start + len(line), statement=statement)


def _chosen(columns: tuple[Column, ...]) -> int | None:
    """The one column whose number is the present study's of the left ventricle."""
    for wanted, others in (
        ("left", ("other", "limit")),
        ("now", ("prior", "limit")),
        ("biplane", ("plane", "limit")),
        ("value", ("limit", "")),
    ):
        found = [at for at, column in enumerate(columns) if column == wanted]
        if len(found) == 1 and all(column in (wanted, *others) for column in columns):
            return found[0]
    return None
