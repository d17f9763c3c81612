"""What words and abbreviations mean that several languages share, by what stands beside them and by their capitals."""

from collections.abc import Sequence

from ecgfm_connectors.outcomes.phrases import word_set
from ecgfm_connectors.outcomes.report.vocabulary import CAPITALS, Cue

#: Beside `anterior` these say that it is a wall of the heart and not an earlier study.
_WALL = word_set(
    """wall walls akinesis akinesia akinetic hypokinesis hypokinesia hypokinetic dyskinesis dyskinesia septal
    septum septo apical infarct infarction infarto mi stemi iam pared parede parete cara akinesie hypokinesie
    acinesia aquinesia hipocinesia hipoquinesia ipocinesia acinesie hypocinesie apex and y e et"""
)
_METHODS = ("simpson", "biplan", "teich")
_AT = frozenset(("vid", "bei", "bij", "pa", "i", "im", "by", "on", "en", "med", "per", "mit", "op", "via", "efter"))
#: An attack and the opening of a valve where all letters are capitals, an aunt and a grandfather where not.
_CAPITALS_NO_RELATIVE = frozenset(("tia", "avo"))
#: Before `HK` these say that it is hypokinesis and no Swedish right ventricle.
_KINETIC = word_set(
    """global severe moderate mild diffuse sev mod septal apical inferior anterior lateral inferolateral anteroseptal
    basal inf ant lat posterior regional marked with and of distal mid"""
)


def meant(cue: Cue, spoken: Sequence[str], index: int, written: str) -> Cue | None:
    """What a single word that is a cue is here; None where it is a word like others. `written`: as in the text."""
    word, before = spoken[index], spoken[index - 1] if index > 0 else ""
    behind = spoken[index + 1] if index + 1 < len(spoken) else ""
    if word in CAPITALS and not written.isupper():
        return None
    if word.startswith(("anterior", "anterieur")) and _WALL & {before, behind}:
        return None
    if word == "n" and behind.startswith(_METHODS):
        return None  # German `n. Simpson`: according to
    if word == "hk" and before in _KINETIC:
        return None
    if word == "mr" and before in _AT:
        return "modality"  # Swedish `vid MR`
    if word in _CAPITALS_NO_RELATIVE and written.isupper():
        return None
    if word == "vs" and written.isupper():
        return "left"  # Italian for the left ventricle
    return cue
