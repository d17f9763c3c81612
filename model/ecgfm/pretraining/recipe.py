"""A pretraining recipe: one TOML file with every number of a run, read into frozen values and checked.

A recipe says nothing of the machine. An update consists of `micro_batches_per_update` micro-batches of
`pairs_per_micro_batch` segment pairs; how many processes share them does not change the result.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, TypeVar  # Any: TOML and JSON of a recipe

from ecgfm.config import EncoderConfig
from ecgfm.errors import EcgFmError, RecipeError
from ecgfm.pretraining.augment import Augmentations, read_augmentations
from ecgfm.pretraining.masking import SpanMasking
from ecgfm.pretraining.objective import ObjectiveConfig

T = TypeVar("T")
Precision: TypeAlias = Literal["32-true", "bf16-mixed"]

#: The recipes that come with the package, one file each: NAME.toml.
SHIPPED = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """Which segments make a pair, and how the shards are made."""

    pairing: Literal["record", "patient"] = "record"  #: record is the reference: segments 0 and 1 of one recording
    validation: float = 0.0  #: share of patients (of recordings, where patients are unknown) kept out of training
    derive_limb_leads: bool = False  #: take 8-lead recordings in; the reference leaves them out
    patients: str = "unknown"  #: `unknown`, `folder`, or a CSV file with columns recording and patient
    dtype: Literal["float32", "float16"] = "float32"
    recordings_per_shard: int = 512
    max_unreadable: float = 0.05  #: share of recordings

    def __post_init__(self) -> None:
        if self.pairing not in ("record", "patient"):
            raise ValueError(f"pairing must be record or patient, not {self.pairing!r}")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation is a share of the patients, not {self.validation}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserRecipe:
    """Adam as in the reference.

    `learning_rate` holds from the first epoch on, or until the next `[[schedule]]` step.
    """

    learning_rate: float = 5e-5
    warm_up_updates: int = 0  #: linear from 0
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    clip_norm: float = 0.0  #: 0 = off


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStep:
    """From this epoch on (counted from 1) the learning rate is `learning_rate`."""

    from_epoch: int
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """How long, in what precision, and how often the run is looked at and saved.

    Intervals are in updates; 0 = never.
    """

    epochs: int
    pairs_per_micro_batch: int
    micro_batches_per_update: int = 1
    seed: int = 1
    precision: Precision = "32-true"
    compile: bool = False
    log_every: int = 10
    validate_every: int = 0
    checkpoint_every: int = 1000
    keep_checkpoints: int = 3

    def __post_init__(self) -> None:
        if min(self.epochs, self.pairs_per_micro_batch, self.micro_batches_per_update, self.keep_checkpoints) < 1:
            raise ValueError(
                "epochs, pairs_per_micro_batch, micro_batches_per_update and keep_checkpoints are at least 1"
            )
        if self.precision not in ("32-true", "bf16-mixed"):
            raise ValueError(f"precision must be 32-true or bf16-mixed, not {self.precision!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the weights that come out, besides the data."""

    name: str
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augmentations: Augmentations = field(default_factory=Augmentations)
    data: DataRecipe = field(default_factory=DataRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: tuple[ScheduleStep, ...] = ()
    training: TrainingRecipe

    def learning_rate(self, update: int, epoch: int) -> float:
        """For the update counted from 0 in the epoch counted from 1."""
        rate = self.optimiser.learning_rate
        for step in self.schedule:
            if epoch >= step.from_epoch:
                rate = step.learning_rate
        warm_up = self.optimiser.warm_up_updates
        return rate * min(1.0, (update + 1) / warm_up) if warm_up else rate

    def to_json(self) -> dict[str, Any]:
        """Plain values for a checkpoint and for a bundle's provenance."""
        values = asdict(self)
        values["augmentations"] = [{"name": step.name, **asdict(step)} for step in self.augmentations.steps]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        tables = dict(values)
        tables["augmentation"] = tables.pop("augmentations")
        return cls.from_tables(tables)

    def identity(self) -> dict[str, Any]:
        """The part of `to_json` that a resumed run must share:
        not its length, its name or how often it is looked at.
        """
        values = self.to_json()
        del values["name"], values["schedule"]
        for setting in ("epochs", "log_every", "validate_every", "checkpoint_every", "keep_checkpoints"):
            del values["training"][setting]
        for setting in ("recordings_per_shard", "max_unreadable", "patients", "derive_limb_leads", "dtype"):
            del values["data"][setting]  # the shards' own digest stands for these
        return values

    @classmethod
    def named(cls, name: str) -> Self:
        """A recipe that comes with the package, by its name, or one of the user's own, by the path of its file.

        Raises `RecipeError` where it is neither, or as `read` does.
        """
        path = Path(name)
        if path.is_file():
            return cls.read(path)
        shipped = {own.stem: own for own in sorted(SHIPPED.glob("*.toml"))}
        if name in shipped:
            return cls.read(shipped[name])
        raise RecipeError(f"{name} is no recipe file; the recipes that come with the program are {', '.join(shipped)}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `RecipeError` with the file, the table and the setting."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} is not TOML: {error}") from error
        try:
            return cls.from_tables(content)
        except (ValueError, TypeError, EcgFmError) as error:
            raise RecipeError(f"{path}: {error}") from error

    @classmethod
    def from_tables(cls, content: Mapping[str, Any]) -> Self:
        """The tables of a recipe file; raises `ValueError` on anything unknown, missing or contradictory."""
        tables = dict(content)
        name = tables.pop("name", None)
        if not isinstance(name, str) or not name:
            raise ValueError("a recipe needs a name")
        encoder = dict(tables.pop("encoder", {}))
        if "conv_layers" in encoder:
            encoder["conv_layers"] = tuple(tuple(layer) for layer in encoder["conv_layers"])
        objective = dict(tables.pop("objective", {}))
        masking = _table(SpanMasking, "objective.masking", objective.pop("masking", {}))
        recipe = cls(
            name=name,
            encoder=_table(EncoderConfig, "encoder", encoder),
            objective=_table(ObjectiveConfig, "objective", {**objective, "masking": masking}),
            augmentations=read_augmentations(tables.pop("augmentation", [{"name": "random_lead_masking"}])),
            data=_table(DataRecipe, "data", tables.pop("data", {})),
            optimiser=_table(OptimiserRecipe, "optimiser", tables.pop("optimiser", {})),
            schedule=tuple(_table(ScheduleStep, "schedule", step) for step in tables.pop("schedule", [])),
            training=_table(TrainingRecipe, "training", tables.pop("training", {})),
        )
        if tables:
            raise ValueError(f"unknown table or setting {min(tables)!r}")
        return recipe


def _table(kind: type[T], name: str, content: Any) -> T:
    """One table as its dataclass; a setting of the wrong type or name is refused with the table's name."""
    if not isinstance(content, Mapping):
        raise TypeError(f"[{name}] must be a table")
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise ValueError(f"[{name}] has no setting {unknown[0]!r}; it has {', '.join(known)}")
    settings = dict(content)
    for setting, value in content.items():
        expected = known[setting].type
        if expected is float and type(value) is int:
            settings[setting] = float(value)
        elif expected in (int, float, bool, str) and type(value) is not expected:
            raise TypeError(f"[{name}] {setting} must be {expected.__name__}, not {value!r}")
    missing = [entry.name for entry in known.values() if _required(entry) and entry.name not in settings]
    if missing:
        raise ValueError(f"[{name}] needs {', '.join(missing)}")
    try:
        return kind(**settings)
    except (ValueError, EcgFmError) as error:
        raise ValueError(f"[{name}] {error}") from error


def _required(entry: Any) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING
