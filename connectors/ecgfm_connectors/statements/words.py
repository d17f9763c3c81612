"""What the words of a device's statement name: the concepts of `statement.CATEGORIES`,
in the languages of the devices.
"""

from functools import cache, lru_cache

from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.denial import Named, named, strongest
from ecgfm_connectors.statements.other_words import is_other
from ecgfm_connectors.statements.pacing_words import pacing
from ecgfm_connectors.statements.texts import clauses

_ATRIAL = r"(?:atri\w*|vorhof\w*|auricul\w*|boezem\w*|formaks\w*|forkammer\w*|przedsionk\w*)"
_FIBRILLATION = r"(?:fibril+a\w*|flim+e?[rn]\w*|migot\w*)"
_FLUTTER = r"(?:flutter\w*|flatter\w*|flad+[er]\w*|trzepot\w*)"
_INCOMPLETE = r"(?<!incomplete )(?<!inkompletter )(?<!inkomplett )(?<!incompleto )(?<!incompleet )(?<!niezupelny )"

#: Concept -> stems of its words, for folded clauses; a concept may be named together with others.
_STEMS = {
    "sinus-rhythm": r"\bsin(?:us|usal|usale|ual)\w* ?(?:rhythm\w*|rythm\w*|ritm\w*|rytm\w*|arr?h?yth?m\w*|arit?m\w*)"
    r"|rythme sinusal|ritm[oe] sinusal\w*|rytm zatokow\w*|\bnsr\b",
    "sinus-tachycardia": r"\bsin\w* ?ta[ck]h?[iy][ck]ard\w*|tachycardie sinusale|ta(?:qu|ch)icardia sinusal\w*"
    r"|tachykardia zatokow\w*",
    "sinus-bradycardia": r"\bsin\w* ?brad[iy][ck]ard\w*|bradycardie sinusale|bradicardia sinusal\w*"
    r"|bradykardia zatokow\w*",
    "premature-ventricular": r"premature ventricular|ventricular premature|ventricular ectopic"
    r"|\bpvcs?\b|\bvpcs?\b|\bves\b|ventri[ck]ul\w* extras[yi]stol\w*"
    r"|extrasistol\w* ventric\w*|extrasystol\w* ventric\w*|kammerextrasyst\w*",
    "ventricular-tachycardia": r"(?<!supra)\b(?:ventri[ck]ul\w*|kammer) ?ta[ck]h?[iy][ck]ard\w*"
    r"|tachycardie ventriculaire|ta(?:qu|ch)icardia ventric\w*",
    "supraventricular-tachycardia-aberrant": r"supraventricular tachycardia with aberr\w*",
    "supraventricular-tachycardia": r"supraventri[ck]ul\w* ?ta[ck]h?[iy][ck]ard\w*|\bsvt\b",
    "tachycardia": r"ta(?:[ck]h?|qu)[iy][ck]ard\w*",
    "bradycardia": r"brad[iy][ck]ard\w*",
    "atrial-fibrillation": rf"{_ATRIAL} ?{_FIBRILLATION}|{_FIBRILLATION} (?:\w+ )?{_ATRIAL}|vorhofflimmern"
    r"|boezemfibril\w*|formaksflimmer|forkammerflimmer|\bafib\b|\bvhf\b",
    "atrial-flutter": rf"{_ATRIAL} ?{_FLUTTER}|{_FLUTTER} (?:\w+ )?{_ATRIAL}|vorhofflattern|boezemflutter|\bafl\b",
    "pre-excitation": r"\bwpw\b|wolff|pre ?ex[ck]?[iy]ta\w*|pra ?exzitation|accessory pathway|preeccitazione",
    "av-block": r"\b(?:av|a v|atrioventri[ck]ul\w*|auriculoventric\w*)(?: \w+)? ?bl+o[ck]\w*"
    r"|\bblo\w+ (?:\w+ )?(?:av|a v)\b",
    "av-block-1": r"(?:1st|first|1) ?degree|av ?block (?:i|1|1 grad\w*|grad (?:i|1))\b|bav (?:1|i)\b"
    r"|(?:1er|premier) degre|(?:primer|primo|primeiro) grad\w*",
    "right-bundle-branch-block": _INCOMPLETE + r"(?:right bundle branch block|\brbbb\b|rechtsschenkelblock"
    r"|rechterbundeltak\w*|bloc de branche droite?|blocco di branca dest\w*|bloqueo de rama derecha"
    r"|bloqueio de ramo direito|hogersidigt (?:skankel|gren)block|hoyre ?grenblokk?|blok prawej odnogi\w*)",
    "left-bundle-branch-block": _INCOMPLETE + r"(?:left bundle branch block|\blbbb\b|linksschenkelblock"
    r"|linkerbundeltak\w*|bloc de branche gauche|blocco di branca sin\w*|bloqueo de rama izquierda"
    r"|bloqueio de ramo esquerdo|vanstersidigt (?:skankel|gren)block|venstre ?grenblokk?|blok lewej odnogi\w*)",
    "fascicular-block": r"(?:anterior|posterior) fascicular block|hemiblo[ck]\w*|hemibloqu\w*|\bla[fh]b\b|\blp[fh]b\b",
    "bifascicular-block": r"bifas[cz]i[ck]ul\w* ?blo\w+|blo\w+ bifascic\w*",
    "infarction": r"infar[ck]\w*|infart\w*|enfarte|zawal\w*|\bstemi\b",
    "poor-quality": r"poor data quality|poor quality data|data quality may affect|art[ei]fa[ck]\w*|artefa[ck]\w*"
    r"|schlechte signalqualitat|mauvaise qualite|slechte kwaliteit|scarsa qualita|mala calidad|ma qualidade",
    "test-data": r"(?<!stress )(?<!exercise )\btest (?:ecg|ekg|recording|pattern)\b|\bsimulat(?:ed|or|ion)\b"
    r"|\bsimul(?:iert|e)\b|\bdemo(?:nstration)? (?:ecg|ekg|mode|data)\b",
}


@cache
def _named() -> dict[str, Named]:
    """Compiled at the first statement: most commands look at none."""
    return {concept: named(stems) for concept, stems in _STEMS.items()}


@lru_cache(maxsize=4096)  # devices choose among a few hundred sentences
def from_words(text: str) -> tuple[Statement, ...]:
    """Every concept that `text` names; where it names none, one statement: `other` for what is known, else `unread`."""
    said = clauses(text)
    found = (
        [Statement(concept="paced", certainty=paced, source="words", wording=text)] if (paced := pacing(text)) else []
    )
    for concept, thing in _named().items():
        certainty = strongest([one for clause in said if (one := thing.said(clause))])
        if certainty:
            found.append(Statement(concept=concept, certainty=certainty, source="words", wording=text))
    if not found and said:
        found = [Statement(concept="other" if is_other(said) else "unread", source="words", wording=text)]
    return tuple(found)
