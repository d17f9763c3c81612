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
        description='folder of the first model bundle, later ones by `model promote`; "demo" is the small one '
        "that ships and is NOT FOR CLINICAL USE",
    )
    runtime: Literal["auto", "torch", "torch-bf16", "torch-fp16", "onnx", "tensorrt", "openvino", "openvino-bf16"] = (
        Field(
            default="auto",
            description="auto: the fastest exact one of this machine, measured when a model first opens; or torch, "
            "onnx, openvino, and with less precision torch-bf16, torch-fp16, tensorrt, openvino-bf16",
        )
    )
    cache: Path | None = Field(
        default=None,
        description="where runtimes keep what they prepare; beside the bundle where not set",
        examples=["runtime-cache"],
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto (CUDA if there is one), cpu, cuda, or one GPU by its number: cuda:1; of several a "
        "service scores on each at once",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; all cores where not set", examples=[4])
    shape: int | None = Field(
        default=None,
        ge=1,
        description="segments a call on a GPU holds: small (2) answers soonest, large (256) empties archives; "
        "part of the runtime's name in each score",
        examples=[64],
    )

    @property
    def kind(self) -> Literal["auto", "cpu", "cuda"]:
        """The kind of device, for what takes no number of one: training finds its own."""
        return "cuda" if self.device.startswith("cuda") else "cpu" if self.device == "cpu" else "auto"

    @property
    def runtime_extra(self) -> str | None:
        """The extra of the package that the runtime needs."""
        if self.runtime == "tensorrt":
            return "onnx"
        return next((extra for extra in ("onnx", "openvino") if self.runtime.startswith(extra)), None)


class HeadRules(Part):
    """When one head may be scored."""

    enabled: bool = Field(default=True, description="false: this head is neither scored nor reported")
    min_age: float | None = Field(default=18, ge=0, description="years at the time of the ECG")
    max_age: float | None = Field(default=None, ge=0, description="years; no upper limit where not set", examples=[90])
    max_seconds: float = Field(
        default=120, gt=0, description="a longer recording is not scored: the model was made for resting ECGs of 10 s"
    )
    unknown_age: Literal["score", "refuse"] = Field(
        default="score", description='an ECG without an age: "score" or "refuse"'
    )
    paced: Literal["score", "refuse"] = Field(
        default="refuse", description='ECGs whose device reports a paced rhythm: "score" or "refuse"'
    )
    allow: tuple[str, ...] = Field(
        default=(), description="reason codes in spite of which this head scores", examples=[["noise"]]
    )
    abnormal: tuple[str, ...] = Field(
        default=(),
        description="labels of a head of your own that are abnormal findings: only these are flagged (OBX-8)",
        examples=[["my_label"]],
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
        default=False,
        description="true: what is held for a person is scored all the same, so that its result is ready; it is "
        "not sent",
    )
    batch_size: int = Field(
        default=16, ge=1, le=1024, description="ECGs that a worker takes at a time, or fewer where the model is slow"
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=64,
        description="processes that load, judge and prepare ECGs for the one that runs the model; 0: a thread of it",
    )
    every_seconds: float = Field(
        default=5, gt=0, description="how often a worker looks for ECGs of whose arrival it was not told"
    )
    lease_seconds: float = Field(
        default=300,
        ge=30,
        description="a worker that gives no sign of life this long loses its batch to another; 30 or more, signs "
        "are given every 10 s",
    )
    hang_seconds: float = Field(
        default=180,
        ge=5,
        description="a model, or what feeds it, that gives no answer this long hangs: it is said, what it held costs "
        "an attempt and is left to others, the process ends (systemd, Docker start it anew)",
    )
    max_attempts: int = Field(
        default=4, ge=1, description="after so many failed attempts an ECG counts as failed, and a person must look"
    )

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)
