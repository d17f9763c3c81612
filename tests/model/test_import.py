"""Checkpoint files are read without running them, and every unusable one is refused with a clear sentence."""

import argparse
import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import ecgfm
from ecgfm.config import EncoderConfig, parse_conv_layers
from ecgfm.errors import CheckpointError, NoHead, UnknownArchitecture, UnsafeCheckpoint
from ecgfm.fairseq import reading as fairseq
from ecgfm.heads import INTERPRETATION, INTERPRETATION_LABELS

pytestmark = pytest.mark.slow(10)


def content(reference: Path, name: str = "tiny_finetuned_legacykeys.pt") -> dict[str, Any]:
    loaded = torch.load(reference / name, weights_only=True)
    assert isinstance(loaded, dict)
    return loaded


def saved(content: dict[str, Any], folder: Path) -> Path:
    torch.save(content, folder / "altered.pt")
    return folder / "altered.pt"


def test_finetuned_file(reference: Path) -> None:
    network = ecgfm.load(reference / "tiny_finetuned.pt")
    assert not network.training
    assert network.labels == tuple(f"label_{index}" for index in range(5))
    assert network.config == EncoderConfig(
        conv_layers=((32, 2, 2),) * 4,
        width=64,
        layers=3,
        ffn_width=128,
        heads=4,
        activation_dropout=0.1,
        feature_grad_mult=0.0,
    )
    source = torch.zeros(3, 12, 2500)
    assert network(source).shape == (3, 5)
    assert network.embed(source).shape == (3, 64)


def test_pretrained_file_has_embeddings_but_no_logits(reference: Path) -> None:
    network = ecgfm.load(reference / "tiny_pretrained.pt")
    assert network.labels == ()
    assert network.embed(torch.zeros(1, 12, 2500)).shape == (1, 64)
    with pytest.raises(NoHead, match="no head"):
        network(torch.zeros(1, 12, 2500))


def test_given_labels_name_the_logits(reference: Path) -> None:
    assert ecgfm.load(reference / "tiny_finetuned.pt", labels=list("abcde")).labels == tuple("abcde")
    with pytest.raises(CheckpointError, match="5 logits, but 2 labels"):
        ecgfm.load(reference / "tiny_finetuned.pt", labels=["a", "b"])


def with_outputs(reference: Path, outputs: int, pos_weight: list[float] | None) -> dict[str, Any]:
    altered = content(reference)
    altered["model"]["proj.weight"] = torch.zeros(outputs, 64)
    altered["model"]["proj.bias"] = torch.arange(float(outputs))
    altered["cfg"]["criterion"] = {"pos_weight": pos_weight}
    return altered


@pytest.mark.parametrize("pos_weight", [None, list(fairseq.PUBLISHED_POS_WEIGHT)])
def test_seventeen_logits_are_the_published_labels_in_logit_order(
    reference: Path, tmp_path: Path, pos_weight: list[float] | None
) -> None:
    network = ecgfm.load(saved(with_outputs(reference, 17, pos_weight), tmp_path))
    assert network.specs == (INTERPRETATION,)
    assert network.labels[0] == "Poor data quality"
    assert network.labels[4] == "Ventricular tachycardia"
    assert network.labels[16] == "Electronic pacemaker"


def test_seventeen_logits_of_other_labels_are_not_given_the_published_names(reference: Path, tmp_path: Path) -> None:
    network = ecgfm.load(saved(with_outputs(reference, 17, [1.0] * 17), tmp_path))
    assert network.labels[0] == "label_0"


def test_published_aggregation_is_by_name() -> None:
    by_max = {label for label, how in INTERPRETATION.aggregation.items() if how == "max"}
    assert by_max == {
        "Poor data quality",
        "Premature ventricular contraction",
        "Ventricular tachycardia",
        "Supraventricular tachycardia with aberrancy",
        "Electronic pacemaker",
    }
    assert len(INTERPRETATION_LABELS) == 17


