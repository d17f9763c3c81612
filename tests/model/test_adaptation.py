"""An encoder adapted on this machine: in bf16 only where the processor computes it, and never half in one, half in the
other.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfm import adaptation
from ecgfm.adaptation import Adapted, Bound, adapt
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.shards import PrepareSettings, ShardSet, prepare_shards
from ecgfm.recording_files import RecordingFolder
from ecgfm.runtimes.processors import has_bf16_instructions
from tests.helpers.tiny_models import tiny_network

pytestmark = [
    pytest.mark.slow(8),
    pytest.mark.skipif(find_spec("lightning") is None, reason="optional extra `train`"),
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Eight recordings of two segments each."""
    root = tmp_path_factory.mktemp("recordings")
    signal = np.random.default_rng(0).normal(size=(8, 12, 5000)).cumsum(axis=2)
    np.savez(root / "all.npz", signal=signal, sampling_rate=500.0, patient=np.arange(8).astype(str))
    return prepare_shards(RecordingFolder(root=root), root / "shards", PrepareSettings())


def _adapted(shards: ShardSet, folder: Path, updates: int) -> Adapted:
    return adapt(
        tiny_network(),
        shards,
        folder,
        bound=Bound(updates=updates),
        clock=lambda: 0.0,
        machine=Machine(accelerator="cpu"),
        pairs=4,
    )


def test_a_processor_without_bf16_adapts_in_float32(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "has_bf16_instructions", lambda: False)
    assert _adapted(shards, tmp_path, 1).precision == "32-true"


@pytest.mark.skipif(not has_bf16_instructions(), reason="a processor with instructions for bf16")
def test_in_bf16_nearly_the_same_is_learnt_and_a_run_begun_in_float32_begins_anew(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(adaptation, "has_bf16_instructions", lambda: False)
        exact = _adapted(shards, tmp_path, 3)
    found = _adapted(shards, tmp_path, 3)
    assert (exact.precision, found.precision) == ("32-true", "bf16-mixed")
    assert found.updates == 3
    start, ours, theirs = (
        torch.cat([weight.detach().flatten() for weight in network.encoder.parameters()])
        for network in (tiny_network(), found.network, exact.network)
    )
    assert ours.dtype == torch.float32
    moved = theirs - start
    assert float(moved.norm()) > 0
    assert float(torch.nn.functional.cosine_similarity(ours - start, moved, dim=0)) > 0.9
