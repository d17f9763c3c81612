"""Brings a quantity into our own unit, percent or ng/L, if its unit measures what is measured and the result can be."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ecgfm_connectors.decision import Kind
from ecgfm_connectors.outcomes import units
from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.quantity import Quantity
from ecgfm_connectors.outcomes.site import SiteKind
from ecgfm_connectors.outcomes.units import Unit

#: What every outcome is told in.
OUR_UNIT: Mapping[Kind, str] = {"lvef": units.PERCENT.symbol, "troponin": units.NG_L.symbol}
LOWEST_LVEF, HIGHEST_LVEF = Decimal(3), Decimal(95)  # percent
HIGHEST_TROPONIN = Decimal(20_000_000)  # ng/L: above every assay's range, dilutions included
LOWEST_TROPONIN = Decimal("0.1")  # ng/L: what the most sensitive routine assays report
#: ng/L. `1.234` may be a decimal or a thousand; where the thousand would be beyond what assays report, it is a decimal.
_BEYOND_ASSAYS = Decimal(500_000)
_THOUSAND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A quantity in our own unit."""

    low: float
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """Why a quantity cannot be what is measured."""

    reason: str
    text: str


def one_unit(field: Unit | None, field_text: str, stated: Unit | None) -> Unit | Unfit | None:
    """The unit of OBX-6 and the one in the text as one;
    two that say different things about one number are a contradiction.
    """
    if field_text and field is None:
        return Unfit(reason="unit-unknown", text="OBX-6 is no unit that we know")
    if field is None or stated is None:
        return field or stated
    if field.dimension != stated.dimension or field.factor != stated.factor:
        return Unfit(reason="unit-contradiction", text="OBX-6 and the unit in the value contradict each other")
    return field


def convert(kind: Kind, found: Quantity, unit: Unit | None) -> Converted | Unfit:
    """`found` in percent (lvef) or ng/L (troponin)."""
    return _lvef(found, unit) if kind == "lvef" else _troponin(found, unit)


def declared(kind: SiteKind, found: Quantity, unit: str) -> Converted | Unfit:
    """`found`, sent in a unit of this spelling, in the unit that the site's kind declares. A value without a unit, or
    with one that the site does not list, is left out: it cannot be told from another quantity.
    """
    spelt = fold(unit.strip())
    factors = {fold(kind.unit): 1.0, **{fold(text): factor for text, factor in kind.units}}
    if spelt not in factors:
        return Unfit(reason="outcome-unit", text=f"a {kind.name} without a unit, or in one that the site does not list")
    if found.ambiguous:
        return Unfit(reason="ambiguous-number", text="the point or comma may part thousands or decimals")
    factor = Decimal(repr(factors[spelt]))
    low, high = float(found.low * factor), None if found.high is None else float(found.high * factor)
    if not kind.lowest <= low <= kind.highest or (high is not None and not low <= high <= kind.highest):
        return Unfit(reason="outcome-implausible", text=f"a {kind.name} outside what the site says can be")
    return Converted(low=low, high=high)


def _lvef(found: Quantity, unit: Unit | None) -> Converted | Unfit:
    """Percent; a number up to one is a fraction where no percent sign says otherwise."""
    if unit is not None and unit.dimension != "fraction":
        return Unfit(reason="lvef-unit", text="an ejection fraction in a unit of something else is left out")
    top = found.high or found.low
    fraction = unit != units.PERCENT and top <= 1
    factor = 100 if fraction else 1
    low, high = found.low * factor, None if found.high is None else found.high * factor
    if not LOWEST_LVEF <= low <= HIGHEST_LVEF or (high or low) > HIGHEST_LVEF:
        return Unfit(reason="lvef-implausible", text="an ejection fraction outside 3–95 % is left out")
    return Converted(low=float(low), high=None if high is None else float(high))


def _troponin(found: Quantity, unit: Unit | None) -> Converted | Unfit:
    if unit is None:
        return Unfit(reason="troponin-unit", text="a troponin without a unit is left out")
    if unit.dimension != "mass concentration":
        return Unfit(reason="troponin-unit", text="a troponin in a unit that is no mass by volume is left out")
    if found.high is not None:
        return Unfit(reason="troponin-range", text="two numbers stand where one troponin belongs")
    if found.low < 0:
        return Unfit(reason="troponin-implausible", text="a negative concentration is left out")
    value = found.low * unit.factor
    if found.ambiguous and value * _THOUSAND <= _BEYOND_ASSAYS:
        return Unfit(reason="ambiguous-number", text="the point or comma may part thousands or decimals")
    if 0 < value < LOWEST_TROPONIN and not found.comparator:
        return Unfit(reason="troponin-implausible", text="a troponin below all limits of detection is left out")
    if value > HIGHEST_TROPONIN:
        return Unfit(reason="troponin-implausible", text="a troponin beyond every assay's range is left out")
    return Converted(low=float(value), high=None)
