"""The linear probe finds what an embedding knows, never judges a patient by his own recordings,
and gives honest intervals.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfm.errors import DataError
from ecgfm.finetuning.probe import Embedded, LabelTable, embed_recordings, out_of_fold, probe, project, random_twin
from ecgfm.recording_files import RecordingFolder
from ecgfm.signal import prepare
from tests.helpers.tiny_models import tiny_network

pytestmark = pytest.mark.slow(8)

#: umap-learn compiles for 16 s what these few points need for 3 s without; numba reads this when it is first imported.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")


def _embedded(recordings: int = 240, patients: int = 80) -> Embedded:
    stream = np.random.default_rng(0)
    truth = stream.integers(0, 2, recordings).astype(float)
    knowing = stream.normal(size=(recordings, 6))
    knowing[:, 0] += 2 * truth
    values = np.stack([truth, np.where(np.arange(recordings) % 3 == 0, np.nan, truth), np.zeros(recordings)], axis=1)
    return Embedded(
        table=LabelTable(
            keys=tuple(f"r{number}" for number in range(recordings)),
            patients=tuple(f"p{number % patients}" for number in range(recordings)),
            labels=("finding", "half known", "never"),
            values=values,
        ),
        embeddings=(knowing, stream.normal(size=(recordings, 6))),
        left_out={},
    )


def test_the_probe_tells_an_encoder_that_knows_from_a_random_one() -> None:
    probed, skipped = probe(_embedded(), replicates=100)
    assert [found.label for found in probed] == ["finding", "half known"]
    assert [found.recordings for found in probed] == [240, 160]
    for found in probed:
        assert 0.85 < found.auroc.low < found.auroc.value < found.auroc.high <= 1
        assert found.random_auroc.low < 0.62
        assert found.beats_random
        assert found.difference.value == pytest.approx(found.auroc.value - found.random_auroc.value)
        assert found.to_json()["beats_random"] is True
    assert "0 patients with" in skipped["never"]


def test_two_random_encoders_do_not_beat_each_other() -> None:
    embedded = _embedded()
    stream = np.random.default_rng(5)
    blind = Embedded(
        table=embedded.table,
        embeddings=(stream.normal(size=(240, 6)), stream.normal(size=(240, 6))),
        left_out={},
    )
    assert not any(found.beats_random for found in probe(blind, replicates=100)[0])


def test_a_patient_is_never_judged_by_his_own_recordings() -> None:
    """Embeddings that only say who the patient is must be worthless for a label that belongs to the patient."""
    stream = np.random.default_rng(1)
    patients = np.repeat(np.arange(60), 4)
    truth = stream.integers(0, 2, 60).astype(float)[patients]
    identity = stream.normal(size=(60, 64))[patients]
    scores = out_of_fold(identity, truth, patients, seed=0)
    found = np.corrcoef(scores, truth)[0, 1]
    assert found < 0.3


def test_recordings_are_embedded_as_the_network_embeds_them_and_others_listed(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(size=(3, 12, 5000)).cumsum(axis=2)
    signal[1, 2] = 0
    np.savez(tmp_path / "a.npz", signal=signal, sampling_rate=500.0)
    (tmp_path / "labels.csv").write_text("recording,x\na.npz#0,1\na.npz#1,0\na.npz#2,\nmissing.npz,1\n")
    table = LabelTable.read(tmp_path / "labels.csv")
    network = tiny_network()
    embedded = embed_recordings([network, random_twin(network)], RecordingFolder(root=tmp_path), table, device="cpu")
    assert embedded.table.keys == ("a.npz#0", "a.npz#2")
    assert embedded.table.patients == ("a.npz#0", "a.npz#2")
    assert np.isnan(embedded.table.values[1, 0])
    assert set(embedded.left_out) == {"a.npz#1", "missing.npz"}
    with torch.inference_mode():
        expected = network.embed(torch.from_numpy(prepare(signal[2], 500.0))).mean(0).numpy()
    np.testing.assert_allclose(embedded.embeddings[0][1], expected, atol=1e-5)
    assert embedded.embeddings[0].shape == embedded.embeddings[1].shape
    assert not np.allclose(embedded.embeddings[0], embedded.embeddings[1])


def test_a_map_has_two_columns_and_needs_three_recordings() -> None:
    embedded = _embedded()
    assert project(embedded.embeddings[0]).shape == (240, 2)
    with pytest.raises(DataError, match="at least three"):
        project(embedded.embeddings[0][:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording,x\na,2\n", "line 2: a label is 0, 1 or empty, not '2'"),
        ("name,x\na,1\n", "needs a header"),
        ("recording\na\n", "at least one label"),
        ("", "needs a header"),
    ],
)
def test_a_wrong_label_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        LabelTable.read(tmp_path / "labels.csv")


def test_a_umap_picture_keeps_groups_apart() -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed (optional extra `umap`)")
    stream = np.random.default_rng(0)
    rows = stream.normal(size=(40, 6))
    rows[20:] += 10
    places = project(rows, method="umap")
    assert places.shape == (40, 2)
    centres = [places[:20].mean(axis=0), places[20:].mean(axis=0)]
    widest = max(
        float(np.linalg.norm(part - centre, axis=1).max())
        for part, centre in zip((places[:20], places[20:]), centres, strict=True)
    )
    assert np.linalg.norm(centres[0] - centres[1]) > widest


def test_umap_that_is_not_installed_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(DataError, match=r"pip install 'ecgfm-clinical\[umap\]'.*--method pca works without"):
        project(_embedded().embeddings[0], method="umap")
