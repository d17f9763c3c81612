"""Pretraining and looking at encoders: `pretrain`, `model probe`, `model map`, `model from-checkpoint`."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from ecgfm_clinical.cli.common import (
    DEFAULT_SETTINGS,
    JsonOption,
    SettingsOption,
    console,
    progress_console,
    say,
    will_write,
    write_json,
)
from ecgfm_clinical.cli.signs import alarmed
from ecgfm_clinical.extras import need

if TYPE_CHECKING:
    from ecgfm.finetuning.probe import LabelProbe
    from ecgfm.metrics import Interval
    from ecgfm.pretraining.figures import Progress
    from ecgfm.pretraining.recipe import Recipe
    from ecgfm.pretraining.shards import ShardSet
    from ecgfm.recording_files import Source

RecordingsOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of WFDB, .mat, .npz or .hdf5 recordings, searched with its sub-folders."),
]
LabelsOption = Annotated[
    Path,
    typer.Option(
        "--labels", help="CSV: `recording`, optionally `patient`, then one column of 0, 1 or nothing a label."
    ),
]


class ProjectionChoice(StrEnum):
    """How embeddings are laid on two axes."""

    pca = "pca"
    umap = "umap"


EncoderArgument = Annotated[Path, typer.Argument(help="Bundle folder, or a fairseq-signals .pt file.")]


def pretrain(
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", help="TOML file, or one that ships: ecg-fm-base-released, ecg-fm-base-paper, small, demo."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run: checkpoints, metrics.csv.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", help="Folder of WFDB, .mat, .npz or .hdf5 recordings, with its sub-folders; may be repeated."
        ),
    ] = None,
    from_store: Annotated[bool, typer.Option("--from-store", help="Take the recordings of the staging store.")] = False,
    shards: Annotated[
        Path | None, typer.Option("--shards", help="Where the prepared segments are kept; OUT/shards if not given.")
    ] = None,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Write the shards and stop.")] = False,
    workers: Annotated[int, typer.Option("--workers", help="Processes that prepare, and that read ahead.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    fsdp: Annotated[
        bool, typer.Option("--fsdp", help="Under torchrun, shard weights and moments over the processes.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves to OUT/tensorboard as well.")
    ] = False,
    max_updates: Annotated[int | None, typer.Option("--max-updates", help="Stop after so many updates.")] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Write the encoder as a bundle here at the end.")
    ] = None,
    settings: SettingsOption = None,
) -> None:
    """Pretrain an encoder by RECIPE: wav2vec 2.0, CMSC and random lead masking.

    Started again with the same OUT it goes on where it stopped. On several GPUs:
    `torchrun --no-python --nproc-per-node 4 ecgfm-clinical pretrain …`, after `--prepare-only`.
    """
    need("train", "pretraining")
    from ecgfm.pretraining.machine import Machine
    from ecgfm.pretraining.recipe import Recipe
    from ecgfm.pretraining.run import pretrain as train
    from ecgfm_clinical.errors import InputError

    if bundle is not None and bundle.exists():  # told now, not after days of training
        raise InputError(f"{bundle} exists already; a bundle is never overwritten, name another folder")
    chosen = Recipe.named(recipe)
    machine = Machine.from_environment(
        os.environ, accelerator=device, workers=workers, fsdp=fsdp, tensorboard=tensorboard
    )
    source = _source(chosen, data, from_store, settings)
    segments = _shards(chosen, shards or out / "shards", source, max(workers, 1), alone=machine.processes == 1)
    if prepare_only:
        return
    with _sigterm() as stop, alarmed() as gets_on:

        def report(news: "Progress") -> None:
            gets_on()
            _report(news)

        last = train(chosen, segments, out, machine=machine, max_updates=max_updates, report=report, stop=stop)
        if stop():
            say(f"stopped, {last} is kept; start the same command again to go on")
        elif bundle is not None and os.environ.get("RANK", "0") == "0":
            _write_bundle(last, bundle)


def from_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="OUT/checkpoints/update-….pt of a pretraining run.")],
    bundle: Annotated[Path | None, typer.Option("--bundle", help="New bundle folder.")] = None,
    fairseq: Annotated[
        Path | None, typer.Option("--fairseq", help="New .pt file in the layout of fairseq-signals.")
    ] = None,
) -> None:
    """Write a pretrained encoder as a bundle, or as a file that fairseq-signals loads."""
    from ecgfm.fairseq.exporting import write_reference_checkpoint

    if bundle is None and fairseq is None:
        raise typer.BadParameter("say where to: --bundle FOLDER, --fairseq FILE, or both")
    will_write(fairseq)
    if bundle is not None:
        _write_bundle(checkpoint, bundle)
    if fairseq is not None:
        write_reference_checkpoint(checkpoint, fairseq)
        say(f"wrote {fairseq}")


def probe(
    encoder: EncoderArgument,
    labels: LabelsOption,
    data: RecordingsOption = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Of the folds, the bootstrap and the random encoder.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Fit a linear probe for each label on the frozen ENCODER, beside a random encoder of the same size.

    Five folds by patient; intervals are 95 %, by drawing patients again 1000 times.
    """
    need("train", "probing an encoder")
    from ecgfm.finetuning.probe import LabelTable, embed_recordings, random_twin
    from ecgfm.finetuning.probe import probe as probe_labels
    from ecgfm.loading import load

    network = load(encoder)
    table = LabelTable.read(labels)
    with _Bar("embedding") as bar:
        embedded = embed_recordings(
            [network, random_twin(network, seed=seed)], _folder(data, labels), table, device=device, progress=bar
        )
    probed, skipped = probe_labels(embedded, seed=seed)
    if as_json:
        write_json(
            {
                "encoder": str(encoder),
                "recordings": len(embedded.table.keys),
                "left_out": embedded.left_out,
                "labels": [found.to_json() for found in probed],
                "skipped": skipped,
            }
        )
        return
    _print_probe(probed, skipped, len(embedded.table.keys), len(embedded.left_out))


