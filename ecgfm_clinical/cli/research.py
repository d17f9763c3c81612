"""For researchers, without a store: `predict`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, progress, settings_from, write_json


def predict(
    files: Annotated[list[Path], typer.Argument(help="ECG files, or folders that are searched for them.")],
    model: Annotated[str, typer.Option(help="Folder of a model bundle; `demo` is the one that ships.")] = "demo",
    runtime: Annotated[
        str | None, typer.Option(help="torch, onnx or openvino; as in the settings if not given.")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score files without a store: per file every head's probability and logit, its segments and the model's digest.

    Quality findings stand beside the numbers and do not replace them. Exits with 1 where a file could not be read.
    """
    from ecgfm_clinical import wiring
    from ecgfm_clinical.prediction import document_text, predict_files
    from ecgfm_clinical.reading import gather
    from ecgfm_clinical.settings import Settings

    site = settings_from(settings) if settings else Settings()
    if runtime is not None:
        site = site.model_copy(update={"model": site.model.model_copy(update={"runtime": runtime})})
    found = []
    predictor = wiring.open_predictor(site, model if model == "demo" else str(Path(model).resolve()))
    for path in progress(gather(files), "Scoring"):
        for document in predict_files([path], predictor, site if settings else None):
            found.append(document)
            if not as_json:
                sys.stdout.write(document_text(document))
    if as_json:
        write_json(found)
    if any("error" in document for document in found):
        raise typer.Exit(1)
