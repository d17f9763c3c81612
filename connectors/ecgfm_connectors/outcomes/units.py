"""Units of measurement as hospitals write them: which quantity each measures, and its size in our own unit.

UCUM is case-sensitive and hospitals are not, so spellings are compared in lower case. Only what is in these tables is a
unit; everything else is refused, for the rest of a number is no unit.
"""

import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Dimension = Literal["mass concentration", "fraction", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit, with how many ng/L (mass concentration) or percent (fraction) one of it is."""

    symbol: str  #: UCUM
    dimension: Dimension
    factor: Decimal = Decimal(1)


PERCENT = Unit(symbol="%", dimension="fraction")
ONE = Unit(symbol="1", dimension="fraction", factor=Decimal(100))
NG_L = Unit(symbol="ng/L", dimension="mass concentration")

MAX_LENGTH = 32  #: characters; longer text is no unit

_MASSES = {"pg": Decimal("0.001"), "ng": Decimal(1), "ug": Decimal(1000), "mg": Decimal(10**6), "g": Decimal(10**9)}
_LITRES = {"l": Decimal(1), "dl": Decimal("0.1"), "ml": Decimal("0.001"), "ul": Decimal("0.000001")}
_WRITTEN_OUT = {
    "nanogram per liter": "ng/l",
    "nanograms per liter": "ng/l",
    "nanogram per litre": "ng/l",
    "nanogram/liter": "ng/l",
    "nanogram per milliliter": "ng/ml",
    "picogram per milliliter": "pg/ml",
    "microgram per liter": "ug/l",
}
_PERCENT = frozenset(
    [
        "%",
        "percent",
        "per cent",
        "pct",
        "prozent",
        "proz.",
        "pour cent",
        "por ciento",
        "por cento",
        "per cento",
        "procent",
        "percento",
        "% ef",
    ]
)
_ONE = frozenset(("1", "{fraction}", "fraction", "ratio"))
#: What other quantities are measured in: known to be a unit, and known not to be ours.
_OTHER = frozenset(
    """ml|l|dl|ul|cc|cm3|mm|cm|m|cm2|cm^2|m2|mm2|ml/m2|ml/m^2|g/m2|g|mg|ng|kg|mmhg|mm hg|mm[hg]|kpa|m/s|cm/s|mm/s|ms
msec|s|sec|min|h|hr|hrs|hour|hours|d|day|days|wk|mo|a|y|yr|years|bpm|/min|l/min|l/min/m2|u/l|iu/l|u/ml|iu/ml|ku/l|miu/l
mmol/l|umol/l|nmol/l|pmol/l|fmol/ml|mol/l|meq/l|10*3/ul|10^3/ul|10*9/l|10^9/l|{ratio}|{score}|{points}|points|z|z-score
sd|{zscore}|index|s/co|titer|copies/ml|mv|uv|hz|kg/m2|ml/min|cal|kcal|joule|w|watt|met|mets|mcu|ru|au/ml|au|ph|c|cel|fl
pg""".replace("\n", "|").split("|")
)


def read(text: str) -> Unit | None:
    """The unit a text names, and nothing else; None where the text is no unit that we know."""
    if not text or len(text) > MAX_LENGTH:
        return None
    spelt = _normalized(text)
    if spelt in _PERCENT:
        return PERCENT
    if spelt in _ONE:
        return ONE
    found = _mass_concentration(_WRITTEN_OUT.get(spelt, spelt).replace(" ", ""))
    return found or (Unit(symbol=spelt, dimension="other") if spelt in _OTHER else None)


def _normalized(text: str) -> str:
    """Lower case, one kind of micro, and without a UCUM annotation behind the unit: `%{EF}` is `%`."""
    spelt = unicodedata.normalize("NFKC", text.strip()).replace("μ", "u").lower().strip("[]() ")
    head, brace, _ = spelt.partition("{")
    spelt = head.strip() if brace and head.strip() else spelt
    for prefix in ("mcg", "µg", "gamma"):
        if spelt.startswith(prefix):
            spelt = "ug" + spelt.removeprefix(prefix)
    return " ".join(spelt.split())


def _mass_concentration(spelt: str) -> Unit | None:
    """A mass by volume: `ng/L`, `ng.L-1`, `ng·l^-1`, `pg per ml`."""
    mass, slash, volume = spelt.replace("per", "/").partition("/")
    if not slash:
        mass, dot, rest = spelt.replace("·", ".").replace("*", ".").partition(".")
        volume = rest.removesuffix("^-1").removesuffix("-1")
        if not dot or volume == rest:
            return None
    if mass not in _MASSES or volume not in _LITRES:
        return None
    factor = _MASSES[mass] / _LITRES[volume]
    symbol = f"{mass}/{volume[:-1]}L"
    return Unit(symbol=symbol, dimension="mass concentration", factor=factor)
