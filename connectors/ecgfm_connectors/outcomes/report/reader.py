"""The one ejection fraction that a report stands for, or why there is none."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from ecgfm_connectors.decision import Rule, Unused
from ecgfm_connectors.outcomes.folding import fold, words
from ecgfm_connectors.outcomes.phrases import phrases
from ecgfm_connectors.outcomes.report import addenda, courses, pairs, stays, tables
from ecgfm_connectors.outcomes.report.dates import Days
from ecgfm_connectors.outcomes.report.said import DRAFT
from ecgfm_connectors.outcomes.report.sections import sentences
from ecgfm_connectors.outcomes.report.statements import Statement, statements
from ecgfm_connectors.outcomes.wrong_person import WRONG_PERSON

MAX_LENGTH = 200_000  #: characters; a longer text is no report
#: Phrases of a report that was taken back, or is another person's. In eight languages, folded.
_TAKEN_BACK = phrases(
    {
        "back": WRONG_PERSON
        + """
            report cancelled|report canceled|cancelled report|canceled report|report withdrawn|report retracted
            another patient|different patient|please disregard|disregard this|disregard the following
            befund storniert|storniert|stornobefund|bericht storniert|befund zuruckgezogen
            falsche patientin|anderen patienten|anderer patient|anderen patientin|nicht beachten
            compte rendu annule|cr annule|rapport annule|annule et remplace|annulee
            autre patient|autre patiente|ne pas tenir compte|ne pas prendre en compte
            informe anulado|anulado|estudio anulado|paciente equivocada|otro paciente|otra paciente
            no tener en cuenta
            referto annullato|annullato|annullata|esame annullato|paziente errata|altro paziente
            altra paziente|non tenere conto|non tener conto
            verslag geannuleerd|geannuleerd|verslag ingetrokken|andere patient|niet gebruiken
            relatorio anulado|laudo anulado|laudo cancelado|relatorio cancelado
            outro doente|outra doente|outro paciente|outra paciente|desconsiderar|nao considerar
            makulerat|makulerad|annullerat|annullerad|svar makulerat|annan patient|bortse fran"""
    }
)
#: Phrases of a report that gives several values and none of them as the result. In eight languages, folded.
_UNDECIDED = phrases(
    {
        "undecided": """no final value|no definitive value|no single value|no agreed value|no value agreed|no consensus
            consensus could not be reached|consensus not reached|not reconciled|discrepancy to be resolved
            to be adjudicated|pending adjudication|cannot be reconciled|could not agree|do not agree|did not agree
            readers disagree|no agreement|unresolved discrepancy
            keine einigung|keine einigkeit|kein endgultiger wert|ohne einigung|nicht festlegen|nicht festgelegt
            keine verlassliche angabe|kein einheitlicher wert|uneinig|uneinigkeit|kein konsens|kein definitiver wert
            pas de valeur retenue|pas de valeur definitive|aucune valeur retenue|sans valeur retenue|pas de consensus
            sans consensus|absence de consensus|desaccord|pas d accord|non tranche|non tranchee|valeur non retenue
            sin valor definitivo|sin consenso|no hay consenso|no se llega a|no hay acuerdo|sin acuerdo|discrepancia
            sin valor final|no se alcanza consenso
            non si giunge|nessun valore definitivo|senza valore definitivo|nessun consenso|senza consenso|discordanza
            valore non definito|non concordi|disaccordo|non c e accordo|senza accordo
            niet tot een waarde|geen definitieve waarde|geen consensus|geen overeenstemming|geen eenduidige waarde
            niet eens|geen eindwaarde|onenigheid|oneens
            sem valor definitivo|sem consenso|nao ha consenso|sem valor final|nao se chegou|nao se chega|sem acordo
            discordancia|nao ha acordo
            inget slutligt varde|inget slutgiltigt varde|ingen enighet|ej enighet|ej enats|inte enats|oenighet|oeniga
            inte overens|inget entydigt varde|ingen konsensus
            per l altro|selon un autre|selon l autre|segun otro|otro observador|por outro|outro observador
            second reader|reader two|other reader|zweiter untersucher|anderer untersucher|zweite untersucherin
            selon l operateur|tweede beoordelaar|andere beoordelaar|enligt en annan|annan granskare|andra granskaren
            second observer|other observer|untersucher und|zweitbefunder*"""
    }
)
_JOINED = re.compile(r"(?<=[A-Za-z])_(?=[A-Za-z0-9])")  #: `LV_EF_BP=0.45`
_MEANT = ("present", "narrated", "unknown-words")
_LEAD, _BEGINNING = 4, 80  #: words and characters that begin a sentence
_MARK, _MARK_WORDS = 40, 3  #: characters and words of a line that marks a report
_FETAL = ("fetal", "foetal", "fotal", "fetus", "foetus", "fotus", "fetaal", "foetaal", "fosterek", "fosterhj")

#: Why a report that names an ejection fraction gives none.
Reason = Literal["lvef-ambiguous", "lvef-not-present", "lvef-unknown-words", "report-too-long"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a report says of the left ventricular ejection fraction."""

    found: Statement | None = None
    rule: Rule = ""
    reason: Reason | None = None  #: why there is none, where the report gives numbers
    unused: tuple[Unused, ...] = ()


