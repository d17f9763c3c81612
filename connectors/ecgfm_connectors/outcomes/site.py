"""A site's own codes, names and units: what it says goes before every rule of ours."""

from dataclasses import dataclass
from typing import Literal

from ecgfm_connectors.decision import DEATH, Kind
from ecgfm_connectors.outcomes import units
from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.units import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKind:
    """A quantity of the site's own, such as potassium: found by the site's codes alone, never by words."""

    name: str  #: as `SiteCode.means` and a head name it
    unit: str  #: what every value is told in
    units: tuple[tuple[str, float], ...] = ()  #: (spelling, how many of `unit` one of it is)
    lowest: float  #: in `unit`; what lies outside is no such result
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFinding:
    """A finding of the site's own that is there or not, told as 1 or 0: found by the site's codes alone."""

    name: str  #: as `SiteCode.means` and a head name it
    present: tuple[str, ...]  #: answers, codes or whole words, that say that it is there
    absent: tuple[str, ...]  #: and that it is not


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCode:
    """What one code (OBX-3.1 or .4) or one whole name (OBX-3.2 or .5) of the site measures."""

    code: str = ""
    name: str = ""
    means: Kind | Literal["ignore"]
    assay: str = ""  #: hs-I, hs-T, I, T for troponin; how it was measured for LVEF
    unit: str = ""  #: the unit where OBX-6 is empty
    point_of_care: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTable:
    """The table, with the site's spellings of units."""

    codes: tuple[SiteCode, ...] = ()
    units: tuple[tuple[str, str], ...] = ()  #: (as sent, as UCUM)
    kinds: tuple[SiteKind, ...] = ()
    findings: tuple[SiteFinding, ...] = ()
    deaths: bool = False  #: whether dates of death are kept
    words: tuple[str, ...] = ()  #: words of the site's reports that say nothing of the value beside them

    def harmless(self) -> frozenset[str]:
        """The words, folded as a report's are."""
        return frozenset(fold(word) for word in self.words)

    def find(self, codes: frozenset[str], names: frozenset[str]) -> SiteCode | None:
        """The entry of a code, else of a name (compared without case and accents)."""
        by_code = next((entry for entry in self.codes if entry.code and entry.code in codes), None)
        folded = {fold(name) for name in names}
        return by_code or next((entry for entry in self.codes if entry.name and fold(entry.name) in folded), None)

    def kind(self, name: str) -> SiteKind | None:
        """A kind of the site's own; None for those that every site has."""
        return next((one for one in self.kinds if one.name == name), None)

    def finding(self, name: str) -> SiteFinding | None:
        """A finding of the site's own, or a death where these are kept; None for what is measured."""
        if name == DEATH:
            return _DEATH if self.deaths else None
        return next((one for one in self.findings if one.name == name), None)

    def unit(self, text: str) -> Unit | None:
        """A unit as this site spells it."""
        known = {fold(sent): ucum for sent, ucum in self.units}
        return units.read(known.get(fold(text.strip()), text))


#: In a table alone, as 1 or 0: no code of an observation means it.
_DEATH = SiteFinding(name=DEATH, present=(), absent=())
NO_TABLE = SiteTable()
