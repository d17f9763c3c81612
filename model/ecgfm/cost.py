"""What a bundle costs to run, counted in its file of weights: its encoders, and which heads share the pass of each."""

import math
from dataclasses import dataclass

from safetensors import SafetensorError, safe_open

from ecgfm.checkpoint import WEIGHTS, Bundle
from ecgfm.errors import BundleError

_WORDS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCost:
    """One encoder of a bundle: every ECG goes through it once, whatever the number of its heads."""

    heads: tuple[str, ...]
    parameters: int
    megabytes: float  #: of its weights on disk, and about as much in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one bundle."""

    encoders: tuple[EncoderCost, ...]
    megabytes: float  #: of the whole file of weights

    def __str__(self) -> str:
        count = len(self.encoders)
        words = _WORDS[count] if count < len(_WORDS) else str(count)
        encoders, passes = ("encoder", "pass") if count == 1 else ("encoders", "passes")
        return f"{count} {encoders}: each ECG takes {words} {passes}; {self.megabytes:.1f} MB of weights"


def cost(bundle: Bundle) -> Cost:
    """Counts the tensors that lie in the bundle; reads no weight. Raises BundleError."""
    path = bundle.path / WEIGHTS
    values = [0] * len(bundle.encoders)
    try:
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118  it is no mapping
                number = _encoder(name)
                if number is not None:
                    values[number] += math.prod(tensors.get_slice(name).get_shape())
        whole = path.stat().st_size
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    return Cost(
        encoders=tuple(
            EncoderCost(
                heads=tuple(spec.name for spec in bundle.heads if spec.encoder == number),
                parameters=values[number],
                megabytes=4 * values[number] / 1e6,  # float32
            )
            for number in range(len(bundle.encoders))
        ),
        megabytes=whole / 1e6,
    )


def _encoder(tensor: str) -> int | None:
    """Of which encoder a tensor of a bundle is; None of a head's."""
    if tensor.startswith("encoder."):
        return 0
    first, number, *_ = tensor.split(".")
    return int(number) if first == "further_encoders" else None
