"""Every size of the encoder in one frozen value, and how to read it from a fairseq-signals configuration."""

import ast
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self  # Any: JSON of a bundle, literals of a checkpoint

from ecgfm.errors import UnknownArchitecture

ConvLayer = tuple[int, int, int]  #: (output channels, kernel, stride)

MAX_CONV_LAYERS = 64  #: no network of this family has more; bounds what a hostile configuration can make us build


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Sizes and training regularisers of one encoder; the defaults are the published ECG-FM (BERT-Base sized).

    Raises `UnknownArchitecture` where the sizes contradict each other.
    """

    leads: int = 12
    conv_layers: tuple[ConvLayer, ...] = ((256, 2, 2),) * 4
    conv_bias: bool = False
    width: int = 768  #: embedding dimension of the transformer
    layers: int = 12
    ffn_width: int = 3072
    heads: int = 12  #: attention heads; not recoverable from tensor shapes
    pre_norm: bool = False  #: fairseq's layer_norm_first; False = post-norm; not recoverable from tensor shapes
    conv_pos_kernel: int = 128
    conv_pos_groups: int = 16
    dropout: float = 0.0  #: after the positional convolution, attention and fc2
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0  #: after the GELU of the feed-forward block
    dropout_input: float = 0.0  #: after post_extract_proj
    feature_grad_mult: float = 1.0  #: scale of the gradient into the convolution stack; 0 freezes it

    def __post_init__(self) -> None:
        if not self.conv_layers or len(self.conv_layers) > MAX_CONV_LAYERS:
            raise UnknownArchitecture(f"a convolution stack has 1 to {MAX_CONV_LAYERS} layers, not {self.conv_layers}")
        if self.width % self.heads:
            raise UnknownArchitecture(f"width {self.width} is not divisible by {self.heads} attention heads")
        if self.width % self.conv_pos_groups:
            raise UnknownArchitecture(f"width {self.width} is not divisible by {self.conv_pos_groups} position groups")

    @property
    def conv_width(self) -> int:
        """Channels that leave the convolution stack."""
        return self.conv_layers[-1][0]

    def frames(self, samples: int) -> int:
        """Frames (tokens) made of `samples` samples: 2500 -> 156 in the published network."""
        for _, kernel, stride in self.conv_layers:
            samples = max(0, (samples - kernel) // stride + 1)
        return samples

    def to_json(self) -> dict[str, Any]:
        """Plain values for `bundle.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; raises `UnknownArchitecture` on a missing, unknown or ill-typed field."""
        names = {field.name for field in fields(cls)}
        if names != set(values):
            raise UnknownArchitecture(f"encoder configuration: fields {sorted(names ^ set(values))} missing or unknown")
        try:
            conv_layers = tuple(_conv_layer(entry) for entry in values["conv_layers"])
            return cls(**{**values, "conv_layers": conv_layers})
        except (TypeError, ValueError) as error:
            raise UnknownArchitecture(f"encoder configuration: {error}") from error


def _conv_layer(entry: Any) -> ConvLayer:
    channels, kernel, stride = entry
    if not all(type(value) is int and value > 0 for value in (channels, kernel, stride)):
        raise ValueError(f"a convolution layer is three positive whole numbers, not {entry!r}")
    return channels, kernel, stride


def parse_conv_layers(text: str) -> tuple[ConvLayer, ...]:
    """`"[(256, 2, 2)] * 4"` as fairseq writes it -> the layers; lists, tuples, whole numbers, `+` and `*` only.

    The text is parsed, never evaluated. Raises `UnknownArchitecture` on anything else.
    """
    try:
        layers = tuple(_conv_layer(entry) for entry in _literal_list(ast.parse(text, mode="eval").body))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UnknownArchitecture(f"cannot read the convolution stack {text[:80]!r}: {error}") from error
    if not 0 < len(layers) <= MAX_CONV_LAYERS:
        raise UnknownArchitecture(f"convolution stack {text[:80]!r} has {len(layers)} layers")
    return layers


def _literal_list(node: ast.expr) -> list[Any]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _literal_list(node.left) + _literal_list(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        times = ast.literal_eval(node.right)
        if type(times) is not int or not 0 < times <= MAX_CONV_LAYERS:
            raise ValueError("repeat count out of range")
        return _literal_list(node.left) * times
    value = ast.literal_eval(node)
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value
