"""How this hospital trains, judges and governs heads of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ecgfm.operating_rule import OperatingRule
from ecgfm_clinical.rules import AssayLimit, GateRules
from ecgfm_clinical.settings.part import Part


class LvefLabels(Part):
    """Which echo gives an ECG its label."""

    threshold: Literal[30, 35, 40, 50] = Field(default=40, description="percent, inclusive: 50, 40, 35 or 30")
    window_days: float = Field(default=7, gt=0, description="nearest echo within so many days on either side")


class TroponinLabels(Part):
    """Which troponin gives an ECG its label."""

    select: Literal["first", "peak"] = Field(
        default="peak", description='"peak" or "first" of the draws inside the window'
    )
    hours_before: float = Field(default=2, ge=0, description="the window begins so long before the ECG")
    hours_after: float = Field(default=6, ge=0, description="and ends so long after it")
    drop_after_peak: bool = Field(default=False, description="leave out ECGs recorded after the highest troponin")
    assays: tuple[AssayLimit, ...] = ()


class RivalRules(Part):
    """What a head is judged beside, besides age and sex and an encoder with random weights."""

    beside: tuple[Literal["forest", "cnn", "s4d"], ...] = Field(
        default=("forest", "cnn", "s4d"),
        description="a random forest on plain numbers of the ECG; a convolutional and a state space network, trained "
        "from nothing (the longest part of a report without a GPU: leave them out, or make them smaller)",
    )
    convolutional_width: int = Field(
        default=64, ge=1, description="channels of the convolutional network: 5.5 million weights"
    )
    state_space_width: int = Field(
        default=512, ge=1, description="channels of the state space network: 2.5 million weights"
    )
    state_space_depth: int = Field(default=4, ge=1, description="and its layers")
    epochs: int = Field(default=20, ge=1, description="of both at most; they stop earlier where validation says so")


class HeadLabels(Part):
    """A head of one's own: what it learns from which measured results."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]{0,31}$", description="of the head and its one label", examples=["hyperkalaemia"]
    )
    target: str = Field(
        min_length=1,
        description="one sentence: what a positive label means",
        examples=["A potassium above 5.5 mmol/L."],
    )
    kind: str = Field(
        description="lvef, the name of one of outcomes.kinds or outcomes.findings, or death", examples=["potassium"]
    )
    threshold: float | None = Field(
        default=None,
        description="of a measured kind, in its unit; a finding has none: it is there or not",
        examples=[5.5],
    )
    days: float = Field(
        default=0,
        ge=0,
        description="of a head of kind death alone, which needs it: died so many days after the ECG or sooner",
    )
    positive: Literal["above", "at-most"] = Field(
        default="above", description='"above" the threshold, or "at-most": at or below it'
    )
    hours_before: float = Field(default=2, ge=0, description="the window begins so long before the ECG")
    hours_after: float = Field(default=6, ge=0, description="and ends so long after it")
    select: Literal["nearest", "highest", "lowest"] = Field(
        default="nearest",
        description='"nearest", "highest" or "lowest" of the results inside the window; of a finding '
        "highest: ever there, lowest: ever absent",
    )

    @model_validator(mode="after")
    def _is_not_the_programs_own(self) -> Self:
        if self.name in ("reduced_lvef", "troponin", "interpretation"):
            raise ValueError(f"{self.name} is a head of this program; give the head another name")
        if self.kind == "troponin":
            raise ValueError("a troponin is judged against its own assay's limit: the head troponin does that")
        return self


class Learning(Part):
    """How this hospital trains, judges and governs heads of its own."""

    folder: Path = Field(
        default=Path("models"), description="bundles, runs, reports and kept embeddings; shared by all hosts that score"
    )
    lvef: LvefLabels = LvefLabels()
    troponin: TroponinLabels = TroponinLabels()
    heads: tuple[HeadLabels, ...] = ()
    serial: Literal["all", "one-per-day", "first"] = Field(
        default="one-per-day", description="of a patient's ECGs: all, one-per-day (nearest to the outcome), first"
    )
    drop_if_outcome_first: bool = Field(
        default=False, description="leave out ECGs recorded when the outcome could already be known"
    )
    calibration: Literal["auto", "platt", "beta", "isotonic", "none"] = Field(
        default="auto",
        description="auto: Platt scaling shrunk towards a slope of 1, and beta from 200 ECGs of the rarer kind on; "
        "platt, beta, isotonic (1000 positives), none",
    )
    calibration_folds: int = Field(
        default=5,
        ge=0,
        description="a new head's calibration and thresholds go by scores of so many trainings, each on the others' "
        "patients; 0: by the validation patients alone, without training again",
    )
    operating_points: Mapping[str, OperatingRule] = Field(
        default_factory=dict, description="by head", examples=[{"reduced_lvef": {}}]
    )
    site_operating_points: Mapping[str, Mapping[str, OperatingRule]] = Field(
        default_factory=dict,
        description="by site, then by head: rules of sites that differ from the one above; a site is an ECG's "
        "institution, or the listener or source it came by where the ECG names none",
        examples=[{"North": {"reduced_lvef": {}}}],
    )
    gate: GateRules = GateRules()
    rivals: RivalRules = RivalRules()

    def operating_point(self, head: str) -> OperatingRule:
        """The rule of one head; a sensitivity of 90 % where none is given."""
        return self.operating_points.get(head, OperatingRule())

    def operating_points_by_site(self, head: str) -> dict[str, OperatingRule]:
        """The rules of one head at sites that have their own."""
        return {site: own[head] for site, own in self.site_operating_points.items() if head in own}
