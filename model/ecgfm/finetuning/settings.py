"""Settings of fine-tuning a head; the defaults are those of the released ECG-FM classifier."""

from dataclasses import dataclass
from typing import Literal

from ecgfm.training.team import Precision

Method = Literal["linear", "full", "lora"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """Settings of full and low-rank fine-tuning; the defaults are those of the released ECG-FM classifier.

    Raises ValueError where they contradict each other.
    """

    method: Literal["full", "lora"] = "full"
    learning_rate: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.0
    batch_size: int = 256  #: segments an update
    micro_batch: int = 32  #: segments at once on one device; gradients are accumulated up to `batch_size`
    max_epochs: int = 40
    patience: int | None = None  #: epochs without a better validation AUPRC before stopping; None runs them all
    activation_dropout: float = 0.1
    weigh_positives: bool = True  #: pos_weight = negatives / positives of the training segments, per label
    precision: Precision = "32-true"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1  #: a machine; more than one: data parallel, started by torchrun
    nodes: int = 1  #: machines
    rank: int = 8  #: of the adapters
    alpha: float = 16.0  #: of the adapters: their update is scaled by alpha / rank
    seed: int = 1
    checkpoint_every: int = 200  #: updates; besides, at the end of each epoch

    def __post_init__(self) -> None:
        counts = (self.batch_size, self.micro_batch, self.max_epochs, self.rank, self.devices, self.nodes)
        if min(*counts, self.checkpoint_every) < 1:
            raise ValueError("batch sizes, epochs, rank, devices, nodes and updates between checkpoints are at least 1")
        if self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch {self.micro_batch} is larger than batch_size {self.batch_size}")


#: What low-rank adapters need instead of the published settings: there are few weights and they start at nothing.
LOW_RANK = FineTuning(method="lora", learning_rate=1e-3, batch_size=64, max_epochs=20, patience=4)
