"""A bundle is whole or refused, never altered, and its model_id names everything that changes a result."""

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

import ecgfm
from ecgfm import checkpoint
from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError
from ecgfm.fairseq import reading as fairseq
from ecgfm.heads import INTERPRETATION, REDUCED_LVEF, HeadSpec, Platt
from ecgfm.provenance import Provenance
from tests.helpers.tiny_models import tiny_network, write_tiny_bundle


def edit_manifest(bundle: Bundle, **changes: object) -> None:
    path = bundle.path / checkpoint.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_written_and_read_back(bundle: Bundle) -> None:
    again = Bundle.read(bundle.path)
    assert again.manifest() == bundle.manifest()
    assert [spec.name for spec in again.heads] == ["reduced_lvef", "troponin", "interpretation"]
    assert again.heads[2] == INTERPRETATION
    source = torch.randn(2, 12, 2500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.network().eval()(source), tiny_network().eval()(source))


def test_same_seed_same_model_id(bundle: Bundle, tmp_path: Path) -> None:
    assert write_tiny_bundle(tmp_path / "twin").model_id == bundle.model_id
    assert write_tiny_bundle(tmp_path / "other", seed=1).model_id != bundle.model_id


def test_the_id_is_of_the_provenance_to_the_last_word(bundle: Bundle, tmp_path: Path) -> None:
    """Also of words that this program does not know: a registered model stays the one that it was."""
    shutil.copytree(bundle.path, tmp_path / "b")
    told = {"origin": {"training": "none"}, "lineage": [], "witness": "of a later program"}
    edit_manifest(replace(bundle, path=tmp_path / "b"), provenance=told)
    text = json.dumps(bundle.manifest() | {"provenance": told}, sort_keys=True, separators=(",", ":"))
    assert Bundle.read(tmp_path / "b").model_id == sha256(text.encode()).hexdigest()
    assert Bundle.read(tmp_path / "b").provenance.origin == {"training": "none"}


def test_model_id_changes_with_calibration_and_threshold(bundle: Bundle, tmp_path: Path) -> None:
    calibrated = replace(
        REDUCED_LVEF,
        calibration={"reduced_lvef": Platt(slope=1.5, intercept=-0.25)},
        operating_points={"reduced_lvef": 0.3},
        site_operating_points={"North": {"reduced_lvef": 0.2}},
    )
    assert [calibrated.threshold("reduced_lvef", site) for site in ("North", "South", "")] == [0.2, 0.3, 0.3]
    written = Bundle.write(
        tmp_path / "calibrated",
        tiny_network(),
        name=bundle.name,
        version=bundle.version,
        demo=bundle.demo,
        provenance=bundle.provenance,
        heads=(calibrated, *bundle.heads[1:]),
    )
    assert written.weights_sha256 == bundle.weights_sha256
    assert written.model_id != bundle.model_id
    assert Bundle.read(written.path).heads[0] == calibrated


def test_load_takes_a_bundle_folder(bundle: Bundle) -> None:
    network = ecgfm.load(bundle.path)
    assert network.labels == ("reduced_lvef", "troponin", *INTERPRETATION.labels)
    assert network(torch.zeros(1, 12, 2500)).shape == (1, 19)
    assert not network.training


def test_imported_checkpoint_trains_on_from_the_same_tensors(reference: Path, tmp_path: Path) -> None:
    network = fairseq.build(reference / "tiny_finetuned.pt")
    written = Bundle.write(tmp_path / "b", network, name="x", version="1", demo=False, provenance=Provenance())
    for name, tensor in written.network().state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name


def test_a_bundle_is_never_overwritten(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="never overwritten"):
        write_tiny_bundle(bundle.path, seed=5)


def test_nothing_is_left_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        write_tiny_bundle(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_altered_weights(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    weights = bundle.path / checkpoint.WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256 differs"):
        ecgfm.load(bundle.path)


def test_missing_parts(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a model bundle"):
        ecgfm.load(tmp_path)
    bundle = write_tiny_bundle(tmp_path / "b")
    (bundle.path / checkpoint.WEIGHTS).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.read(bundle.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 4}, "format version 4"),
        ({"format": "other"}, "not the manifest"),
        ({"encoder": {}}, "missing or unknown"),
        ({"heads": [{"name": "x"}]}, "a head in bundle.json cannot be read"),
        ({"weights": {}}, "sha256"),
        ({"provenance": {"lineage": [{"name": "base"}]}}, "lacks or misspells 'model_id'"),
        ({"provenance": {"heads": "none"}}, "lacks or misspells heads"),
    ],
)
def test_unusable_manifest(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    edit_manifest(bundle, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle.read(bundle.path)


def test_manifest_that_is_not_json(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    (bundle.path / checkpoint.MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="not JSON"):
        Bundle.read(bundle.path)


def test_anything_but_a_plain_false_is_a_demo(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", demo=False)
    assert not bundle.demo
    edit_manifest(bundle, demo="no")
    assert Bundle.read(bundle.path).demo


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": ("a", "a")},
        {"aggregation": {}},
        {"aggregation": {"a": "median"}},
        {"calibration": {"b": Platt(slope=1, intercept=0)}},
        {"operating_points": {"b": 0.5}},
        {"site_operating_points": {"North": {"b": 0.5}}},
    ],
)
def test_head_that_contradicts_itself(wrong: dict[str, object]) -> None:
    fields: dict[str, object] = {"name": "h", "labels": ("a",), "target": "", "aggregation": {"a": "mean"}} | wrong
    with pytest.raises(ValueError, match="head 'h'"):
        HeadSpec(**fields)  # type: ignore[arg-type]  # wrong on purpose
