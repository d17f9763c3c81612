"""Every command with missing and empty inputs, missing output folders, tiny inputs and missing extras:
never a traceback.

The command lines of all cases that lack the same modules run in one process, so that the libraries are loaded once.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from ecgfm_clinical.cli import app
from ecgfm_clinical.extras import EXTRAS
from ecgfm_clinical.operate.setup import write_installation
from ecgfm_connectors.testing import dicom_writer, wfdb_writer
from tests.clinical.commands.every_line import LINES, TELLS, TOO_LITTLE
from tests.helpers.command_lines import Told, run_lines
from tests.helpers.fakes import make_ecg
from tests.helpers.processors import OPENVINO_RUNS
from tests.helpers.tiny_models import copy_prepared_tiny, encoder_table, write_tiny_bundle

pytestmark = pytest.mark.slow(28)

RECIPE = f"""
name = "tiny"
{encoder_table()}[objective]
codes = 8
code_width = 16
negatives = 4
[training]
epochs = 1
pairs_per_micro_batch = 2
log_every = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the command lines meet."""

    inputs: str  #: `gone`, `empty` or `tiny`
    output_folder: bool = True
    hidden: tuple[str, ...] = ()  #: modules that look as if they were not installed
    left_out: tuple[str, ...] = ()  #: lines with these words have nothing to tell in this case, and take long


def _modules_of(extras: set[str]) -> tuple[str, ...]:
    return tuple(sorted({module for extra in extras for module in EXTRAS[extra]}))


CASES = {
    "missing inputs": Case(inputs="gone"),
    "empty inputs": Case(inputs="empty"),
    # Drawn in tests/model/test_probe.py, and timed in tests/clinical/test_model_commands.py.
    "tiny inputs": Case(inputs="tiny", left_out=("--method umap", "model bench")),
    "missing output folder": Case(inputs="tiny", output_folder=False),
    "no extra but score": Case(
        inputs="tiny",
        hidden=_modules_of(set(EXTRAS) - {"score"}),
        left_out=("model bench",),  # the processes that it starts find all modules
    ),
    "no extra": Case(inputs="tiny", hidden=_modules_of(set(EXTRAS))),
}


def _commands(group: object, path: str = "") -> Iterator[str]:
    for name, command in getattr(group, "commands", {}).items():
        if getattr(command, "commands", None):
            yield from _commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def test_every_command_of_the_tree_is_tried() -> None:
    lines = LINES.strip().splitlines()
    untried = [
        name
        for name in _commands(typer.main.get_command(app))
        if not any(f"{line} ".startswith(f"{name} ") for line in lines)
    ]
    assert not untried


def _tiny(folder: Path) -> None:
    (folder / "ecgs").mkdir(parents=True)
    table = ["filename_hr,patient_id,age,sex,sick"]
    labels = ["recording,patient,sick"]
    (folder / "single").mkdir()
    for number in range(6):
        for name, content in wfdb_writer.write_record(make_ecg(number), f"r{number}").items():
            for kept in ("ecgs",) if number else ("ecgs", "single"):  # a picture takes a second
                (folder / kept / name).write_bytes(content)
        table.append(f"r{number},{number},{50 + number},{number % 2},{number % 2}")
        labels.append(f"r{number},{number},{number % 2}")
    (folder / "ecg.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(1)))
    (folder / "table.csv").write_text("\n".join(table), encoding="utf-8")
    (folder / "labels.csv").write_text("\n".join(labels), encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    parquet.write_table(csv.read_csv(pyarrow.BufferReader("\n".join(table).encode())), folder / "table.parquet")
    write_tiny_bundle(folder / "bundle")


def _inputs(folder: Path, kind: str) -> None:
    """`ecgs`, `ecg.dcm`, `table.csv` … in `folder`: nothing at all, empty ones, or six ECGs and what goes with them."""
    if kind == "tiny":
        _tiny(folder)
    elif kind == "empty":
        for name in ("ecgs", "single", "bundle"):
            (folder / name).mkdir(parents=True)
        for name in ("ecg.dcm", "table.csv", "labels.csv", "table.parquet", "recipe.toml"):
            (folder / name).touch()


def _settings(folder: Path, port: int) -> Path:
    """An installation whose one listener finds its port taken, so that `run` ends."""
    path = write_installation(folder)
    path.write_text(
        '[model]\nbundle = "tiny"\n[store]\nkey_file = "keys"\n'
        f'[[listeners.dicom]]\nhost = "127.0.0.1"\nport = {port}\n'
        '[[sources.folder]]\nname = "drop"\npath = "drop"\n'
        '[[sources.sftp]]\nname = "sftp"\nhost = "127.0.0.1"\nport = 1\nuser = "u"\nknown_hosts = "known_hosts"\n'
        '[[sources.dicomweb]]\nname = "web"\nurl = "http://127.0.0.1:1"\n'
        '[[destinations.file]]\nname = "results"\npath = "results"\n',
        encoding="utf-8",
    )
    write_tiny_bundle(folder / "tiny")
    (folder / "results").mkdir()
    return path


Answers = dict[str, Told]  #: line -> what it came to


@pytest.fixture(scope="module")
def answers() -> dict[str, Answers]:
    """What was answered so far, by case."""
    return {}


@pytest.fixture(scope="module", params=CASES)
def told(
    request: pytest.FixtureRequest, answers: dict[str, Answers], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Answers]:
    """What every command line said in one case."""
    if request.param not in answers:
        alike = [name for name, case in CASES.items() if case.hidden == CASES[request.param].hidden]
        answers |= _answers(alike, tmp_path_factory)
    return request.param, answers[request.param]


def _answers(names: list[str], folders: pytest.TempPathFactory) -> dict[str, Answers]:
    """Of cases that lack the same modules."""
    lines, words, hidden = [], [], CASES[names[0]].hidden
    with ExitStack() as closing:
        for name in names:
            taken = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
            folder = folders.mktemp("every")
            if CASES[name].inputs == "tiny" and not hidden:  # the line `model export` exports
                copy_prepared_tiny(folders, folder / "in" / "bundle.runtimes")
            for line, filled in _lines(CASES[name], folder, taken.getsockname()[1]):
                lines.append((name, line))
                words.append(filled)
        said = run_lines(words, folder=folders.mktemp("run"), hidden=hidden)
    found: dict[str, Answers] = {name: {} for name in names}
    for (name, line), one in zip(lines, said, strict=True):
        found[name][line] = one
    return found


def _lines(case: Case, folder: Path, port: int) -> Iterator[tuple[str, list[str]]]:
    """Each command line of the case, and its words; what they name is made in the folder first."""
    _inputs(folder / "in", case.inputs)
    (folder / "file").touch()
    if case.output_folder:
        (folder / "out").mkdir()
    settings = folder / "gone.toml" if case.inputs == "gone" else _settings(folder / "installed", port)
    named = {
        "site": folder / "file" / "site" if not case.output_folder else folder / "site",
        "settings": settings,
        "ecgs": folder / "in" / "ecgs",
        "single": folder / "in" / "single",
        "ecg": folder / "in" / "ecg.dcm",
        "table": folder / "in" / "table.csv",
        "parquet": folder / "in" / "table.parquet",
        "labels": folder / "in" / "labels.csv",
        "bundle": folder / "in" / "bundle",
        "recipe": folder / "in" / "recipe.toml",
        "checkpoint": folder / "made" / "pretrained" / "checkpoints" / "update-00000001.pt",
        "out": folder / "out",
        "made": folder / "made",
        "file": folder / "file",
    }
    for line in LINES.strip().splitlines():
        if (case.output_folder or "{out}" in line) and not any(words in line for words in case.left_out):
            yield line, [word.format(**named) for word in line.split()]  # a path may hold a space


def _surprised(told: Told) -> bool:
    return "unforeseen" in told.err or "Traceback" in told.err


@pytest.mark.timeout(900)
def test_nothing_ends_in_a_traceback(told: tuple[str, Answers]) -> None:
    _, lines = told
    surprised = [f"{line}\n    {one.err}" for line, one in lines.items() if _surprised(one)]
    assert not surprised, "\n".join(surprised)


@pytest.mark.timeout(900)
def test_what_fails_says_so_in_words(told: tuple[str, Answers]) -> None:
    _, lines = told
    silent = [line for line, one in lines.items() if one.code and not (one.err + one.out).strip()]
    assert not silent


@pytest.mark.timeout(900)
def test_what_fails_and_what_does_not(told: tuple[str, Answers]) -> None:
    name, lines = told
    if name == "missing inputs":
        wrong = [line for line, one in lines.items() if not one.code and not line.startswith(("init", *TELLS))]
    elif name == "missing output folder":
        wrong = [line for line, one in lines.items() if "is not a folder; create it first" not in one.err]
    elif name == "no extra but score":
        wrong = [line for line, one in lines.items() if _extra_of(line) and "ecgfm-clinical[" not in one.err + one.out]
    elif name == "no extra":
        wrong = [line for line, one in lines.items() if _scores(line) and "ecgfm-clinical[" not in one.err]
    elif name == "tiny inputs":
        # Whether bfloat16 is near enough with random weights depends on how a processor sums.
        judged = {line: one.code for line, one in lines.items() if "torch-bf16" not in line}
        wrong = [line for line, code in judged.items() if code != (1 if _needs_more(line) or _forbidden(line) else 0)]
    else:
        return
    assert not wrong


def _scores(line: str) -> bool:
    """Whether the line needs a network, or a drawing."""
    return line.startswith(
        ("score", "predict", "embed", "backfill run", "explain", "inspect {ecg} --png", "model export")
    )


def _extra_of(line: str) -> str | None:
    """What a line cannot be done without."""
    signs = {
        "onnx": ("--runtime onnx", "--onnx"),
        "openvino": ("--runtime openvino",),
        "parquet": (".parquet", "{parquet}", "backfill "),
        "train": ("pretrain ", "cohort export", "--method lora", "--method full"),
        "umap": ("--method umap",),
        "sftp": ("pull sftp", "check --settings"),
        "dicomweb": ("pull web",),
        "web": ("user ", "token "),
    }
    return next((extra for extra, found in signs.items() if any(one in line for one in found)), None)


def _forbidden(line: str) -> bool:
    """Whether the line asks for a runtime that this processor, or the environment, does not let run."""
    return "openvino" in line and not OPENVINO_RUNS


def _needs_more(line: str) -> bool:
    return line.startswith(TOO_LITTLE)
