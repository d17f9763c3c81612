"""How measured outcomes are read from this site's feeds."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, field_validator, model_validator

from ecgfm_clinical.settings.part import Part
from ecgfm_connectors.decision import DEATH
from ecgfm_connectors.outcomes import units
from ecgfm_connectors.outcomes.folding import fold
from ecgfm_connectors.outcomes.site import SiteCode, SiteFinding, SiteKind, SiteTable

#: What every site has; a kind of one's own takes none of these names.
FIXED = ("lvef", "troponin", "ignore")


class OutcomeKindSettings(Part):
    """A measured quantity of the site's own, found by its codes in outcomes.codes."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]{0,31}$", description="as means and learning.heads name it", examples=["potassium"]
    )
    unit: str = Field(min_length=1, description="every value is kept in it", examples=["mmol/L"])
    units: Mapping[str, float] = Field(
        default_factory=dict,
        description="other spellings and units -> how many of unit one is",
        examples=[{"mEq/L": 1.0}],
    )
    lowest: float = Field(description="results below it cannot be, in unit", examples=[1.0])
    highest: float = Field(description="results above it cannot be, in unit", examples=[12.0])

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.name in (*FIXED, DEATH):
            raise ValueError(f"{self.name} is known to every site; give the kind another name")
        if not self.lowest < self.highest:
            raise ValueError("lowest must be below highest")
        return self


class OutcomeFindingSettings(Part):
    """A finding of the site's own that is there or not, such as hypertrophy; found by its codes in outcomes.codes."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]{0,31}$", description="as means and learning.heads name it", examples=["lvh"]
    )
    present: tuple[str, ...] = Field(
        min_length=1,
        description="whole answers (OBX-5, code or words) that say it is there; case and accents do not matter",
        examples=[["LVH present", "moderate", "severe"]],
    )
    absent: tuple[str, ...] = Field(
        min_length=1,
        description="and those that say it is not; any other answer is left out with its reason",
        examples=[["LVH absent", "none"]],
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.name in (*FIXED, DEATH):
            raise ValueError(f"{self.name} is known to every site; give the finding another name")
        both = {" ".join(fold(one).split()) for one in self.present} & {
            " ".join(fold(one).split()) for one in self.absent
        }
        if both:
            raise ValueError(f"{', '.join(sorted(both))} stands in present and in absent")
        return self


class OutcomeCode(Part):
    """What one code or one name of this site's feeds measures; it goes before every rule of the readers."""

    code: str = Field(default="", description="OBX-3.1 or OBX-3.4", examples=["TNHS"])
    name: str = Field(
        default="",
        description="or OBX-3.2 or OBX-3.5, whole; case and accents do not matter",
        examples=["Troponin neu"],
    )
    means: str = Field(
        description="lvef, troponin, ignore, or the name of one of outcomes.kinds or outcomes.findings",
        examples=["troponin"],
    )
    assay: str = Field(default="", description="troponin: hs-I, hs-T, I or T", examples=["hs-T"])
    unit: str = Field(default="", description="the unit where OBX-6 is empty", examples=["ng/L"])
    point_of_care: bool = Field(
        default=False, description="true: measured at the bedside, never compared with the laboratory's"
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.code and not self.name:
            raise ValueError("give the code or the name of what is measured")
        if self.means in FIXED and self.unit and units.read(self.unit) is None:
            raise ValueError(f"unit {self.unit!r} is no unit that we know; write it as UCUM does, ng/L or %")
        return self


class OutcomeSettings(Part):
    """How measured outcomes are read from this site's feeds."""

    codes: tuple[OutcomeCode, ...] = ()
    kinds: tuple[OutcomeKindSettings, ...] = ()
    findings: tuple[OutcomeFindingSettings, ...] = ()
    deaths: bool = Field(
        default=False,
        description="true: dates of death are kept, from ADT (PID-29, PID-30) and outcome tables, for such heads",
    )
    units: Mapping[str, str] = Field(
        default_factory=dict, description="units as this site spells them -> as UCUM does", examples=[{"nanog": "ng/L"}]
    )

    words: tuple[str, ...] = Field(
        default=(),
        description="words of this site's reports that may stand beside an ejection fraction and change nothing of it",
        examples=[["Intensivstation"]],
    )

    @field_validator("words")
    @classmethod
    def _are_single(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in words if not word.isalpha()]:
            raise ValueError(f"words are single words of letters alone, not {', '.join(map(repr, wrong))}")
        return words

    @model_validator(mode="after")
    def _units_are_known(self) -> Self:
        if unknown := sorted(spelt for spelt in self.units.values() if units.read(spelt) is None):
            raise ValueError(f"no units that we know: {', '.join(unknown)}; write them as UCUM does, ng/L or %")
        return self

    @property
    def kind_names(self) -> tuple[str, ...]:
        """Every kind of result that may be kept."""
        return ("lvef", "troponin", *self._declared, *((DEATH,) if self.deaths else ()))

    @property
    def _declared(self) -> tuple[str, ...]:
        return (*(one.name for one in self.kinds), *(one.name for one in self.findings))

    @model_validator(mode="after")
    def _codes_mean_something(self) -> Self:
        names = self._declared
        if len(set(names)) < len(names):
            raise ValueError("outcomes.kinds and outcomes.findings give one name twice")
        if unknown := sorted({one.means for one in self.codes} - {*FIXED, *names}):
            raise ValueError(f"means {', '.join(unknown)} is none of {', '.join((*FIXED, *names))}")
        return self

    @property
    def table(self) -> SiteTable:
        """The table as the readers take it."""
        codes = tuple(SiteCode(**one.model_dump()) for one in self.codes)
        kinds = tuple(
            SiteKind(
                name=one.name, unit=one.unit, units=tuple(one.units.items()), lowest=one.lowest, highest=one.highest
            )
            for one in self.kinds
        )
        findings = tuple(SiteFinding(**one.model_dump()) for one in self.findings)
        units = tuple(self.units.items())
        return SiteTable(codes=codes, units=units, kinds=kinds, findings=findings, deaths=self.deaths, words=self.words)
