"""The checkpoint of a fine-tuning run: what it holds, and which run may go on from it."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self  # Any: torch's states

from torch import Tensor

from ecgfm.errors import TrainingError
from ecgfm.finetuning.settings import FineTuning
from ecgfm.finetuning.split import Split
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm.training.checkpoints import read_checkpoint, write_checkpoint

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A run after `updates` optimiser steps, whole."""

    identity: str  #: of the run, by `run_identity`
    epoch: int  #: epochs that are done
    update_in_epoch: int  #: updates that are done of the epoch that follows
    updates: int
    best_auprc: float  #: -1 before the first validation
    best_epoch: int  #: counted from 0; -1 before the first validation
    best_state: dict[str, Tensor]  #: the network of that epoch
    network: dict[str, Tensor]
    optimiser: dict[str, Any]  #: as `torch.optim.Optimizer.state_dict` gives it
    precision: dict[str, Any]  #: of 16-mixed: the loss scale and when it grows

    def write(self, folder: Path) -> None:
        """Whole and on disk, or the file before stays; raises TrainingError where the disk does not take it."""
        write_checkpoint(folder / CHECKPOINT, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises TrainingError."""
        names = [field.name for field in fields(cls)]
        remedy = "remove it to start this run from the beginning"
        state = read_checkpoint(path, names=frozenset(names), remedy=remedy)
        return cls(**{name: state[name] for name in names})


def checkpoint_to_go_on_from(folder: Path, identity: str) -> Checkpoint | None:
    """The folder's checkpoint; None where there is none.

    Raises TrainingError where it cannot be read, or is of a run of another identity.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    found = Checkpoint.read(path)
    if found.identity != identity:
        raise TrainingError(
            f"{folder} holds a run with other ECGs, settings or another base model; name another folder, or remove it"
        )
    return found


def run_identity(base: EcgFm, spec: HeadSpec, split: Split, settings: FineTuning) -> str:
    """Digest of everything that decides how a run ends; a checkpoint of another identity is never continued.

    How and where it is computed is left out: going on elsewhere is allowed, exactness then is not promised.
    """
    elsewhere = ("device", "devices", "nodes", "micro_batch", "precision", "checkpoint_every")
    told = {name: value for name, value in asdict(settings).items() if name not in elsewhere}
    told["head"] = spec.to_json()
    told["examples"] = [
        [(one.key, one.patient, [str(label) for label in one.labels]) for one in part]
        for part in (split.train, split.validation)
    ]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, tensor in sorted(base.encoder.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
