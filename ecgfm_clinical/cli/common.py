"""What every command shares: where the settings are, how output is written for people and for machines."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store

T = TypeVar("T")

DEFAULT_SETTINGS = Path("settings.toml")

SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", envvar="ECGFM_SETTINGS", help="Settings file; settings.toml here if not given."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for machines instead of text for people.")]


def say(text: str) -> None:
    """One text for people on standard output, as it is: no wrapping that would break a line in two."""
    sys.stdout.write(text + "\n")


def console() -> Console:
    """Standard output; wide where it is a file or a pipe, so that a table keeps its rows whole.

    Text is shown as it is: words in brackets, such as those of `ecgfm-clinical[onnx]`, are not taken for markup.
    """
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)


def progress_console() -> Console:
    """Standard error, so that progress never mixes with output that a program reads."""
    return Console(stderr=True, highlight=False, markup=False)


def settings_from(path: Path | None) -> "Settings":
    """The settings named on the command line or by ECGFM_SETTINGS, else settings.toml in this folder."""
    from ecgfm_clinical.settings import read_settings

    return read_settings(path or DEFAULT_SETTINGS)


def gathered(paths: Sequence[Path]) -> list[Path]:
    """The ECG files that `paths` name; what was passed over beside them is counted on standard error."""
    from ecgfm_clinical.files.reading import gather

    found = gather(paths)
    if found.passed_over:
        names = ", ".join(path.name for path in found.passed_over[:3])
        more = ", …" if len(found.passed_over) > 3 else ""
        sys.stderr.write(f"{len(found.passed_over)} files that are no recordings passed over: {names}{more}\n")
    return list(found.files)


def will_write(path: Path | None, *suffixes: str) -> None:
    """Raise InputError where a file could not be written to `path`, before work is spent on what goes into it."""
    from ecgfm_clinical.errors import InputError

    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: this file ends in {' or '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; create it first (mkdir -p {path.parent})")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written by this user; name another file, or mend the permissions")


@contextmanager
def opened(path: Path | None) -> "Iterator[tuple[Settings, Store]]":
    """The settings and their store, closed again afterwards."""
    from ecgfm_clinical import wiring

    settings = settings_from(path)
    store = wiring.open_store(settings)
    try:
        yield settings, store
    finally:
        store.close()


@contextmanager
def opened_to_act(path: Path | None) -> "Iterator[tuple[Settings, Store]]":
    """As `opened`, for what may compose messages: in a store that was restored or copied they are of a new epoch, and
    wait until a person has said which it is; standard error tells.
    """
    from ecgfm_clinical import liveness, wiring

    with opened(path) as (settings, store):
        if store.home.seen(wiring.sent_marks(settings)) is not None:
            actor = liveness.operator(settings.site.operator)
            why = wiring.look_where_it_lies(settings, store, now=wiring.utc_now(), actor=actor)
            sys.stderr.write(f"Nothing is sent, because {why}; see `ecgfm-clinical store adopt --help`.\n")
        yield settings, store


def in_zone(time: datetime | None, zone: tzinfo) -> datetime | None:
    """A time as typed, in the site's zone where it names none."""
    return time if time is None or time.tzinfo else time.replace(tzinfo=zone)


def write_json(value: object) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")


def progress(items: Sequence[T], what: str) -> Iterable[T]:
    """`items` with a progress bar on standard error where there are many and someone is looking."""
    from rich.progress import track

    if len(items) < 5:
        return items
    return track(items, description=what, console=progress_console())
