"""Which clauses of a device's text deny, doubt or look back on what they name, in the languages that devices write.

English, German, French, Italian, Spanish, Portuguese, Dutch, Swedish, Danish, Norwegian and Polish. All patterns are
for text of `texts.clauses`: folded, without punctuation, of bounded length.
"""

import re
from dataclasses import dataclass

from ecgfm_connectors.statement import Certainty

_NOT = (
    r"(?:not|non|nicht|niet|no|nao|ne|pas|inte|ej|ikke|ikkje|nie|never|cannot be|could not be|wasn t|isn t|aren t"
    r"|no longer)"
)
_NO = (
    r"(?:no|not|non|without|absen\w*|free of|negative for|neither|none|kein\w*|nicht|ohne|fehl\w*|geen|niet|zonder"
    r"|afwezig\w*|pas|sans|aucun\w*|senza|nessun\w*|assen\w*|sin|ningun\w*|ausen\w*|nao|sem|nenhum\w*|ingen|inga|inget"
    r"|intet|ej|inte|utan|uden|uten|ikke|ikkje|saknas|mangler|brak\w*|bez|nie)"
)
#: Words that may stand between a negation and what it denies.
_FILLER = (
    r"(?:longer|evidence|signs?|indications?|hinweis\w*|nachweis\w*|anhalt\w*|zeichen|auf|fur|von|eines?|einem|der|des"
    r"|die|of|an?|any|the|de|d|di|da|do|del|della|du|des|la|le|el|um|uma|un|une|en|ett|et|op|voor|van|een|na|se|s|je|av"
    r"|pa|for|tegn|tecken|bewijs|tekenen|oznak\w*|cech\w*|signes?|segn[oi]|sinais|signos?|evidencia\w*|evidenza"
    r"|evidence|functioning|working|active|implanted|artificial|electronic\w*|elektronisch\w*|electronique\w*"
    r"|elettronic\w*|electronic[oa]|cardiac\w*|ventric\w*|ventrik\w*|atrial\w*|auricul\w*|spikes?|spicules?|espicul\w*"
    r"|espig\w*|impuls\w*|artefa\w*|artifa\w*|pulses?|detect\w*|detekt\w*|seen|found|wykry\w*|stwierdz\w*|widac"
    r"|detet\w*|rilev\w*|erkenn\w*|registr\w*|observ\w*|visible|visibil\w*|on|present\w*|activit\w*|aktivit\w*|rytmu"
    r"|rytm\w*|ritm\w*|rhythm\w*|rythm\w*)"
)
_FINDING = (
    r"(?:detect\w*|detekt\w*|detet\w*|seen|found|present\w*|evident|recogni[sz]\w*|identif\w*|visib\w*|apparent|noted"
    r"|observ\w*|nachweis\w*|nachgewiesen|erkenn\w*|erkannt|erfasst|vorhanden|gefunden|sichtbar|aktiv\w*|activ\w*"
    r"|gedetecteer\w*|gevonden|aanwezig|zichtbaar|herkend|rilev\w*|riconosc\w*|encontr\w*|hallad\w*|trovat\w*|paavist"
    r"|pavis\w*|funn\w*|fundet|synlig\w*|upptack\w*|wykry\w*|stwierdz\w*|widoczn\w*|obecn\w*)"
)
_ABSENT = (
    r"(?:absent\w*|afwezig\w*|ausente\w*|assent\w*|fehl(?:t|en|end\w*)|saknas|mangler|brak|nieobecn\w*|none|not present"
    r"|undetected|inaktiv\w*|inactiv\w*|inattiv\w*)"
)

#: What the negation denies is the device's work or the analysis, not what is named beside it.
_OF_THE_WORK = re.compile(
    rf"\b{_NO} (?:\w+ )?(?:captur\w*|sens\w*|inhibit\w*|function\w*|further|verder\w*|weiter\w*|autre\w*|ulterior\w*"
    r"|mas|mais|dals\w*|vidare|videre|yderligere|analys\w*|analis\w*|interpret\w*|auswert\w*|beurteil\w*|underlying"
    r"|intrinsic|previous|prior|significant change)"
)
_POSSIBLE = re.compile(
    r"\b(?:possib\w*|probab\w*|suspect\w*|suggest\w*|consider|cannot rule out|cannot exclude|verdacht\w*|moglich\w*"
    r"|wahrscheinlich|mogelijk\w*|waarschijnlijk|probabl\w*|peut etre|possibil\w*|posible\w*|possivel|mojlig\w*"
    r"|mulig\w*|mozliw\w*)\b|\?"
)
_REPLACED = re.compile(r"\b(?:has|have) replaced\b.*")


@dataclass(frozen=True, slots=True)
class Named:
    """A thing that clauses may name, by the stems of its words."""

    stated: re.Pattern[str]
    denied: re.Pattern[str]
    unknown: re.Pattern[str]

    def said(self, clause: str) -> Certainty | None:
        """What one clause says of the thing; None where it does not name it, or says that it is not known."""
        clause = _REPLACED.sub("", clause)
        if not self.stated.search(clause) or self.unknown.search(clause):
            return None
        if self.denied.search(_OF_THE_WORK.sub(" ", clause)):
            return "denied"
        return "possible" if _POSSIBLE.search(clause) else "stated"


def named(stem: str) -> Named:
    """The thing whose words match the regular expression `stem`."""
    before = rf"\b{_NO}(?: {_FILLER})*(?: \w+)?(?: {_FILLER})*[ ]\w*(?:{stem})"
    after = (
        rf"(?:{stem})(?: \w+){{0,3}}? (?:{_NOT}(?: \w+)? {_FINDING}|{_ABSENT}"
        r"|(?:no|none|nein|nee|non|nej|nei|nie|nao|negative?|negativo?|neg|off)$)"
    )
    unknown = (
        rf"(?:{stem})(?: status)? (?:unknown|unbekannt|onbekend|inconnue?|sconosciut\w|desconhecido|desconocido|\?)$"
    )
    return Named(re.compile(stem), re.compile(f"{before}|{after}"), re.compile(unknown))


def strongest(said: list[Certainty]) -> Certainty | None:
    """One clause that states a thing is enough."""
    order: tuple[Certainty, ...] = ("stated", "possible", "denied")
    return next((certainty for certainty in order if certainty in said), None)