class Evil:
    """Its pickle creates a file when it is executed."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {shlex.quote(str(self.target))}",)


@pytest.mark.parametrize("place", ["cfg", "model", "extra_state"])
def test_malicious_pickle_is_refused_and_nothing_runs(reference: Path, tmp_path: Path, place: str) -> None:
    altered = content(reference)
    altered[place] = {"weight": Evil(tmp_path / "owned")}
    file = saved(altered, tmp_path)
    with pytest.raises(UnsafeCheckpoint, match=r"posix\.system.*Nothing was executed"):
        ecgfm.load(file)
    assert not (tmp_path / "owned").exists()
    pickle.loads(pickle.dumps(Evil(tmp_path / "owned")))
    assert (tmp_path / "owned").exists(), "the same payload does run where it is unpickled unsafely"


def test_bare_malicious_pickle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bare.pt"
    file.write_bytes(pickle.dumps(Evil(tmp_path / "owned")))
    with pytest.raises(CheckpointError):
        ecgfm.load(file)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file(reference: Path, tmp_path: Path, share: float) -> None:
    whole = (reference / "tiny_finetuned.pt").read_bytes()
    file = tmp_path / "cut.pt"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"cut\.pt is not a readable torch checkpoint"):
        ecgfm.load(file)


def test_text_file(tmp_path: Path) -> None:
    file = tmp_path / "notes.pt"
    file.write_text("not a model")
    with pytest.raises(CheckpointError, match="not a readable torch checkpoint"):
        ecgfm.load(file)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        ecgfm.load(tmp_path / "nowhere.pt")


def test_other_torch_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no `model` dictionary"):
        ecgfm.load(saved({"weights": torch.zeros(3)}, tmp_path))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("encoder.encoder.layers.1.fc2.weight", (64, 64)),
        ("encoder.layer_norm.weight", (31,)),
        ("proj.bias", (4,)),
        ("encoder.feature_extractor.conv_layers.0.0.weight", (32, 12, 3)),
    ],
)
def test_wrong_shape(reference: Path, tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    altered = content(reference)
    altered["model"][name] = torch.zeros(shape)
    with pytest.raises(CheckpointError, match=r"has shape|does not fit"):
        ecgfm.load(saved(altered, tmp_path))


def test_missing_and_unknown_tensors(reference: Path, tmp_path: Path) -> None:
    altered = content(reference)
    del altered["model"]["encoder.encoder.layers.1.fc1.bias"]
    with pytest.raises(CheckpointError, match=r"missing \['encoder\.encoder\.layers\.1\.fc1\.bias"):
        ecgfm.load(saved(altered, tmp_path))
    altered = content(reference)
    altered["model"]["encoder.adapter.weight"] = torch.zeros(2)
    with pytest.raises(CheckpointError, match=r"unknown \['encoder\.adapter\.weight"):
        ecgfm.load(saved(altered, tmp_path))


@pytest.mark.parametrize("field", ["encoder_attention_heads", "layer_norm_first"])
def test_heads_and_norm_placement_are_never_guessed(reference: Path, tmp_path: Path, field: str) -> None:
    altered = content(reference)
    del altered["cfg"]["model"][field]
    file = saved(altered, tmp_path)
    with pytest.raises(UnknownArchitecture, match=field):
        ecgfm.load(file)
    assert ecgfm.load(file, heads=4, pre_norm=False).config.heads == 4


def test_configuration_of_another_network_is_not_believed(reference: Path, tmp_path: Path) -> None:
    altered = content(reference)
    altered["cfg"]["model"] |= {"encoder_layers": 24, "encoder_embed_dim": 1024}
    file = saved(altered, tmp_path)
    with pytest.raises(UnknownArchitecture, match=r"encoder_layers 24 \(tensors: 3\)"):
        ecgfm.load(file)
    assert ecgfm.load(file, heads=4, pre_norm=False).config.layers == 3


def test_file_without_configuration(reference: Path, tmp_path: Path) -> None:
    altered = content(reference)
    altered["cfg"] = None
    with pytest.raises(UnknownArchitecture, match=r"no `cfg\.model`"):
        ecgfm.load(saved(altered, tmp_path))


def test_masking_embedding_in_a_classifier_is_left_out(reference: Path, tmp_path: Path) -> None:
    altered = content(reference)
    altered["model"]["encoder.mask_emb"] = torch.zeros(64)
    assert ecgfm.load(saved(altered, tmp_path)).labels


def test_numpy_values_and_old_configuration_classes(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older forks pickle omegaconf containers, and validation meters keep numpy values."""
    dictconfig = ModuleType("omegaconf.dictconfig")
    nodes = ModuleType("omegaconf.nodes")
    DictConfig = type("DictConfig", (), {"__module__": "omegaconf.dictconfig"})
    AnyNode = type("AnyNode", (), {"__module__": "omegaconf.nodes"})
    dictconfig.DictConfig, nodes.AnyNode = DictConfig, AnyNode  # type: ignore[attr-defined]  # a module made here
    for name, module in (
        ("omegaconf", ModuleType("omegaconf")),
        (dictconfig.__name__, dictconfig),
        (nodes.__name__, nodes),
    ):
        monkeypatch.setitem(sys.modules, name, module)

    def wrap(value: Any) -> Any:
        container, state = (DictConfig, "_content") if isinstance(value, dict) else (AnyNode, "_val")
        node = container()
        inner = {key: wrap(entry) for key, entry in value.items()} if isinstance(value, dict) else value
        node.__dict__.update({state: inner, "_metadata": None})
        return node

    altered = content(reference)
    altered["cfg"] = wrap(altered["cfg"])
    altered["args"] = argparse.Namespace(seed=1)
    altered["extra_state"] = {
        "best": np.float64(0.5),
        "val_loss": np.float32(1),
        "auc": np.arange(3.0),
        "count": np.int64(3),
        "kind": np.dtype("f4"),
    }
    file = saved(altered, tmp_path)
    for name in ("omegaconf", "omegaconf.dictconfig", "omegaconf.nodes"):
        monkeypatch.delitem(sys.modules, name)
    network = ecgfm.load(file)
    assert "omegaconf" not in sys.modules
    source = torch.randn(1, 12, 2500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(source), ecgfm.load(reference / "tiny_finetuned.pt")(source))


