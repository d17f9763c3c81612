"""What a contributor meets first: hooks that run this project's own checks, and templates that keep patient
data out.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))


def test_hooks_run_what_ci_checks_and_fetch_nothing() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [one["repo"] for one in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"system"}
    check = (ROOT / ".ci" / "check").read_text(encoding="utf-8")
    checkers = {hook["entry"].split(" -m ")[1].split()[0] for hook in hooks}
    assert checkers == {"ruff", "mypy", "pytest"}
    assert all(f"-m {checker}" in check for checker in checkers)
    named = [word for hook in hooks for word in hook["entry"].split() if word.startswith("tests/")]
    assert all((ROOT / path).exists() for path in named)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_asks_for_no_patient_data(path: Path) -> None:
    head, text = path.read_text(encoding="utf-8").split("---\n", 2)[1:]
    assert {"name", "about"} <= set(yaml.safe_load(head))
    first = text.strip().split("\n\n")[0]
    assert first.startswith("**Never attach")
    assert "patient" in first


def test_there_is_a_template_for_each_kind_of_issue() -> None:
    assert [path.stem for path in TEMPLATES] == ["bug", "device-file", "question"]


@pytest.mark.parametrize("environment", ["none", "named, without the tools"])
def test_checks_without_their_environment_say_in_a_sentence_how_to_make_it(environment: str, tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "check", tmp_path / ".ci" / "check")
    bare = {"PATH": os.environ["PATH"]}
    if environment != "none":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
        bare["PYTHON"] = str(tmp_path / "bare" / "bin" / "python")
    done = subprocess.run(
        [str(tmp_path / ".ci" / "check")], env=bare, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    (command,) = re.findall(r"`(.*)`", sentence)
    assert bare.get("PYTHON", ".venv/bin/python") in sentence
    assert command in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