def embedding_map(
    encoder: EncoderArgument,
    labels: LabelsOption,
    out: Annotated[Path, typer.Option("--out", help="Picture to write: .png, .svg or .html.")],
    data: RecordingsOption = None,
    colour: Annotated[
        str | None, typer.Option("--colour", help="Label that colours the points; the first if not given.")
    ] = None,
    method: Annotated[
        ProjectionChoice, typer.Option("--method", help="umap needs the extra umap.")
    ] = ProjectionChoice.pca,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Draw the recordings as ENCODER sees them, on two axes."""
    need("train", "a map of embeddings")
    from ecgfm.finetuning.probe import LabelTable, embed_recordings, project
    from ecgfm.loading import load
    from ecgfm_clinical.files.embedding_map import SUFFIXES, draw

    will_write(out, *SUFFIXES)
    if method is ProjectionChoice.umap:
        need("umap", "--method umap")
    table = LabelTable.read(labels)
    label = colour or table.labels[0]
    if label not in table.labels:
        raise typer.BadParameter(f"{labels} has no column {label!r}; it has {', '.join(table.labels)}")
    with _Bar("embedding") as bar:
        embedded = embed_recordings([load(encoder)], _folder(data, labels), table, device=device, progress=bar)
    places = project(embedded.embeddings[0], method=method.value)
    values = embedded.table.values[:, table.labels.index(label)]
    draw(
        places,
        values,
        label=label,
        title=f"{encoder.name}: {method.value.upper()} of {len(places)} recordings",
        path=out,
    )
    say(f"wrote {out}; {len(embedded.left_out)} recordings left out")


def _source(recipe: "Recipe", data: list[Path] | None, from_store: bool, settings: Path | None) -> "Source | None":
    from ecgfm.recording_files import JoinedSource, RecordingFolder

    if from_store and data:
        raise typer.BadParameter("give --data or --from-store, not both")
    if from_store:
        from ecgfm_clinical import wiring
        from ecgfm_clinical.learning.staged_recordings import StagedRecordings

        return StagedRecordings(settings=settings or DEFAULT_SETTINGS, open_store=wiring.open_store_at)
    patients, derive = recipe.data.patients, recipe.data.derive_limb_leads
    folders = [RecordingFolder(root=root, patients=patients, derive_limb_leads=derive) for root in data or ()]
    if len(folders) > 1:
        return JoinedSource(sources=tuple((f"data{number}", folder) for number, folder in enumerate(folders, 1)))
    return folders[0] if folders else None


def _folder(data: Path | None, labels: Path) -> "Source":
    """The recordings named in a label table; they lie beside it if not said otherwise."""
    from ecgfm.recording_files import RecordingFolder

    return RecordingFolder(root=data or labels.parent, derive_limb_leads=True)


def _shards(recipe: "Recipe", folder: Path, source: "Source | None", workers: int, *, alone: bool) -> "ShardSet":
    """The prepared segments; made, or brought up to date, where recordings are given."""
    from ecgfm.pretraining.shards import PrepareSettings, ShardSet, prepare_shards

    if source is None or not alone:  # under torchrun all processes would write the same files: prepare before
        return ShardSet.open(folder)
    settings = PrepareSettings(
        dtype=recipe.data.dtype,
        recordings_per_shard=recipe.data.recordings_per_shard,
        max_unreadable=recipe.data.max_unreadable,
        workers=workers,
    )
    with _Bar("preparing") as bar:
        made = prepare_shards(source, folder, settings, bar)
    told = made.manifest
    left_out = "".join(f", {count} left out ({reason})" for reason, count in told.excluded.items())
    progress_console().print(
        f"{folder}: {told.used} of {told.recordings} recordings, {told.rows} segments, {told.unreadable} unreadable"
        f"{left_out}; each is listed in the shard's .json"
    )
    return made


def _write_bundle(checkpoint: Path, folder: Path) -> None:
    from ecgfm.fairseq.exporting import write_bundle

    written = write_bundle(checkpoint, folder, version="1", demo=False, notes={"checkpoint": checkpoint.name})
    say(f"wrote {folder}: model {written.model_id[:12]}, an encoder without heads")


def _report(news: "Progress") -> None:
    values = news.metrics
    progress_console().print(
        f"{news.split} update {news.update}/{news.updates} epoch {news.epoch}: loss {values['loss']:.3f} "
        f"(contrastive {values['contrastive']:.3f}, CMSC {values['cmsc']:.3f}), accuracy {values['accuracy']:.1%}, "
        f"codes {values['code_perplexity']:.0f}, {values['pairs_per_second']:.1f} pairs/s on {news.device}"
    )


@contextmanager
def _sigterm() -> "Iterator[Callable[[], bool]]":
    """A function that says whether SIGTERM has come: the run then ends with a checkpoint."""
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_probe(probed: "Iterable[LabelProbe]", skipped: dict[str, str], recordings: int, left_out: int) -> None:
    from rich.table import Table

    table = Table("label", "positives", "AUROC", "random encoder", "difference", "AUPRC")
    for found in probed:
        table.add_row(
            found.label,
            f"{found.positives} of {found.recordings}",
            _interval(found.auroc),
            _interval(found.random_auroc),
            _interval(found.difference) + (" *" if found.beats_random else ""),
            _interval(found.auprc),
        )
    console().print(table)
    say(f"{recordings} recordings, {left_out} left out; * = better than random weights (95 % interval above 0)")
    for label, why in skipped.items():
        say(f"{label} not probed: {why}")


def _interval(found: "Interval") -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


class _Bar:
    """A progress bar on standard error that is told (done, total)."""

    def __init__(self, what: str) -> None:
        from rich.progress import Progress

        self._progress = Progress(console=progress_console(), transient=True)
        self._task = self._progress.add_task(what, total=None)
        self._closing = ExitStack()
        self._gets_on: Callable[[], None] = lambda: None

    def __call__(self, done: int, total: int) -> None:
        self._gets_on()
        self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> Self:
        self._gets_on = self._closing.enter_context(alarmed())
        self._closing.enter_context(self._progress)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()
