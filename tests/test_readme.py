"""README's commands cannot rot: CI runs its test command, and every command it names exists."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from ecgfm_clinical.cli import app
from ecgfm_clinical.operate.setup import write_installation
from ecgfm_clinical.settings import read_settings
from ecgfm_connectors.testing import dicom_writer
from ecgfm_connectors.testing.ehr import EhrReceiver
from tests.helpers.command_lines import run_lines
from tests.helpers.fakes import make_ecg
from tests.helpers.processors import OPENVINO_RUNS
from tests.helpers.tiny_models import copy_prepared_tiny, write_tiny_bundle

pytestmark = pytest.mark.slow(16)

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


@pytest.fixture
def ehr() -> Iterator[EhrReceiver]:
    receiver = EhrReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


def block(heading: str) -> str:
    """The shell block under a heading of README."""
    (found,) = re.findall(rf"## {heading}\n.*?```sh\n(.*?)```", README, re.DOTALL)
    return str(found)


@pytest.mark.timeout(900)
def test_the_commands_by_hand_and_for_research_run_as_written(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, ehr: EhrReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "FOLDER").mkdir()
    for number in (1, 2):
        (tmp_path / "FOLDER" / f"{number}.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(number)))
    write_tiny_bundle(tmp_path / "BUNDLE")
    copy_prepared_tiny(tmp_path_factory, tmp_path / "BUNDLE.runtimes")  # the line `model export` exports
    words = {"FILE...": "FOLDER/1.dcm FOLDER/2.dcm", "FILE": "FOLDER/1.dcm", " 17": " 1"}
    script = block("By hand") + "".join(
        line + "\n" for line in block("For research").splitlines() if not re.search("pretrain|bench", line)
    )
    if not OPENVINO_RUNS:
        words["--runtime openvino"] = "--runtime onnx"
    for placeholder, real in words.items():
        script = script.replace(placeholder, real)
    monkeypatch.setenv("ECGFM_SETTINGS", str(tmp_path / "site" / "settings.toml"))
    write_installation(tmp_path / "site")
    with (tmp_path / "site" / "settings.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = {ehr.port}\n')
    lines = [shlex.split(part, comments=True)[1:] for line in script.splitlines() for part in line.split("&&")]
    told = run_lines([words for words in lines if words], folder=tmp_path, answer="y\n")
    assert [(words, one.err) for words, one in zip(lines, told, strict=True) if one.code] == []
    assert len(ehr.messages) == 2
    assert {"ecg.png", "ecg.npz", "saliency.png", "embeddings.npy"} <= {path.name for path in tmp_path.iterdir()}


def test_the_picture_shows_every_room_of_the_hall() -> None:
    table = README.split("| room |", 1)[1].split("\n\n", 1)[0]
    shown = {room for row in table.splitlines() for room in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert shown == {path.parent.name for path in (ROOT / "ecgfm_clinical").glob("*/__init__.py")}


def test_the_settings_shown_are_settings(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "settings.toml").write_text(shown, encoding="utf-8")
    settings = read_settings(tmp_path / "settings.toml")
    assert settings.listeners.dicom[0].ae_title == "ECGFM"
    assert settings.destination_names == ("ehr",)
