"""For researchers, without a store: `predict`, `embed`, `explain`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, say, will_write

if TYPE_CHECKING:
    from ecgfm_clinical.cli.streaming import Run
    from ecgfm_clinical.files.explaining import Pictures
    from ecgfm_clinical.files.outputs import Output

WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Processes that read and prepare; as many as there are cores if not given, 0 for none besides this."
    ),
]
ModelOption = Annotated[str, typer.Option(help="Folder of a model bundle; `demo` is the one that ships.")]
RuntimeOption = Annotated[str | None, typer.Option(help="torch, onnx or openvino; as in the settings if not given.")]
DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N; as in the settings if not given.")]
GlobOption = Annotated[str, typer.Option("--glob", help="In folders, only files whose name fits, such as '*.dcm'.")]


def predict(
    files: Annotated[list[Path], typer.Argument(help="ECG files, or folders that are searched for them.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File that grows as answers come: .jsonl, .csv or .parquet; a repeat completes it."),
    ] = None,
    model: ModelOption = "demo",
    runtime: RuntimeOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = None,
    glob: GlobOption = "*",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score files without a store: per file every head's probability and logit, its segments and the model's digest.

    Quality findings stand beside the numbers and do not replace them. Stopped by Ctrl-C or SIGTERM it leaves what it
    had, and the same command with the same --out goes on from there. Exits with 1 where a file could not be read, with
    128 + the signal where it was stopped.
    """
    from ecgfm_clinical.cli.streaming import Run
    from ecgfm_clinical.files import answers, outputs, streaming, tables

    with Run(files, out, suffixes=(".jsonl", ".csv", ".parquet"), glob=glob, settings=settings) as run:
        predictor = run.open(model, runtime=runtime, device=device)
        columns = answers.predicted_columns(predictor.labels)
        if out is None:
            output: outputs.Output = (
                outputs.JsonArray(sys.stdout, answers.predicted_document)
                if as_json
                else outputs.Screen(sys.stdout, answers.text_of)
            )
        elif run.suffix == ".jsonl":
            output = outputs.json_lines(out, answers.predicted_document, run.origin)
        elif run.suffix == ".csv":
            output = tables.csv_table(out, columns, answers.predicted_row, run.origin)
        else:
            output = tables.ParquetTable(out, columns, answers.predicted_row, run.origin, title="predictions/1")
        run.stream(streaming.predictions_of(predictor), output, workers=workers, what="Scoring")
        if out is not None:
            run.say_what_was_written([out], as_json=as_json)
        run.end()


