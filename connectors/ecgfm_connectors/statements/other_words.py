"""Words of devices that are understood and name nothing that a gate, a label or a report rests on.

They are told from words that nobody here understands, so that the count of the latter rises when a device's update
changes its wording. Patterns are for text of `texts.clauses`, in the languages of `denial`.
"""

import re


def _near(word: str, company: str) -> str:
    """Matches where one of `company` stands before or behind `word`, with at most two words between."""
    return rf"\b(?:{word})\b(?: \w+){{0,2}}? (?:{company})|\b(?:{company})\w*(?: \w+){{0,2}}? (?:{word})\b"


#: The axis in French, Italian, Spanish, Portuguese, Danish, Norwegian, Swedish and Polish: short words that mean other
#: things in other languages, as ST does, and Dutch `as` and Polish `os`.
_AXIS = r"axe|asse|eje|eixo|akse|axel|oszka|axial\w*|assial\w*|aksial\w*"
_OF_AN_AXIS = (
    r"dev\w*|abweich\w*|desvia\w*|deviaz\w*|afwijk\w*|odchyl\w*|elektr\w*|electr\w*|elett\w*|eletr\w*|cardia\w*"
    r"|coeur|cuore|corazon|coracao|qrs|frontal\w*|gauche|droit\w*|sinistr\w*|destr\w*|izquierd\w*|derech\w*|esquerd\w*"
    r"|direit\w*|venstre\w*|ho[yj]re\w*|vanster\w*|hoger\w*|lew\w*|praw\w*|verti[ck]al\w*|horizont\w*|orizzont\w*"
    r"|indetermin\w*|hyper\w*|\d+"
)
_OF_ST = (
    r"segment\w*|stre[ck]\w*|depres\w*|elev\w*|senk\w*|heb\w*|ho[jy]n\w*|hev\w*|sank\w*|verand\w*|forand\w*"
    r"|abnorm\w*|anomal\w*|change\w*|alter\w*|lesion\w*|deviat\w*|modific\w*|sopra\w*|sotto\w*|sus\w*|sous\w*|supra\w*"
    r"|infra\w*|desniv\w*|desnivel\w*|descen\w*|ascen\w*|obniz\w*|uniesien\w*|odcink\w*|trac?t\w*|lask\w*"
    r"|junction\w*|displac\w*|mild|minor|marked|(?:non|un|a)? ?spe[cz]if\w*"
)

_STEMS = (
    # The verdict on the whole ECG, and who gave it.
    (
        r"\b(?:ab|a|otherwise |sonst |ellers )?norm[aeo]\w*|\b(?:borderline|atypical|grenzwert\w*|patholog\w*"
        r"|patolog\w*|unauffallig\w*)"
    ),
    (
        r"\b(?:un)?confirm\w*|\b(?:un)?bestatig\w*|reviewed|overread|interpretation|compar\w*|verglich\w*|vergleich\w*|previous"
        r"|prior ecg|no significant change|no longer|age undetermined|alter unbekannt|technically|physician"
        r"|clinical correlation"
    ),
    # Axis and position.
    (
        r"\b(?:axis|\w*achse|\w+akse|el ?axel|\w+hartas|hartas|lagetyp|links?typ|rechts?typ|steiltyp|indifferenz\w*"
        r"|horizontaltyp)\b|rotation|dextrocard\w*"
        rf"|{_near(_AXIS, _OF_AN_AXIS)}|\b(?:as|os) ?(?:dev\w*|afwijk\w*|odchyl\w*|elektr\w*|serca)\b"
    ),
    # Chambers and voltage.
    (
        r"hypertroph\w*|hipertrof\w*|ipertrof\w*|hypertrof\w*|przerost\w*|enlarge\w*|overload|sovraccaric\w*|sobrecarga\w*|belastning"
        r"|\w*voltage|voltag\w*|volta[gj]\w*|niedervolt\w*|p mitrale|p pulmonale|\b[lr]vh\b|abnormal p|\w*vergrosser\w*"
    ),
    # ST segment, T wave, QT, ischaemia.
    (
        rf"{_near('st', _OF_ST)}|\bst t\b|\w*\bt (?:wave|welle\w*|golf|inversion|abnormal\w*)|\bondes? t\b|\bondas? t\b"
        r"|\bonda t\b|t negativ\w*"
        r"|t inwers\w*|repolari[sz]\w*|ripolari[sz]\w*|\bqtc?\b|is[cq][hu]?a?em\w*|ischam\w*|isquem\w*"
        r"|pericard\w*|perikard\w*"
        r"|brugada|digital\w*|electrolyte|injury|subendocard\w*|\bu wave"
    ),
    # Conduction that is no block of a whole bundle, QRS forms, Q waves.
    (
        r"(?:in(?:c|k)ompl\w*|unvollst\w*|niezupel\w*).*(?:bundle|branch|schenkel|branche|branca|rama|ramo|tak|gren|odnog)"
        r"|intra ?ventric\w*|intraventri[ck]\w*|\b[iv]{1,2}cd\b|\birbbb\b|\bilbbb\b|\brsr?\b|\bqrs\b"
        r"|\bq (?:wave|zacke|waves)|r wave"
        r"|progression|r progress\w*|\bpr\b|\bpq\b|\bp waves?\b|lead reversal|verpolung|vertausch\w*"
    ),
    # Rhythms without a label of their own.
    (
        r"(?:premature|prematur\w*) (?:atrial|supraventri\w*|junctional|ectopic|complex\w*)|(?:atrial"
        r"|supraventri[ck]ul\w*) (?:premature"
        r"|ectop\w*|extra\w*|prematur\w*)|supraventri[ck]ul\w* ?extra\w*|extra?s[yi]stol\w*|\bp[as]cs?\b|\bsves?\b"
        r"|junctional|nodal|ectopic|ektop\w*|escape|idioventric\w*|wandering|undetermined rhythm|irregular\w*"
        r"|unregelmass\w*"
        r"|ventri[ck]ul\w* fibril\w*|kammerflimmern|asystol\w*|fusion|bigemin\w*|trigemin\w*|rapid ventricular"
        r"|slow ventricular|ventricular rate|competing"
    ),
)
_OTHER = re.compile("|".join(_STEMS))


def is_other(clauses: list[str]) -> bool:
    """Whether any clause is of the kinds above."""
    return any(_OTHER.search(clause) for clause in clauses)
