"""Which model scores, which heads may score what, and how the work is taken from the store."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ecgfm_clinical.codes import REASONS
from ecgfm_clinical.settings.part import Part

#: Heads that this program can train from outcomes, or that the published model has; a bundle may bring others.
HEADS = ("reduced_lvef", "troponin", "interpretation")


class Model(Part):
    """Which bundle scores, and how."""

    bundle: str = Field(
        default="demo",
        description="folder of the bundle, or `demo` for the small one that ships (not for clinical use)",
    )
    runtime: Literal["auto", "torch", "torch-bf16", "torch-fp16", "onnx", "openvino", "openvino-bf16"] = Field(
        default="auto", description="auto: the fastest exact one of this machine, measured when a model first opens"
    )
    cache: Path | None = Field(
        default=None, description="where runtimes keep what they prepare; beside the bundle if not set"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1, description="CPU threads; all cores where not set")
    shape: int | None = Field(
        default=None,
        ge=1,
        description="segments a call on a GPU holds, part of the runtime's name in each score: small (2) answers "
        "soonest, large (256) empties archives; 64 where not set",
    )

    @property
    def runtime_extra(self) -> str | None:
        """The extra of the package that the runtime needs."""
        return next((extra for extra in ("onnx", "openvino") if self.runtime.startswith(extra)), None)


class HeadRules(Part):
    """When one head may be scored."""

    enabled: bool = True
    min_age: float | None = Field(default=18, ge=0, description="years at the time of the ECG")
    max_age: float | None = Field(default=None, ge=0)
    max_seconds: float = Field(
        default=120, gt=0, description="a longer recording is no resting ECG: the model was made for 10 s"
    )
    unknown_age: Literal["score", "refuse"] = "score"
    paced: Literal["score", "refuse"] = "refuse"
    allow: tuple[str, ...] = Field(default=(), description="reason codes this head is scored in spite of")
    abnormal: tuple[str, ...] = Field(
        default=(),
        description="labels of a head of this site's own that are abnormal findings: their results are flagged (OBX-8)",
    )

    @model_validator(mode="after")
    def _codes_exist(self) -> Self:
        if unknown := sorted(set(self.allow) - REASONS):
            raise ValueError(
                f"allow names no reason code: {', '.join(unknown)}; there are {', '.join(sorted(REASONS))}"
            )
        return self


class Scoring(Part):
    """How scoring work is taken from the store."""

    held: bool = Field(
        default=False, description="score what is held for a person, so that its result is ready; it is not sent"
    )
    batch_size: int = Field(default=16, ge=1, le=1024)
    every_seconds: float = Field(default=5, gt=0, description="how often the schedule starts a scoring batch")
    lease_seconds: float = Field(
        default=300,
        ge=30,
        description="after this long without a sign of life, another worker takes over; signs are given every 10 s",
    )
    max_attempts: int = Field(default=4, ge=1)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)
