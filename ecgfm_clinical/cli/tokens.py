"""`token add | list | revoke`: which programs may use the console's JSON API."""

from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli import access
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, say, settings_from
from ecgfm_clinical.cli.users import RoleName, tell_roles

if TYPE_CHECKING:
    from pathlib import Path

    from ecgfm_clinical.web.tokens import TokensFile

app = typer.Typer(
    name="token",
    no_args_is_help=True,
    help="Which programs may use /api/v1 of the console (`run --role web`): names, roles and digests of tokens in the "
    "file `web.tokens`.",
)

NameArgument = Annotated[str, typer.Argument(help="Name of the program; it is what the audit trail tells.")]


@app.command("add")
def add(
    name: NameArgument,
    role: Annotated[RoleName, typer.Option(help="What it may do, as of people: `user add --help`.")] = RoleName.viewer,
    settings: SettingsOption = None,
) -> None:
    """Make a token, and print it once: only its digest is kept. A running console takes it with the next request."""
    from ecgfm_clinical.web.users import Role

    token = _file(settings).add(name, Role.of(role.value))
    access.note(settings_from(settings), "token.made", user=name, role=role.value)
    say(token)


@app.command("list")
def listed(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Every program that has a token, with its role."""
    tell_roles(_file(settings).all(), "no program has a token; `ecgfm-clinical token add NAME`", as_json=as_json)


@app.command("revoke")
def revoke(name: NameArgument, settings: SettingsOption = None) -> None:
    """Make a program's token worthless, with the next request."""
    _file(settings).revoke(name)
    access.note(settings_from(settings), "token.revoked", user=name)
    say(f"the token of {name} is worth nothing now")


def _file(path: "Path | None") -> "TokensFile":
    from ecgfm_clinical.extras import need

    need("web", "the console")
    from ecgfm_clinical.settings import Web
    from ecgfm_clinical.web.tokens import TokensFile

    read = settings_from(path)
    return TokensFile(read.resolve((read.web or Web()).tokens))
