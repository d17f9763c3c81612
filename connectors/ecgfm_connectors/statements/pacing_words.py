"""Whether words speak of a paced rhythm, in the languages that devices write: English, German, French, Italian,
Spanish, Portuguese, Dutch, Swedish, Danish, Norwegian and Polish.

A text is cut into clauses. A clause speaks of pacing where a stem stands in it, anywhere in a compound word
(`Schrittmacherrhythmus`); it denies pacing where a negation stands right before the stem (`kein Schrittmacher`, `no
evidence of a pacemaker`) or a negated or absent finding follows it (`pacemaker not detected`). A pacemaker of the
heart's own (`wandering atrial pacemaker`) is none. Accents and case do not count.
"""

import re

from ecgfm_connectors.statement import Certainty
from ecgfm_connectors.statements.denial import named, strongest
from ecgfm_connectors.statements.texts import clauses

_STEMS = (
    r"pace ?mak\w*",
    r"(?:kamer|kammer|ventri[ck]el|atri|atrium|boezem|formaks|forkammer)pac(?:ed|ing|et|ad)\b",
    r"failure to (?:capture|pace|sense)",
    r"\bentrai?nement (?:ventric|auric|electro)\w*",
    r"\bpac(?:ed|er|ing|at|et|erytme?)\b",
    r"\w*pacad\b",
    r"\bgepac\w+",
    r"\bpm(?= (?:rhythm|ritm|rytm|ekg|ecg|spike|stimul))",
    r"\bh?sm(?= (?:rhythm|ekg|spike|stimul))",
    r"schrittmach\w*",
    r"l[ey]c?tro ?(?:entrai?n|entra|syst|stim|indott)\w*",  # électro-entraîné, its first letter lost to an encoding
    r"elektro ?stim\w*",
    r"elettro ?(?:stim|indott)\w*",
    r"\bstimulateur\w*",
    r"\bstimulator\w*",
    r"stimul(?:ation|atie|iert|eerd|ering|erad|eret|ert)\w*",
    r"rythme stimule\w*",
    r"stimola(?:zion|t)\w*",
    r"estimula(?:cion|cao|d)\w*",
    r"marca ?pass?os?\b",
    r"segnapassi",
    r"stymul\w*",
    r"rozrusznik\w*",
    r"\b(?:vvi|ddd|aai|vdd|ddi|voo|doo)r?\b",
)
_PACING = named("|".join(_STEMS))

#: A pacemaker that is no device, or a stimulus that is no pacing.
_NATURAL = re.compile(
    r"(?:wander\w*|ectopic|ectopique|ektop\w*|ectopico?|ektopisk\w*|junctional|nodal|escape|subsidiary|shifting"
    r"|migrat\w*|migrant\w*|migrerende|vandr\w*|vandrande|zwervende|competing|coronary sinus|sinus(?: node)?"
    r"|idioventricular)"
    r"(?: (?:atrial|auricular|auriculaire|junctional|supraventricular|sinusal|\w*vorhof\w*))*"
    r" (?:\w*pace ?maker\w*|\w*schrittmacher\w*|marca ?pass?os?|segnapassi|stimulateur\w*|rozrusznik\w*)"
    r"|(?:pace ?maker|marca ?pass?os?|segnapassi|stimulateur|rozrusznik\w*)(?: (?:atrial\w*|auricula\w*|auriculaire))?"
    r" (?:migra\w*|errant\w*|vagant\w*|wedruj\w*|ectop\w*|ektop\w*)"
    r"|(?:carot|karot|vag|sympath?)\w* (?:\w+ )?\w*(?:stimul|estimul|stimol|stymul)\w*|(?:vag|sympath?)\w*stimul\w*"
)


def pacing(text: str) -> Certainty | None:
    """What `text` says of pacing: `stated`, `possible`, `denied`; None where it says nothing of it."""
    said = (_PACING.said(_NATURAL.sub(" ", clause)) for clause in clauses(text))
    return strongest([found for found in said if found])
