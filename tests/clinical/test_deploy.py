"""What deploy/ says is true to the code."""

import re
from pathlib import Path

import typer.main

from ecgfm_clinical.cli import app
from ecgfm_clinical.ecg import evaluability
from ecgfm_clinical.operate.setup import example_settings
from ecgfm_clinical.settings import read_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")


def test_both_example_settings_are_settings(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(example_settings(), encoding="utf-8")
    assert read_settings(tmp_path / "settings.toml").listeners.dicom[0].port == 11112
    assert read_settings(DEPLOY / "settings.example.toml").destination_names == ("ehr",)


def test_every_part_that_the_example_leaves_as_a_comment_is_a_setting_too(tmp_path: Path) -> None:
    uncommented = re.sub(r"^# (?=\[|[a-z_]+ = )", "", example_settings(), flags=re.MULTILINE)
    (tmp_path / "settings.toml").write_text(uncommented, encoding="utf-8")
    settings = read_settings(tmp_path / "settings.toml")
    assert settings.sources.names == ("drop", "sftp", "pacs", "pacs-web")
    assert settings.destination_names == ("ehr", "results")


def test_the_runbook_explains_every_reason_code() -> None:
    source = Path(evaluability.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'(?:code=|_of_leads\()"([a-z-]+)"', source)) | set(evaluability.DECODER_REASONS)
    assert codes
    assert codes <= set(re.findall(r"`([a-z-]+)`", RUNBOOK))


def test_every_command_that_deploy_names_exists() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group, as the app has commands
    named = set(re.findall(r"ecgfm-clinical ([a-z]+)", RUNBOOK))
    compose = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    named |= set(re.findall(r'command: \["([a-z]+)"', compose))
    assert {"check", "status", "show", "migrate", "run"} <= named
    assert named <= set(commands)
