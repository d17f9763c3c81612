"""`learning-curve`: how good a head would be with fewer ECGs, and how many more it needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, will_write, write_json
from ecgfm_clinical.cli.learning_options import FromOption, SeedOption
from ecgfm_clinical.cli.workshops import workshop
from ecgfm_clinical.extras import need

if TYPE_CHECKING:
    from ecgfm_clinical.learning.learning_curve import LearningCurve


def learning_curve(
    head: Annotated[str, typer.Argument(help="reduced_lvef, troponin or interpretation.")],
    out: Annotated[Path | None, typer.Option("--out", help="Picture to write: .png or .svg.")] = None,
    sizes: Annotated[int, typer.Option(min=4, help="How many numbers of ECGs are tried.")] = 10,
    repeats: Annotated[int, typer.Option(min=3, help="Other patients are held out in each.")] = 5,
    base: FromOption = None,
    seed: SeedOption = 1,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw how a head's AUROC grows with the number of ECGs, beside cheap rivals, and say how many more are needed.

    Linear probes on kept embeddings; test patients are left alone.
    """
    need("train", "a learning curve")
    from ecgfm_clinical.learning.documents import plain
    from ecgfm_clinical.learning.report.curve_picture import SUFFIXES, draw

    if out is not None:
        will_write(out, *SUFFIXES)
    with workshop(settings, f"learning-curve {head}") as place:
        curves = place.learning_curves(head, base=base, sizes=sizes, repeats=repeats, seed=seed)
    if out is not None:
        draw(curves, out)
    if as_json:
        write_json({"head": head, "labels": [plain(curve) for curve in curves]})
        return
    for curve in curves:
        _print(curve)


def _print(curve: "LearningCurve") -> None:
    from rich.table import Table

    names = list(curve.points[0].auroc)
    shown = Table(f"{curve.label}: ECGs", *names)
    for point in curve.points:
        cells = [f"{own.value:.3f} ({own.low:.3f}–{own.high:.3f})" for own in point.auroc.values()]
        shown.add_row(str(point.ecgs), *cells)
    console().print(shown)
    console().print(f"ECGs with an outcome until the gate would pass: {curve.needed.why}", soft_wrap=True)
    console().print(f"(mean and 95 % range over {curve.repeats} repeats; test patients left alone)", soft_wrap=True)
