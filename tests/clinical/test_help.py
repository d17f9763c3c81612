"""Help texts are true: every option that any of them names exists, and of a command's own text, in that command."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from ecgfm_clinical.cli import app


def _commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


COMMANDS = dict(_commands(typer.main.get_command(app)))
#: Options of programs that a help text mentions beside ours.
OTHERS = {"--nproc-per-node", "--no-python", "--format", "--format=custom", "--nproc-per-node=2"}


def _options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_that_a_help_text_names_exists(name: str) -> None:
    command = COMMANDS[name]
    texts = [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]
    named = {option for text in texts for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}
    quoted = {
        option
        for text in texts
        for words in re.findall(r"`ecgfm-clinical ([^`]*)`|`((?:replay|retrain|keys|model) [^`]*)`", text)
        for option in re.findall(r"--[a-z][a-z-]*", " ".join(words))
    }
    everywhere = set().union(*map(_options, COMMANDS.values()))
    assert named - quoted - OTHERS <= _options(command)
    assert quoted <= everywhere
