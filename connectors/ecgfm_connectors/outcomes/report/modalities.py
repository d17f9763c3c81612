"""Which examination a sentence says that an ejection fraction comes from.

LV gram EF 45 %.      Cath: EF 45 %      coronarografia, ventricolografia FE 46 %
Echo 2/4: LVEF 35 %.  TTE: EF 35 %       gated SPECT: LVEF 44 %
"""

from collections.abc import Sequence
from typing import Literal

from ecgfm_connectors.outcomes.report.items import Item
from ecgfm_connectors.outcomes.report.labels import is_echo

Modality = Literal["echo", "ventriculography", "imaging", ""]

_BEFORE = 40  #: items before the name that are looked at
_INVASIVE = ("ventriculogr", "ventrikulogr", "ventricologr", "laevo", "lavo", "levo", "lvgram", "gram", "angio", "cath",
             "catet", "kateter", "katheter", "herzkath", "hartkath", "hjartkat", "coronarogr", "coronariogr",
             "koronarangio")  # fmt: skip
_IMAGING = ("mrt", "mri", "cmr", "irm", "rmc", "rmn", "kernspin", "herzmrt", "cardiomr", "kardiomr", "muga", "spect",
            "scint", "szint", "skint", "cintil", "gammagra", "gated", "gatet", "tomogra", "tomoscint", "myocardscan",
            "myokardszint", "nuclear", "isotop", "radionu", "resonan", "risonan", "magnet", "perfusion", "perfusie",
            "perfusao", "lexiscan", "scan")  # fmt: skip
_SHORT = frozenset(("rm", "mr", "pet", "ct", "rnm"))


def modality_of(items: Sequence[Item], name: int) -> Modality:
    """What the last word for an examination before the name says."""
    for one in reversed(items[max(name - _BEFORE, 0) : name + 1]):
        if one.word.startswith(_IMAGING) or (one.word in _SHORT and one.cue != "measure"):
            return "imaging"
        if one.word.startswith(_INVASIVE):
            return "ventriculography"
        if is_echo(one):
            return "echo"
    return ""
