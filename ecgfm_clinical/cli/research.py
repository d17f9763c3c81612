"""For researchers, without a store: `predict`, `embed`, `explain`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, say, settings_from, will_write

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
    file: Annotated[Path, typer.Argument(help="An ECG file of any format we read.")],
    png: Annotated[Path, typer.Option(help="Picture to write: the ECG on paper, shaded where the model looked.")],
    method: Annotated[
        str, typer.Option(help="attention (last layer, as ECG-FM) or gradient (gradient x input).")
    ] = "attention",
    label: Annotated[str | None, typer.Option(help="Label whose logit the gradient is of.")] = None,
    model: ModelOption = "demo",
    settings: SettingsOption = None,
) -> None:
    """Draw an ECG on paper with the model's saliency. It shows where the output depends on the signal, not why."""
    import ecgfm
    from ecgfm.explain import METHODS
    from ecgfm.explain import explain as saliency_of
    from ecgfm_clinical.bundles import bundle_path
    from ecgfm_clinical.ecg.paper import draw
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.files.reading import read_ecgs
    from ecgfm_clinical.settings import Settings

    will_write(png, ".png")
    if method not in METHODS:
        raise InputError(f"--method {method!r}: choose one of {', '.join(METHODS)}")
    site = settings_from(settings) if settings else Settings()
    bundle = bundle_path(site, model if model == "demo" else str(Path(model).resolve()))
    ecg = read_ecgs(file, site if settings else None)[0]
    network = ecgfm.load(bundle)
    found = saliency_of(network, ecg.signal, ecg.sampling_rate, method=METHODS[method], label=label)
    what = (
        f"gradient × input of {label or network.labels[0]}" if method == "gradient" else "attention of the last layer"
    )
    draw(
        ecg.signal,
        ecg.sampling_rate,
        png,
        title=file.name,
        subtitle=f"{what}; not for clinical use",
        shading=found.at(ecg.signal.shape[1], ecg.sampling_rate),
    )
    say(f"{png}: {what}; looked most at {found.seconds[found.weights.argmax()]:.2f} s")
