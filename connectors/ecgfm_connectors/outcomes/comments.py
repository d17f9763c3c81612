"""Whether a laboratory's comment on a result (NTE) says that the value must not be believed, in eight languages.

`Slightly haemolysed` alone doubts nothing: laboratories say it beside values that they stand by. What doubts a value is
the word for another patient, a mixed-up or unsuitable sample, or a result that is not to be used.
"""

from ecgfm_connectors.outcomes.folding import fold, words
from ecgfm_connectors.outcomes.phrases import phrases
from ecgfm_connectors.outcomes.wrong_person import WRONG_PERSON

MAX_LENGTH = 2000  #: characters of a comment that are looked at

_DOUBTS = phrases(
    {
        "doubt": WRONG_PERSON
        + """
            wrong blood|mislabel*|mislabelled|wrong sample|wrong specimen|specimen mix up|mixed up
            do not use|not to be used|disregard|invalid|not valid|unreliable|erroneous*|incorrect|in error|falsely
            spurious|contaminated|contamination|wrong tube|wrong container|drip arm|interference|interfering
            questionable|cannot be interpreted|uninterpretable|unsuitable|compromised|delayed separation
            verwechs*|vertausch*|nicht verwertbar|nicht auswertbar|unverwertbar
            ungultig|nicht verwenden|kontaminiert|kontamination|storung|gestort|verfalscht|falsch hoch|falsch niedrig
            fragwurdig|unplausibel|falsches material|falsches rohrchen|interferenz*|nicht beurteilbar
            erreur d identite|identite erronee|ne pas tenir compte|ininterpretable
            non interpretable|invalide|non valide|contamine|contaminee|interference*|resultat errone|tube non conforme
            faussement|sous reserve
            error de identificacion|no valorable|no valido|invalido|invalida
            contaminada|contaminado|interferencia*|falsamente|muestra inadecuada|no utilizar|dudoso
            scambio*|non attendibile|inattendibile|non valido|campione non idoneo
            contaminato|campione errato|interferenza|falsamente|non utilizzare
            verwissel*|onbetrouwbaar|niet betrouwbaar|ongeldig|niet geldig|niet gebruiken
            gecontamineerd|vals verhoogd|vals verlaagd|interferentie|niet te beoordelen|verkeerde buis
            troca de|trocada|nao valido|nao valida|contaminada|amostra inadequada
            nao utilizar|resultado nao fiavel|falsamente|interferencia
            forvax*|ogiltig*|ej tillforlitlig*|osaker|otillforlitlig*|kontaminerad|far ej anvandas
            interferens|felaktig*|ej bedombar*"""
    }
)


def doubts(text: str) -> bool:
    """Whether a comment says that the value is another patient's, another sample's, or not to be used."""
    return _DOUBTS.first(words(fold(text[:MAX_LENGTH]))) is not None
