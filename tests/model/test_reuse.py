"""Weights passed on by folder and hub, embeddings in scikit-learn's pipelines, recordings as a torch data set."""

import csv
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

import ecgfm
from ecgfm import embedder
from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError, DataError
from tests.helpers.fake_hub import FakeHub, fake_hub
from tests.helpers.synthetic import synthetic_ecgs
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow(15)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("reuse") / "tiny")


class FolderHub:
    """A hub in a folder."""

    def __init__(self, root: Path) -> None:
        self._root, self.asked = root, list[bool]()

    def fetch(self, repository: str, revision: str | None, *, download: bool) -> Path:
        self.asked.append(download)
        return self._root / COMMIT

    def send(self, folder: Path, repository: str, *, private: bool, message: str) -> str:
        assert private
        (self._root / COMMIT).mkdir()
        for file in folder.iterdir():
            (self._root / COMMIT / file.name).write_bytes(file.read_bytes())
        return COMMIT


def test_a_bundle_is_saved_with_a_card_and_comes_back_the_same(bundle: Bundle, tmp_path: Path) -> None:
    folder = ecgfm.save_pretrained(bundle, tmp_path / "passed on", licence="cc-by-4.0")
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "bundle.json", "model.safetensors"]
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlicense: cc-by-4.0\n")
    assert "**NOT FOR CLINICAL USE.**" in text
    assert all(spec.target in text for spec in bundle.heads)
    found = ecgfm.from_pretrained(folder, model_id=bundle.model_id[:12])
    assert found.model_id == bundle.model_id
    assert bundle.weights_sha256 in str(found)
    source = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 12, 2500)).astype(np.float32))
    assert torch.equal(found.network()(source), ecgfm.load(bundle.path)(source))
    with pytest.raises(BundleError, match="exists already"):
        ecgfm.save_pretrained(bundle, folder)


def test_a_hub_gives_what_was_sent_and_says_which_commit(bundle: Bundle, tmp_path: Path) -> None:
    hub = FolderHub(tmp_path)
    assert ecgfm.push_to_hub(bundle, "someone/tiny", hub=hub) == COMMIT
    found = ecgfm.from_pretrained("someone/tiny", download=True, hub=hub)
    assert (found.revision, found.model_id) == (COMMIT, bundle.model_id)
    assert COMMIT in str(found)
    ecgfm.from_pretrained("someone/tiny", hub=hub)
    assert hub.asked == [True, False]  # asked over the network only where the caller said so


def test_another_revision_another_model_and_changed_weights_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    hub = FolderHub(tmp_path)
    ecgfm.push_to_hub(bundle, "someone/tiny", hub=hub)
    with pytest.raises(BundleError, match=f"{COMMIT} came; nothing is used"):
        ecgfm.from_pretrained("someone/tiny", revision="f" * 40, hub=hub)
    with pytest.raises(BundleError, match="holds model"):
        ecgfm.from_pretrained("someone/tiny", model_id="f" * 64, hub=hub)
    weights = tmp_path / COMMIT / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        ecgfm.from_pretrained("someone/tiny", hub=hub)
    with pytest.raises(BundleError, match="leave them out"):
        ecgfm.from_pretrained(bundle.path, revision="main")


