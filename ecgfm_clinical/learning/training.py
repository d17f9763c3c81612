"""How a head is trained, wherever its ECGs come from:
a linear probe on kept embeddings, or fine-tuning of the encoder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ecgfm.finetuning.candidate import Place
from ecgfm.finetuning.dataset import Reader
from ecgfm.finetuning.embedding import embed
from ecgfm.finetuning.linear import PENALTIES, train_linear
from ecgfm.finetuning.settings import FineTuning, Method
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.train import fine_tune, launch
from ecgfm.finetuning.trained import Trained
from ecgfm.heads import INTERPRETATION, HeadSpec
from ecgfm.network import EcgFm
from ecgfm.training.team import Team
from ecgfm_clinical.errors import InputError

Progress = Callable[[str, int, int], None]  #: (what, done, in all)


def quiet(what: str, done: int, total: int) -> None:
    """No progress shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The method and its settings."""

    method: Method = "linear"
    fine_tuning: FineTuning = field(default_factory=FineTuning)  #: not used by a linear probe
    penalties: tuple[float, ...] = PENALTIES  #: inverse strengths that a linear probe tries

    def team(self) -> Team | None:
        """The processes that torchrun started, met; None for a linear probe, which one process fits.

        Raises InputError where several were started for nothing, and as `ecgfm.finetuning.train.launch`.
        """
        if self.method != "linear":
            return launch(self.fine_tuning)
        if self.fine_tuning.devices * self.fine_tuning.nodes > 1:
            raise InputError("a linear probe is fitted by one process; start it without torchrun and --devices")
        return None

    def train(
        self,
        network: EcgFm,
        spec: HeadSpec,
        split: Split,
        read: Reader,
        place: Place,
        *,
        folder: Path,
        team: Team | None = None,
        progress: Progress = quiet,
    ) -> Trained:
        """A head on this network. `folder` keeps what fine-tuning needs to go on after a kill. Raises TrainingError."""
        if self.method == "linear":
            return probe(network, spec, split, read, place, progress, penalties=self.penalties)
        return fine_tune(
            network,
            spec,
            split,
            read,
            replace(self.fine_tuning, method=self.method),
            folder=folder,
            team=team,
            progress=lambda done, total, text: progress(f"training, {text}", done, total),
        )

    def as_chosen(self, trained: Trained) -> "Training":
        """The same recipe with what this training of it chose: its one penalty, or as many epochs as were best."""
        if self.method == "linear":
            return replace(self, penalties=(float(str(trained.record["penalty_c"])),))
        epochs = int(str(trained.record["best_epoch"]))
        return replace(self, fine_tuning=replace(self.fine_tuning, max_epochs=epochs, patience=None))


def probe(
    network: EcgFm,
    spec: HeadSpec,
    split: Split,
    read: Reader,
    place: Place,
    progress: Progress = quiet,
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Trained:
    """A linear head on embeddings, which are kept in `place`. Raises TrainingError."""
    rows = [
        embed(network, part, read, cache=place.cache, device=place.device, progress=place.progress)
        for part in (split.train, split.validation)
    ]
    progress("fitting", 0, 1)
    return train_linear(network, spec, split, (rows[0], rows[1]), penalties=penalties)


def head_spec(head: str, labels: tuple[str, ...], target: str) -> HeadSpec:
    """A head of these labels; the interpretation labels keep their own aggregation, all others are averaged."""
    how = INTERPRETATION.aggregation if head == INTERPRETATION.name else {}
    return HeadSpec(
        name=head, labels=labels, target=target, aggregation={label: how.get(label, "mean") for label in labels}
    )
