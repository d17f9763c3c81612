"""What the commands that learn from a research archive instead of a store are told of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfm_clinical.cli.common import settings_from

if TYPE_CHECKING:
    from ecgfm_clinical.learning.research import LabelledArchive


def labelled_archive(
    folder: Path,
    table: Path,
    outcomes: Path | None,
    columns: Sequence[str],
    classes: Path | None,
    settings: Path | None,
) -> "LabelledArchive":
    """The archive, and of the settings, where they are named, what makes labels: `outcomes` and the heads of
    `learning`. Raises InputError, SettingsError.
    """
    from ecgfm_clinical.learning.research import LabelledArchive

    named = LabelledArchive(folder=folder, table=table, outcomes=outcomes, columns=tuple(columns), classes=classes)
    if settings is None:
        return named
    read = settings_from(settings)
    return replace(named, learning=read.learning, site=read.outcomes.table)


def table_and_out(table: Path | None, out: Path | None) -> tuple[Path, Path]:
    """Both, which an archive needs. Raises InputError."""
    from ecgfm_clinical.errors import InputError

    if table is None or out is None:
        raise InputError("--archive needs --table (a row for each recording) and --out (a folder for what comes of it)")
    return table, out
