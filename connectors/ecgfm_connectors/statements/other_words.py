"""Words of devices that are understood and name nothing that a gate, a label or a report rests on.

They are told from words that nobody here understands, so that the count of the latter rises when a device's update
changes its wording. Patterns are for text of `texts.clauses`, in the languages of `denial`.
"""

import re

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
        r"\b(?:axis|achse|lagetyp|links?typ|rechts?typ|steiltyp|indifferenz\w*|horizontaltyp|axe|asse|eje|eixo|akse|axel"
        r"|oszka) ?(?:deviat\w*|dev\w*|abweich\w*|desvia\w*|deviaz\w*|afwijk\w*|elektr\w*|cardia\w*|coeur|devier\w*)?\b"
        # Dutch and Polish for axis, which alone are words of other languages.
        r"|\b(?:as|os) ?(?:dev\w*|afwijk\w*|odchyl\w*|elektr\w*|serca)\b"
        r"|rotation|dextrocard\w*"
    ),
    # Chambers and voltage.
    (
        r"hypertroph\w*|hipertrof\w*|ipertrof\w*|hypertrof\w*|przerost\w*|enlarge\w*|overload|sovraccaric\w*|sobrecarga\w*|belastning"
        r"|\w*voltage|voltag\w*|volta[gj]\w*|niedervolt\w*|p mitrale|p pulmonale|\b[lr]vh\b|abnormal p|\w*vergrosser\w*"
    ),
    # ST segment, T wave, QT, ischaemia.
    (
        r"\bst\b|\bst t\b|\w*\bt (?:wave|welle\w*|golf|inversion|abnormal\w*)|\bondes? t\b|\bondas? t\b"
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
