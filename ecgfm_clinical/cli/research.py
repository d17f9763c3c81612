"""For researchers, without a store: `predict`, `embed`, `explain`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecgfm_clinical.cli.common import (
    JsonOption,
    SettingsOption,
    gathered,
    progress,
    say,
    settings_from,
    will_write,
    write_json,
)


def predict(
    files: Annotated[list[Path], typer.Argument(help="ECG files, or folders that are searched for them.")],
    model: Annotated[str, typer.Option(help="Folder of a model bundle; `demo` is the one that ships.")] = "demo",
    runtime: Annotated[
        str | None, typer.Option(help="auto, torch, onnx or openvino; as in the settings if not given.")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score files without a store: per file every head's probability and logit, its segments and the model's digest.

    Quality findings stand beside the numbers and do not replace them. Exits with 1 where a file could not be read.
    """
    from ecgfm_clinical import wiring
    from ecgfm_clinical.files.prediction import document_text, predict_files
    from ecgfm_clinical.settings import Settings

    site = settings_from(settings) if settings else Settings()
    if runtime is not None:
        site = site.model_copy(update={"model": site.model.model_copy(update={"runtime": runtime})})
    found = []
    predictor = wiring.open_predictor(site, model if model == "demo" else str(Path(model).resolve()))
    for path in progress(gathered(files), "Scoring"):
        for document in predict_files([path], predictor, site if settings else None):
            found.append(document)
            if not as_json:
                sys.stdout.write(document_text(document))
    if as_json:
        write_json(found)
    if any("error" in document for document in found):
        raise typer.Exit(1)


def embed(
    files: Annotated[list[Path], typer.Argument(help="ECG files, or folders that are searched for them.")],
    out: Annotated[Path, typer.Option(help="File to write: .npy (with a .csv that names its rows) or .parquet.")],
    model: Annotated[str, typer.Option(help="Folder of a model bundle; `demo` is the one that ships.")] = "demo",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write each ECG's pooled embedding: the mean over its 5 s segments of the encoder's output, one row an ECG.

    Exits with 1 where a file has no embedding; the others are written all the same.
    """
    from ecgfm_clinical import wiring
    from ecgfm_clinical.extras import need
    from ecgfm_clinical.files import embeddings
    from ecgfm_clinical.settings import Settings

    will_write(out, *embeddings.SUFFIXES)
    if out.suffix == ".parquet":
        need("parquet", "writing Parquet")
    site = settings_from(settings) if settings else Settings()
    predictor = wiring.open_predictor(site, model if model == "demo" else str(Path(model).resolve()))
    paths = progress(gathered(files), "Embedding")
    rows, left_out = embeddings.embed_files(paths, predictor, site if settings else None)
    written = embeddings.write(out, rows, model_id=predictor.model_id, preprocessing=predictor.preprocessing)
    if as_json:
        missing = [{"file": one.file, "reason": one.reason} for one in left_out]
        write_json({"written": [str(path) for path in written], "rows": len(rows), "left_out": missing})
    else:
        say(f"{len(rows)} embeddings in {' and '.join(map(str, written))}")
        for one in left_out:
            say(f"left out: {one.file}: {one.reason}")
    if left_out:
        raise typer.Exit(1)


def explain(
    file: Annotated[Path, typer.Argument(help="An ECG file of any format we read.")],
    png: Annotated[Path, typer.Option(help="Picture to write: the ECG on paper, shaded where the model looked.")],
    method: Annotated[
        str, typer.Option(help="attention (last layer, as ECG-FM) or gradient (gradient x input).")
    ] = "attention",
    label: Annotated[str | None, typer.Option(help="Label whose logit the gradient is of.")] = None,
    model: Annotated[str, typer.Option(help="Folder of a model bundle; `demo` is the one that ships.")] = "demo",
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
