"""An imported bundle says where it came from and gives the checkpoint's own bits."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

import ecgfm
from ecgfm.checkpoint import Bundle
from ecgfm.digest import sha256
from ecgfm.fairseq.importing import import_checkpoint

pytestmark = pytest.mark.slow

AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_imported_bundle(reference: Path, tmp_path: Path) -> None:
    file = reference / "tiny_finetuned_legacykeys.pt"
    bundle = import_checkpoint(file, tmp_path / "b", name="mine", version="2", labels=list("abcde"), at=AT)
    assert (bundle.name, bundle.version, bundle.demo) == ("mine", "2", False)
    assert bundle.provenance.origin["source_sha256"] == sha256(file)
    assert bundle.provenance.origin["imported_from"] == file.name
    assert bundle.provenance.origin["labels"] == "given on import"
    assert bundle.heads[0].calibration is None
    source = torch.randn(2, 12, 2500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ecgfm.load(bundle.path)(source), ecgfm.load(file, labels=list("abcde"))(source))


def test_pretrained_checkpoint_becomes_a_bundle_without_heads(reference: Path, tmp_path: Path) -> None:
    bundle = import_checkpoint(reference / "tiny_pretrained.pt", tmp_path / "b", at=AT)
    assert bundle.heads == ()
    assert bundle.name == "tiny_pretrained"
    assert Bundle.read(bundle.path).provenance.origin["labels"] == "none: no head"


def test_same_import_same_model_id(reference: Path, tmp_path: Path) -> None:
    one, two = (import_checkpoint(reference / "tiny_finetuned.pt", tmp_path / name, at=AT) for name in "ab")
    assert one.model_id == two.model_id
