"""Setting up an installation: `init`, `check`, `migrate`."""

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from ecgfm_clinical.cli.common import (
    DEFAULT_SETTINGS,
    JsonOption,
    SettingsOption,
    console,
    say,
    settings_from,
    write_json,
)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to create the installation in.")],
) -> None:
    """Write a commented settings.toml and an empty staging store into FOLDER.

    Edit settings.toml, then run `ecgfm-clinical check --settings FOLDER/settings.toml`.
    """
    from ecgfm_clinical.operate.setup import write_installation

    path = write_installation(folder)
    console().print(
        f"Wrote {path} and an empty store beside it.\nNext: edit it, then  ecgfm-clinical check --settings {path}"
    )


def check(
    settings: SettingsOption = None,
    security: Annotated[
        bool,
        typer.Option("--security", help="Say instead what others could read, reach or change: modes, ports, URLs."),
    ] = False,
    keys: Annotated[
        bool,
        typer.Option("--keys", help="Write instead these settings with every key there is, explained; # is not set."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Try each configured part (store, model, listeners, sources, destinations) and say what is wrong and what to do.

    Safe while the service runs: a port that an `ecgfm-clinical run` on this store holds is well. Sends nothing but
    C-ECHO and a connection test. Exits with 1 where a part is not well.
    """
    from rich.text import Text

    from ecgfm_clinical.operate.check import check_parts
    from ecgfm_clinical.operate.security import weaknesses

    read = settings_from(settings)
    if keys:
        from ecgfm_clinical.settings.example import explained

        typer.echo(explained(tomllib.loads((settings or DEFAULT_SETTINGS).read_text(encoding="utf-8"))), nl=False)
        return
    lines = list(weaknesses(read, settings or DEFAULT_SETTINGS) if security else check_parts(read))
    if as_json:
        write_json([{"part": line.part, "ok": line.ok, "text": line.text} for line in lines])
    for line in () if as_json else lines:
        verdict = Text("ok  " if line.ok else "FAIL", style="green" if line.ok else "red")
        console().print(verdict.append(f" {line.part}: {line.text}", style="default"), soft_wrap=True)
    if not all(line.ok for line in lines):
        raise typer.Exit(1)


def migrate(settings: SettingsOption = None) -> None:
    """Create the staging store, or bring an older one up to this version, keeping its data.

    Stop every `ecgfm-clinical run` that uses the store first, and take a backup (see the runbook).
    """
    from ecgfm_clinical.staging import migrations

    url = settings_from(settings).store_url
    before = migrations.revision(url)
    migrations.upgrade(url)
    say(f"store schema: {before or 'empty'} → {migrations.revision(url)}")