def read(text: str, study: date | None = None, words_of_site: frozenset[str] = frozenset()) -> Reading:
    """The value of the present study; `study` is its day, so that its own date is not taken for an earlier one;
    `words_of_site` (folded) may stand beside a value besides those of our table.

    Several different values: the one that the report selects, else that of the conclusion, else the biplane one, else
    the one that is said to be today's, else none. What an addendum corrects replaces all of them.
    """
    if len(text) > MAX_LENGTH:
        return Reading(reason="report-too-long")
    text = _JOINED.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    days = None if study is None else stays.of(fold(text[: stays.MAX_LENGTH]), study)
    given = _given(text, days, words_of_site)
    if given and _is_of_a_fetus(text):
        given = [replace(one, role="family") for one in given]
    if given and (_is_draft(text) or _is_taken_back(text)):
        given = [replace(one, role="doubtful") for one in given]
    given = _without_drafts(given)
    present = [one for one in given if one.role == "present"] or [one for one in given if one.role == "narrated"]
    chosen, rule = _chosen(present)
    stay = days is not None and days.first < days.last
    unclear = _unclear(given, chosen, stay=stay)
    chosen = None if unclear or _is_undecided(text, given) else chosen
    addendum = addenda.read(fold(text), given) if given else addenda.NO_ADDENDUM
    if addendum.verdict != "nothing":
        chosen, rule, unclear = addendum.corrected, "report-corrected", False
    unused = tuple(_unused(one) for one in given if one is not chosen and (chosen is None or not _same(one, chosen)))
    if chosen is not None:
        return Reading(found=chosen, rule=rule, unused=unused)
    reason: Reason | None = "lvef-not-present" if given else None
    if present or addendum.verdict == "doubt":
        reason = "lvef-ambiguous"
    return Reading(reason="lvef-unknown-words" if unclear else reason, unused=unused)


def _given(text: str, study: Days | None, words_of_site: frozenset[str]) -> list[Statement]:
    """What rows of tables and sentences give, in the order of the text; a row that was read is no sentence."""
    rows = list(tables.rows(text, study)) or list(courses.rows(text, study)) or list(pairs.rows(text))
    found = [one for sentence in sentences(text, study) for one in statements(sentence, study, words_of_site)]
    if not rows:
        return found
    starts = [row.start for row in rows]
    said = [one for one in found if not _within(one.start + one.span[0], rows, starts)]
    return sorted([*said, *(row.statement for row in rows)], key=lambda one: one.start + one.span[0])


def _within(at: int, rows: Sequence[tables.Row], starts: Sequence[int]) -> bool:
    index = bisect_right(starts, at) - 1
    return index >= 0 and at <= rows[index].end


def _is_of_a_fetus(text: str) -> bool:
    """Whether a fetus is spoken of anywhere: then no value of the report is surely the patient's."""
    return any(word.startswith(_FETAL) for word in words(fold(text)))


