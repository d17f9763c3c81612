"""`ecgfm.load`: the network of a bundle or of a published checkpoint, ready for inference."""

from collections.abc import Sequence
from pathlib import Path

from ecgfm.checkpoint import Bundle
from ecgfm.demo import bundle_folder
from ecgfm.fairseq.reading import build
from ecgfm.network import EcgFm


def load(
    path: str | Path, *, labels: Sequence[str] | None = None, heads: int | None = None, pre_norm: bool | None = None
) -> EcgFm:
    """A bundle folder, `demo` (the bundle that ships) or a fairseq-signals `.pt` file -> the network in eval mode,
    ready for inference.

    `module(source)` gives logits (B, labels), `module.embed(source)` the pooled embedding (B, width), for `source`
    (B, 12, 2500) float32 from `ecgfm.signal.prepare`; `module.config` and `module.labels` describe it. `labels`,
    `heads` (attention heads) and `pre_norm` speak for a `.pt` file that does not say. Raises `BundleError` or
    `CheckpointError`.
    """
    chosen = bundle_folder(path)
    if chosen.is_dir():
        network = Bundle.read(chosen).network()
    else:
        network = build(chosen, labels=labels, heads=heads, pre_norm=pre_norm)
    return network.fold().eval().requires_grad_(False)
