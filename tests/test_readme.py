"""README's commands cannot rot: CI runs its test command, and every command it names exists."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from ecgfm_clinical.cli import app
from ecgfm_clinical.settings import read_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_ci_runs_exactly_the_test_command() -> None:
    (command,) = (line for line in SHELL if "pytest" in line)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def ours() -> list[str]:
    """Every `ecgfm-clinical …` that README tells a reader to type."""
    return [
        part.strip().removeprefix(".venv/bin/")
        for line in SHELL
        for part in line.split("&&")
        if part.strip().removeprefix(".venv/bin/").startswith("ecgfm-clinical")
    ]


@pytest.mark.parametrize("line", ours())
def test_every_command_and_option_exists(line: str) -> None:
    _, *words = shlex.split(line)
    command = typer.main.get_command(app)
    while words and (found := getattr(command, "commands", {}).get(words[0])) is not None:
        command, words = found, words[1:]
    assert not hasattr(command, "commands"), f"{line!r} names no command"
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_settings_shown_are_settings(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "settings.toml").write_text(shown, encoding="utf-8")
    settings = read_settings(tmp_path / "settings.toml")
    assert settings.listeners.dicom[0].ae_title == "ECGFM"
    assert settings.destination_names == ("ehr",)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http|#)([^)]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
