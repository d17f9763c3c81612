"""How measured outcomes are read from this site's feeds."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ecgfm_clinical.settings.part import Part
from ecgfm_connectors.outcomes import units
from ecgfm_connectors.outcomes.site import SiteCode, SiteTable


class OutcomeCode(Part):
    """What one code or one name of this site's feeds measures; it goes before every rule of the readers."""

    code: str = Field(default="", description="OBX-3.1 or OBX-3.4", examples=["TNHS"])
    name: str = Field(
        default="",
        description="or OBX-3.2 or OBX-3.5, whole; case and accents do not matter",
        examples=["Troponin neu"],
    )
    means: Literal["lvef", "troponin", "ignore"] = Field(description="lvef, troponin or ignore", examples=["troponin"])
    assay: str = Field(default="", description="troponin: hs-I, hs-T, I or T", examples=["hs-T"])
    unit: str = Field(default="", description="the unit where OBX-6 is empty", examples=["ng/L"])
    point_of_care: bool = Field(
        default=False, description="true: measured at the bedside, never compared with the laboratory's"
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.code and not self.name:
            raise ValueError("give the code or the name of what is measured")
        if self.unit and units.read(self.unit) is None:
            raise ValueError(f"unit {self.unit!r} is no unit that we know; write it as UCUM does, ng/L or %")
        return self


class OutcomeSettings(Part):
    """How measured outcomes are read from this site's feeds."""

    codes: tuple[OutcomeCode, ...] = ()
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
    def table(self) -> SiteTable:
        """The table as the readers take it."""
        codes = tuple(SiteCode(**one.model_dump()) for one in self.codes)
        return SiteTable(codes=codes, units=tuple(self.units.items()), words=self.words)