def embed(
    files: Annotated[list[Path], typer.Argument(help="ECG files, or folders that are searched for them.")],
    out: Annotated[
        Path,
        typer.Option(
            help="File that grows as embeddings come: .npy (with a .csv that names its rows), .jsonl, .csv or .parquet."
        ),
    ],
    model: ModelOption = "demo",
    runtime: RuntimeOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = None,
    glob: GlobOption = "*",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write each ECG's pooled embedding: the mean over its 5 s segments of the encoder's output, one row an ECG.

    Of a model with several encoders it is the first one, on which new heads are trained; `model show` lists them.

    Exits with 1 where a file has no embedding; the others are written all the same. Stopped, it goes on as `predict`.
    """
    from ecgfm_clinical.cli.streaming import Run
    from ecgfm_clinical.files import answers, outputs, streaming, tables

    with Run(files, out, suffixes=(".npy", ".jsonl", ".csv", ".parquet"), glob=glob, settings=settings) as run:
        predictor = run.open(model, runtime=runtime, device=device)
        columns = (*answers.EMBEDDED, ("embedding", "vector"))
        width, row = predictor.width, answers.embedded_row
        if run.suffix == ".npy":
            output: outputs.Output = tables.NpyArray(out, row, run.origin, width=width)
        elif run.suffix == ".jsonl":
            output = outputs.json_lines(out, lambda one: answers.embedded_document(one, run.origin), run.origin)
        elif run.suffix == ".csv":
            output = tables.csv_table(out, columns, row, run.origin, width=width)
        else:
            output = tables.ParquetTable(out, columns, row, run.origin, title="embeddings/1", width=width)
        run.stream(
            streaming.embeddings_of(predictor),
            output,
            workers=workers,
            what="Embedding",
            keep=lambda one: one.embedding is not None or (run.suffix == ".jsonl" and bool(one.error)),
        )
        written = [out, out.with_suffix(".csv")] if run.suffix == ".npy" else [out]
        run.say_what_was_written(written, as_json=as_json)
        run.end()


def explain(
    files: Annotated[list[Path], typer.Argument(help="ECG files, or folders that are searched for them.")],
    png: Annotated[
        Path | None,
        typer.Option(
            help="Picture to write, the ECG on paper, shaded where the model looked: NAME.png for one file, else a "
            "folder, where a repeat draws what is missing."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File that grows with the weights of each ECG: .jsonl or .parquet; a repeat completes it."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(help="attention (last layer, as ECG-FM), rollout (over all layers), or gradient (x input)."),
    ] = "attention",
    label: Annotated[
        str | None,
        typer.Option(
            help="Label whose logit the gradient is of, LABEL or 'HEAD LABEL'; of several encoders, also "
            "whose attention."
        ),
    ] = None,
    model: ModelOption = "demo",
    device: DeviceOption = None,
    workers: WorkersOption = None,
    glob: GlobOption = "*",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where in each ECG the model looked: as a picture or as numbers; of a gradient also lead by lead and
    beat by beat. It shows where the output depends on the signal, not why.

    Exits with 1 where a file could not be read; the others are written all the same. Stopped, it goes on as `predict`.
    """
    from ecgfm_clinical.cli.streaming import Run
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.files import explaining

    if (png is None) == (out is None):
        raise InputError("say what is to be written: pictures (--png) or numbers (--out), one of them")
    one = png is not None and png.suffix.lower() == ".png"
    if one:
        will_write(png, ".png")
    with Run(files, out, suffixes=(".jsonl", ".parquet"), glob=glob, settings=settings) as run:
        if one and len(run.files) > 1:
            raise InputError(f"{png} is one picture, and there are {len(run.files)} files; name a folder as --png")
        explainer = run.open_explainer(model, method=method, label=label, device=device)
        pictures = None if png is None else _pictures(png, run, explainer.question, one=one)
        run.stream(
            explaining.saliencies_of(explainer),
            pictures or _weights(out or Path(), run),
            workers=workers,
            what="Explaining",
            with_signal=png is not None or explainer.method == "gradient",  # its beats are looked for
        )
        if one and pictures is not None and not as_json:
            if not pictures.words and run.tally.done:
                raise InputError(pictures.missing)
            say(f"{png}: {pictures.words}")
        else:
            run.say_what_was_written([path for path in (png, out) if path], as_json=as_json)
        run.end()


def _weights(out: Path, run: "Run") -> "Output":
    from ecgfm_clinical.files import explaining, outputs, tables

    if run.suffix == ".jsonl":
        return outputs.json_lines(out, lambda found: explaining.explained_document(found, run.origin), run.origin)
    return tables.ParquetTable(
        out,
        explaining.EXPLAINED,
        explaining.explained_row,
        run.origin,
        title="saliencies/2",
        width=explaining.ANY_LENGTH,
    )


def _pictures(png: Path, run: "Run", question: str, *, one: bool) -> "Pictures":
    from ecgfm_clinical.files import explaining

    place = explaining.only_picture(png) if one else explaining.named_pictures(_folder(png), run.origin)
    return explaining.Pictures(place, subtitle=f"{question}; not for clinical use", files=() if one else run.files)


def _folder(path: Path) -> Path:
    """A folder for pictures, made where only its parent is there."""
    from ecgfm_clinical.files.outputs import written

    will_write(path / "picture.png" if path.is_dir() else path)
    with written(path):
        path.mkdir(exist_ok=True)
    return path
