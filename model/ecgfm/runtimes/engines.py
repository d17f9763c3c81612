"""The name under which a runtime stands in each score, and what it says: what must be opened to compute the same bits
again.

    torch-cpu-fp32                                              engine, device, precision
    torch-cuda-fp16-x64@NVIDIA_H100_80GB_HBM3/570.86.15         … and on a GPU segments a call, card and driver

On a CPU the shape of a call is fixed for good. On a GPU it is a setting, and shape, card and driver each decide which
kernels run, hence the last bits.
"""

import re
from dataclasses import dataclass
from typing import Self

from ecgfm.runtimes import EXACT, FAST

_FORM = re.compile(
    r"(?P<engine>torch|onnxruntime|openvino)-(?P<device>cpu|cuda|tensorrt)-(?P<precision>fp32|bf16|fp16)"
    r"(-x(?P<shape>[1-9]\d*))?(@(?P<card>\S+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineName:
    """The parts of a runtime's name in a score."""

    engine: str  #: `torch`, `onnxruntime` or `openvino`
    device: str  #: `cpu`, `cuda`, or `tensorrt`, which is CUDA by another provider
    precision: str  #: `fp32`, `bf16` or `fp16`
    shape: int | None = None  #: segments a call, where that is a setting
    card: str = ""  #: GPU and driver; empty on a CPU

    def __str__(self) -> str:
        shape = "" if self.shape is None else f"-x{self.shape}"
        card = f"@{self.card}" if self.card else ""
        return f"{self.engine}-{self.device}-{self.precision}{shape}{card}"

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The parts of a name; None where it is no name of a runtime of this program."""
        found = _FORM.fullmatch(name)
        if found is None:
            return None
        parts = found.groupdict()
        return cls(
            engine=parts["engine"],
            device=parts["device"],
            precision=parts["precision"],
            shape=int(parts["shape"]) if parts["shape"] else None,
            card=parts["card"] or "",
        )

    @property
    def runtime(self) -> str:
        """The name in the settings, one of `runtimes.NAMES`."""
        if self.device == "tensorrt":
            return "tensorrt"
        engine = "onnx" if self.engine == "onnxruntime" else self.engine
        return engine if self.precision == "fp32" else f"{engine}-{self.precision}"

    @property
    def on(self) -> str:
        """The device in the settings: `cpu` or `cuda`."""
        return "cpu" if self.device == "cpu" else "cuda"


def tolerance_of(name: str) -> float:
    """The largest change of a probability that is no error between two cards, drivers or shapes; a GPU sums in
    another order.
    """
    found = EngineName.parse(name)
    exact = found is None or (found.precision == "fp32" and found.device != "tensorrt")
    return EXACT if exact else FAST


def comparable(then: str, now: str) -> bool:
    """Whether two names tell of one computation on different cards, drivers or shapes: equal up to a tolerance, not
    in bits.
    """
    one, other = EngineName.parse(then), EngineName.parse(now)
    if one is None or other is None or then == now:
        return False
    return one.on == other.on == "cuda" and one.runtime == other.runtime