def test_numpy_values_under_the_old_module_name(reference: Path, tmp_path: Path) -> None:
    """numpy 1 pickled its scalars as numpy.core.multiarray.scalar."""
    altered = content(reference)
    altered["extra_state"] = {"best": np.float64(0.5)}
    file = saved(altered, tmp_path)
    renamed = tmp_path / "numpy1.pt"
    rewrite_pickle(file, renamed, b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert ecgfm.load(renamed).labels


def rewrite_pickle(file: Path, target: Path, old: bytes, new: bytes) -> None:
    """Replace a module name in a checkpoint's pickle, in a zip of the same layout."""
    reader, writer = torch._C.PyTorchFileReader(str(file)), torch._C.PyTorchFileWriter(str(target))
    for name in reader.get_all_records():
        record = reader.get_record(name)
        if name == "data.pkl":
            assert old in record
            record = record.replace(old, new)
        if not name.startswith((".data/", "version", "byteorder")):
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()


def test_optimiser_state_is_not_read(reference: Path, tmp_path: Path) -> None:
    """Its bytes may be anything: overwrite all of them and the logits stay."""
    original = content(reference, "tiny_finetuned.pt")
    for state in original["last_optimizer_state"]["state"].values():
        state["exp_avg"] = torch.full_like(state["exp_avg"], torch.nan)
    source = torch.randn(1, 12, 2500, generator=torch.Generator().manual_seed(0))
    found = ecgfm.load(saved(original, tmp_path))(source)
    assert torch.equal(found, ecgfm.load(reference / "tiny_finetuned.pt")(source))


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("[(256, 2, 2)] * 4", ((256, 2, 2),) * 4),
        ("[(512, 10, 5)] + [(512, 3, 2)] * 2 + [(512,2,2)]", ((512, 10, 5), (512, 3, 2), (512, 3, 2), (512, 2, 2))),
        ("[[8, 2, 2]]", ((8, 2, 2),)),
    ],
)
def test_convolution_stack_text(text: str, layers: tuple[tuple[int, int, int], ...]) -> None:
    assert parse_conv_layers(text) == layers


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "[(256, 2, 2)] * 4000000000",
        "[(256, 2)]",
        "[(0, 2, 2)]",
        "[]",
        "256",
        "[(256, 2, 2)",
        "[(256, 2, 2)] * True",
        "[(256, 2, x)]",
    ],
)
def test_hostile_convolution_stack_text(text: str) -> None:
    with pytest.raises(UnknownArchitecture):
        parse_conv_layers(text)


def test_import_of_the_package_loads_no_torch() -> None:
    code = "import sys, ecgfm; assert 'torch' not in sys.modules; ecgfm.load; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loading_stays_clear_of_the_compiler(reference: Path) -> None:
    """torch's compiler costs seconds and hundreds of megabytes to import; nothing about loading needs it."""
    code = (
        "import sys, ecgfm; ecgfm.load(sys.argv[1]); "
        "assert not {'sympy', 'torch._dynamo', 'torch._inductor'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(reference / "tiny_finetuned.pt")], check=True)