def _is_draft(text: str) -> bool:
    """Whether a line is nothing but the mark of a draft: `PRELIMINARY REPORT`, `Vorläufig`, `*** DRAFT ***`."""
    for line in fold(text).split("\n"):
        spoken = words(line) if len(line) < _MARK else ()
        if 0 < len(spoken) <= _MARK_WORDS and spoken[0].startswith(DRAFT) and not any(map(str.isdigit, line)):
            return True
    beginning = words(fold(text[:_MARK]).split(".")[0])
    return 0 < len(beginning) <= _MARK_WORDS and beginning[0].startswith(DRAFT) and ":" not in text[:_MARK]


def _without_drafts(given: list[Statement]) -> list[Statement]:
    """What a draft said is in doubt beside a value that is said to be final, and where there is no other one:
    `Preliminary read: LVEF 45 %. Final: LVEF 38 %`.
    """
    drafts = [one.role in _MEANT and _is_of_draft(one) for one in given]
    rest = [one for one, draft in zip(given, drafts, strict=True) if one.role in _MEANT and not draft]
    if rest and not any(one.selected for one in rest):
        return given
    return [replace(one, role="doubtful") if draft else one for one, draft in zip(given, drafts, strict=True)]


def _is_of_draft(one: Statement) -> bool:
    return any(word.startswith(DRAFT) for word in words(fold(one.sentence[:_BEGINNING]))[:_LEAD])


def _is_taken_back(text: str) -> bool:
    """Whether a report says anywhere that it was cancelled, or is another patient's: `REFERTO ANNULLATO`."""
    return _TAKEN_BACK.first(words(fold(text))) is not None


def _is_undecided(text: str, given: list[Statement]) -> bool:
    """Whether a report gives several values and says that none of them is its own."""
    values = {_value(one) for one in given if one.role in (*_MEANT, "doubtful")}
    return len(values) > 1 and _UNDECIDED.first(words(fold(text))) is not None


def _unclear(given: list[Statement], chosen: Statement | None, *, stay: bool) -> bool:
    """Whether a value in words that no table knows may be the result: it differs from the one that was chosen, and the
    report does not call that one its conclusion.
    """
    for one in given:
        repeated = stay and one.role == "hypothetical" and not one.comparator  # `Repeat echo 27/02/2026: EF 35 %`
        if one.role != "unknown-words" and not repeated:
            continue
        if chosen is not None and chosen.modality == "echo" and one.modality == "ventriculography":
            continue
        settled = chosen is not None and chosen.section == "conclusion" != one.section
        if not settled and (chosen is None or _value(one) != _value(chosen)):
            return True
    return False


def _chosen(present: list[Statement]) -> tuple[Statement | None, Rule]:
    concluded = [one for one in present if one.section == "conclusion"]
    biplane = [one for one in present if one.biplane]
    rules: tuple[tuple[list[Statement], Rule], ...] = (
        (present, "report"),
        ([one for one in present if one.selected], "report-selected"),
        (concluded, "report-conclusion"),
        (_of_echo(present), "report-echo"),
        ([one for one in concluded if one.biplane] if concluded else biplane, "report-biplane"),
        ([one for one in present if one.current], "report-current"),
    )
    for among, rule in rules:
        if len({_value(one) for one in among}) == 1:
            return among[0], rule
    return None, ""


def _of_echo(present: list[Statement]) -> list[Statement]:
    """What an echocardiogram gave where every other value is a ventriculogram's: `LV gram EF 45 %. Echo: EF 35 %`."""
    told = all(one.modality in ("echo", "ventriculography") for one in present)
    return [one for one in present if one.modality == "echo"] if told else []


def _same(one: Statement, other: Statement) -> bool:
    return one.role == other.role and _value(one) == _value(other)


def _value(one: Statement) -> tuple[object, ...]:
    return one.low, one.high, one.comparator


def _unused(one: Statement) -> Unused:
    reason = "other-value" if one.role in ("present", "narrated") else one.role
    return Unused(
        reason=reason, text=one.sentence.strip()[:200], span=(one.start + one.span[0], one.start + one.span[1])
    )
