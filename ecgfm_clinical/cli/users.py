"""`user add | list | remove`: who may sign in to the console."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli import access
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, say, settings_from, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ecgfm_clinical.web.users import User, UsersFile

app = typer.Typer(
    name="user",
    no_args_is_help=True,
    help="Who may sign in to the console (`run --role web`): names, roles and password hashes in the file `web.users`.",
)

NameArgument = Annotated[str, typer.Argument(help="Name to sign in with; it is what the audit trail tells.")]


class RoleName(StrEnum):
    """What somebody may do in the console."""

    viewer = "viewer"
    operator = "operator"
    administrator = "clinical-administrator"


@app.command("add")
def add(
    name: NameArgument,
    role: Annotated[
        RoleName,
        typer.Option(
            help="viewer: look; operator: also send and judge again; clinical-administrator: also withdraw and decide "
            "whose a recording is."
        ),
    ] = RoleName.viewer,
    settings: SettingsOption = None,
) -> None:
    """Add somebody, or give them another role and password. The password is asked for, and never an argument.

    A running console takes it up with the next click.
    """
    from ecgfm_clinical.web.users import SHORTEST_PASSWORD, Role

    file = _file(settings)
    password = typer.prompt(
        f"Password ({SHORTEST_PASSWORD} characters or more)", hide_input=True, confirmation_prompt=True, err=True
    )
    known = file.find(name)
    file.add(name, Role.of(role.value), password)
    detail = {"user": name, "role": role.value} | ({"was": known.role.word} if known is not None else {})
    access.note(settings_from(settings), "user.added" if known is None else "user.changed", **detail)
    say(f"{name} may sign in as {role.value}")


@app.command("list")
def listed(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Everybody who may sign in, with their role."""
    tell_roles(_file(settings).all(), "nobody may sign in yet; `ecgfm-clinical user add NAME`", as_json=as_json)


@app.command("remove")
def remove(name: NameArgument, settings: SettingsOption = None) -> None:
    """Take somebody out; who is signed in is out with the next click."""
    _file(settings).remove(name)
    access.note(settings_from(settings), "user.removed", user=name)
    say(f"{name} may no longer sign in")


def tell_roles(found: "Sequence[User]", none: str, *, as_json: bool) -> None:
    """Each name with its role; the sentence `none` where there is no name."""
    if as_json:
        write_json([{"name": one.name, "role": one.role.word} for one in found])
        return
    for one in found:
        say(f"{one.name}: {one.role.word}")
    if not found:
        say(none)


def _file(path: "Path | None") -> "UsersFile":
    from ecgfm_clinical.extras import need

    need("web", "the console")
    from ecgfm_clinical.settings import Web
    from ecgfm_clinical.web.users import UsersFile

    read = settings_from(path)
    return UsersFile(read.resolve((read.web or Web()).users))