def test_the_client_itself_finds_what_it_fetched_before_and_asks_no_network(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (ecgfm-clinical[hub])")
    place = tmp_path / "models--someone--tiny"
    ecgfm.save_pretrained(bundle, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    found = ecgfm.from_pretrained("someone/tiny", cache=tmp_path)
    assert (found.revision, found.model_id) == (COMMIT, bundle.model_id)
    with pytest.raises(BundleError, match="download=True asks it"):
        ecgfm.from_pretrained("someone/other", cache=tmp_path)


SENT_AND_FETCHED = """
import sys, ecgfm
from ecgfm.errors import BundleError
try:
    commit = ecgfm.push_to_hub(sys.argv[1], "someone/tiny", licence="cc-by-4.0")
except BundleError as error:
    sys.exit(str(error))
found = ecgfm.from_pretrained("someone/tiny", download=True)
print(found.revision == commit, found.model_id)
print(ecgfm.from_pretrained("someone/tiny", revision=commit).model_id)
"""


def through_the_client(hub: FakeHub, bundle: Bundle, cache: Path) -> tuple[int, str]:
    """A process of its own: the client reads its settings when it is imported."""
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(cache), "HF_TOKEN": "hf_of_a_test", "HF_HUB_DISABLE_XET": "1"}
    told = [sys.executable, "-c", SENT_AND_FETCHED, str(bundle.path)]
    done = subprocess.run(told, env=os.environ | own, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + "".join(done.stderr.splitlines()[-1:])


def test_weights_go_to_a_hub_and_come_back_by_its_own_client(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (ecgfm-clinical[hub])")
    with fake_hub() as hub:
        code, told = through_the_client(hub, bundle, tmp_path / "cache")
        assert code == 0, told
        assert told.split()[:3] == ["True", bundle.model_id, bundle.model_id]
        assert sorted(hub.files) == ["README.md", "bundle.json", "model.safetensors"]
        assert (hub.private, hub.signed_in) == (True, {"Bearer hf_of_a_test"})


def test_nothing_is_sent_to_a_repository_that_is_public_where_private_was_asked(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (ecgfm-clinical[hub])")
    with fake_hub() as hub:
        hub.public_before = True
        code, told = through_the_client(hub, bundle, tmp_path / "cache")
        assert (code, hub.files) == (1, {})
        assert "someone/tiny is public on the hub already: nothing was sent" in told


# --- scikit-learn -----------------------------------------------------------------------------------------------------

ECGS = np.stack(synthetic_ecgs(4)).astype(np.float64)


def test_the_embedder_gives_the_predictors_rows_in_a_pipeline(bundle: Bundle) -> None:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    made = ecgfm.EcgFmEmbedder(str(bundle.path), device="cpu")
    rows = made.fit_transform(ECGS)
    told = ecgfm.Predictor.from_bundle(bundle.path, device="cpu").embed(
        [ecgfm.Record(signal=one, sampling_rate=500) for one in ECGS]
    )
    assert np.array_equal(rows, np.stack([one for one in told if one is not None]))
    assert made.model_id_ == bundle.model_id
    passed_on = pickle.loads(pickle.dumps(made))
    assert np.array_equal(passed_on.transform(ECGS.reshape(len(ECGS), -1)), rows)
    assert len(pickle.dumps(made)) < 2000  # no weights
    pipeline = clone(make_pipeline(made, LogisticRegression())).fit(ECGS, [0, 1, 0, 1])
    assert np.array_equal(pipeline.predict_proba(ECGS).argmax(axis=1), pipeline[-1].predict(rows))


def test_an_ecg_that_cannot_be_embedded_is_an_error_or_a_row_of_nan(bundle: Bundle) -> None:
    flat = ECGS.copy()
    flat[3, 5] = 0.25
    with pytest.raises(ValueError, match=r"1 of 4 ECGs cannot be embedded \(rows 3\)"):
        ecgfm.EcgFmEmbedder(str(bundle.path), device="cpu").fit_transform(flat)
    flat[1, 0, 7] = np.nan
    rows = ecgfm.EcgFmEmbedder(str(bundle.path), device="cpu", unscorable="nan").fit_transform(flat)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False, True]


class AnyWidth(ecgfm.EcgFmEmbedder):
    """The embedder on tables of any width, as scikit-learn's checks hand them over: each row shapes one ECG."""

    def _signals(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        waves = np.sin(np.outer(1 + np.arange(X.shape[1]), np.linspace(0, 9, 40)))
        return np.asarray((X @ waves)[:, None, :] * np.arange(1, 13)[:, None])


class Summing:
    """In the network's place, which these checks would call ten thousand times: what it gives is checked above."""

    model_id, width = "m" * 64, 12

    def embed(self, records: Sequence[ecgfm.Record]) -> list[NDArray[np.float32]]:
        return [record.signal.sum(axis=1).astype(np.float32) for record in records]


#: Checks of scikit-learn that the embedder does not take, and why.
EXCLUDED: dict[str, str] = {}


def test_scikit_learns_own_checks_pass_but_for_the_named_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.utils.estimator_checks import check_estimator

    monkeypatch.setattr(embedder, "_opened", lambda model, device: Summing())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks hand over data that draws warnings from scikit-learn itself
        found = check_estimator(AnyWidth(), expected_failed_checks=EXCLUDED, on_fail=None, on_skip=None)
    failed = {f"{one['check_name']}: {one['exception']}" for one in found if one["status"] == "failed"}
    assert not failed
    assert sum(one["status"] == "passed" for one in found) > 30
    assert {one["check_name"] for one in found if one["status"] == "xfail"} == set(EXCLUDED)


# --- torch ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of 10 s, one of 3 s, one with a constant lead, one that is cut off."""
    folder = tmp_path_factory.mktemp("recordings")
    for number, one in enumerate(synthetic_ecgs(3)):
        np.savez(folder / f"good{number}.npz", signal=one, sampling_rate=500)
    np.savez(folder / "short.npz", signal=ECGS[0][:, :1500], sampling_rate=500)
    np.savez(folder / "flat.npz", signal=np.where(np.arange(12)[:, None] == 2, 1.0, ECGS[1]), sampling_rate=500)
    (folder / "broken.npz").write_bytes((folder / "good0.npz").read_bytes()[:700])
    return folder


def test_a_folder_is_a_data_set_and_what_cannot_be_used_is_listed(recordings: Path) -> None:
    found = ecgfm.RecordingDataset.folder(recordings)
    assert found.keys == ("good0.npz", "good1.npz", "good2.npz")
    assert {one.key: one.reason.partition(":")[0] for one in found.left_out} == {
        "short.npz": "too-short",
        "flat.npz": "constant-lead",
        "broken.npz": "broken.npz",
    }
    (batch,) = DataLoader(found, batch_size=6)
    assert batch.source.shape == (6, 12, 2500)
    assert batch.recording.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.isfinite(batch.source).all()


def test_a_manifest_gives_labels_and_its_missing_recordings_are_listed(recordings: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["recording", "af"], ["good1.npz", "1"], ["good0.npz", "0"], ["good2", ""], ["gone.npz", "1"]]
        )
    found = ecgfm.RecordingDataset.manifest(table, recordings, ["af"])
    assert found.keys == ("good1.npz", "good0.npz", "good2")
    assert [one.key for one in found.left_out] == ["gone.npz"]
    labels = [float(found[number].labels[0]) for number in (0, 2, 4)]
    assert labels[:2] == [1.0, 0.0]
    assert np.isnan(labels[2])
    table.write_text("recording,af\ngood1.npz,perhaps\n")
    with pytest.raises(DataError, match="holds 'perhaps'"):
        ecgfm.RecordingDataset.manifest(table, recordings, ["af"])
