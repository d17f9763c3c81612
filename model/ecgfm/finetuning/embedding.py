"""Pooled embeddings of many ECGs, computed once: a linear probe,
both baselines and drift read them from a cache on disk.

The cache lies in a folder named after the encoder's digest, in shards that are written whole; a run that was killed
goes on where the last shard ended.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ecgfm.devices import choose_device
from ecgfm.errors import TrainingError
from ecgfm.feeding import Prepared, fed
from ecgfm.finetuning.dataset import Example, Reader, ahead, read_segments
from ecgfm.network import EcgFm

T = TypeVar("T")
Embedding = NDArray[np.float32]  #: (segments, width) of one ECG
Progress = Callable[[int, int], None]  #: (ECGs done, ECGs in all)

SHARD = 256  #: ECGs a shard file: what a kill may cost


def encoder_digest(network: EcgFm) -> str:
    """SHA-256 (hex) of the first encoder's sizes, weights and preprocessing: equal digests give equal embeddings."""
    digest = hashlib.sha256(json.dumps([network.config.to_json(), network.preprocessing], sort_keys=True).encode())
    for name, tensor in sorted(network.encoder.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class EmbeddingCache:
    """Embeddings of one encoder, by example key."""

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder / digest[:32]
        self._found: dict[str, Embedding] = {}
        for shard in sorted(self._folder.glob("*.npz")):
            with np.load(shard) as held:
                ends = np.cumsum(held["segments"])
                parts = np.split(held["embeddings"], ends[:-1])
                self._found.update(zip(held["keys"].tolist(), parts, strict=True))

    def missing(self, examples: Sequence[Example]) -> list[Example]:
        """Examples that are not in the cache, each key once."""
        return list({example.key: example for example in examples if example.key not in self._found}.values())

    def add(self, new: Mapping[str, Embedding]) -> None:
        """Keep a shard, whole or not at all. Raises TrainingError where the disk does not take it."""
        self._found.update(new)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
                try:
                    np.savez(
                        file,
                        keys=np.array(list(new)),
                        segments=np.array([len(own) for own in new.values()]),
                        embeddings=np.concatenate(list(new.values())),
                    )
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).rename(Path(file.name).with_suffix(".npz"))
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise TrainingError(
                f"embeddings cannot be kept in {self._folder} ({error.strerror}); free disk space and start again: "
                "what was kept before is used"
            ) from error

    def get(self, examples: Sequence[Example]) -> list[Embedding]:
        """The embeddings of these examples, in order; KeyError where one is missing."""
        return [self._found[example.key] for example in examples]


def embed(
    network: EcgFm,
    examples: Sequence[Example],
    read: Reader,
    *,
    cache: Path,
    device: str = "auto",
    batch: int = 16,
    progress: Progress | None = None,
) -> list[Embedding]:
    """Per example its segments' pooled embeddings (segments, width) by the first encoder, from the cache where they are
    there.

    The network is not changed. Raises TrainingError where the cache cannot be written.
    """
    held = EmbeddingCache(cache, encoder_digest(network))
    missing = held.missing(examples)
    where = choose_device(device)
    network = network.parts[0].to(where).eval()
    for start in range(0, len(missing), SHARD):
        part = missing[start : start + SHARD]
        held.add(_embed_shard(network, part, read, where, batch))
        if progress:
            progress(start + len(part), len(missing))
    return held.get(examples)


def _embed_shard(
    network: EcgFm, examples: Sequence[Example], read: Reader, device: torch.device, batch: int
) -> dict[str, Embedding]:
    segments = ahead(partial(read_segments, read, network.preprocessing), examples)
    records = (Prepared(what=example.key, segments=own) for example, own in zip(examples, segments, strict=True))
    return {key: own for key, (own,) in embedded(records, [network], device=device, batch=batch)}


def embedded(
    records: Iterable[Prepared[T]], networks: Sequence[EcgFm], *, device: torch.device, batch: int
) -> Iterator[tuple[T, tuple[Embedding, ...]]]:
    """Each record with its segments' embeddings by each network, which are on `device` and in eval mode.

    Calls have one shape and are filled across records: the same bits in any company.
    """
    names = [str(number) for number in range(len(networks))]

    def call(segments: NDArray[np.float32]) -> dict[str, Embedding]:
        source = torch.from_numpy(segments).to(device)
        with torch.inference_mode():
            rows = [network.embed(source).float().cpu().numpy() for network in networks]
        return dict(zip(names, rows, strict=True))

    for record, found in fed(records, call, size=batch, alone=False):
        if isinstance(found, Exception):
            raise found
        yield record.what, tuple(found[name] for name in names)
