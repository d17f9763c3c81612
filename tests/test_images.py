"""Images, compose services and the systemd unit hold what their role needs, as far as can be seen without an engine."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from ecgfm_clinical.cli import app
from tests.test_packaging import EXTRAS, brought

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
UNIT = (ROOT / "deploy" / "ecgfm-clinical@.service").read_text(encoding="utf-8")
ROLES = ("connect", "report", "score", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of the Dockerfile: what it starts from, and its instructions."""

    base: str
    lines: tuple[str, ...]

    def words(self, instruction: str) -> list[str]:
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{instruction} ")]


def read_stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name, in order."""
    text = re.sub(r"^#.*\n", "", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", text.replace("\\\n", ""), flags=re.MULTILINE)[1:]
    return {
        name: Stage(base=base, lines=tuple(line for line in lines.splitlines() if line))
        for base, name, lines in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


STAGES = read_stages()


def packages(target: str) -> set[str]:
    """The distributions that a target holds: what its stages install, and those it copies the program from."""
    stage = STAGES.get(target)
    if stage is None:
        return set()
    own = [
        brought(extra)
        for line in stage.words("RUN")
        for one in re.findall(r"\[(\S+)\]", line)
        for extra in one.split(",")
    ]
    copied = [packages(name) for line in stage.words("COPY") for name in re.findall(r"--from=(\S+) /opt", line)]
    return packages(stage.base).union(*own, *copied)


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """The options of a command line of ours, which must be one that the program takes."""
    name, *rest = words
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]  # a group, as the app has commands
    return dict(command.make_context(name, [word for word in rest if word != "--help"], resilient_parsing=True).params)


def can_do(held: set[str], words: Sequence[str]) -> None:
    """The command `words` finds what it needs among the packages."""
    role = parsed(words).get("role")
    if words[0] == "retrain":
        assert brought("train") <= held
    elif role in ("score", "all"):
        assert brought("score") <= held
    elif role == "web":
        assert brought("web") <= held
    else:
        assert words[0] == "migrate" or role in ("connect", "report")


def test_every_copy_has_a_source() -> None:
    seen: set[str] = set()
    for name, stage in STAGES.items():
        for line in stage.words("COPY"):
            *sources, _ = (word for word in line.split() if not word.startswith("--"))
            if found := re.match(r"--from=(\S+)", line):
                assert found[1] in seen
            else:
                assert all((ROOT / source).exists() for source in sources)
        seen.add(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call of pip: its arguments, and the two variables that the build of the wheel reads."""

    words: list[str]
    version: str
    commit: str


def run_without_an_engine(line: str, folder: Path, **arguments: str) -> list[Asked]:
    """The calls of pip that the shell makes of a RUN line, the image's folders lying in `folder`."""
    (folder / "wheel").mkdir()
    for name in ("ecgfm_clinical-0.2.0.dev0-py3-none-any.whl", "constraints.txt"):
        (folder / "wheel" / name).touch()
    pip = folder / "opt" / "ecgfm" / "bin" / "pip"
    pip.parent.mkdir(parents=True)
    told = 'print(repr((sys.argv[1:], os.environ["SETUPTOOLS_SCM_PRETEND_VERSION"], os.environ["ECGFM_COMMIT"])))'
    pip.write_text(f"#!{sys.executable}\nimport os, sys\n{told}\n", encoding="utf-8")
    pip.chmod(0o755)
    environment = {"PATH": f"{pip.parent}{os.pathsep}{os.environ['PATH']}", **arguments}
    environment |= {"SETUPTOOLS_SCM_PRETEND_VERSION": "", "ECGFM_COMMIT": ""}
    here = line.replace("/opt/", "./opt/").replace("/wheel", "./wheel")
    done = subprocess.run(["sh", "-ec", here], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return [
        Asked(words=words, version=version, commit=commit)
        for words, version, commit in map(ast.literal_eval, done.stdout.splitlines())
    ]


@pytest.mark.parametrize("stage", [name for name in STAGES if name.startswith("install-")])
def test_the_shell_hands_pip_one_wheel_with_its_extras_and_the_constraints(stage: str, tmp_path: Path) -> None:
    (line,) = (words for words in STAGES[stage].words("RUN") if "pip install" in words)
    (asked,) = run_without_an_engine(line, tmp_path)
    *options, constraints, wheel = asked.words
    assert options == ["install", "--no-cache-dir", "-c"]
    assert constraints == "./wheel/constraints.txt"
    named = re.fullmatch(r"\./wheel/ecgfm_clinical-\S+\.whl\[(\S+)\]", wheel)
    assert named is not None, wheel
    assert set(named[1].split(",")) <= set(EXTRAS)


@pytest.mark.parametrize("given", [{}, {"VERSION": "7.8.9", "COMMIT": "0123abcd"}], ids=["nothing", "both"])
def test_the_wheel_is_built_with_the_version_and_commit_that_the_build_was_given(
    given: dict[str, str], tmp_path: Path
) -> None:
    (line,) = STAGES["wheel"].words("RUN")
    (asked,) = run_without_an_engine(line, tmp_path, **given)
    assert (asked.version, asked.commit) == (given.get("VERSION", ""), given.get("COMMIT", ""))
    assert asked.words == ["wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", "./wheel", "."]
    assert {line.partition("=")[0] for line in STAGES["wheel"].words("ARG")} >= {"VERSION", "COMMIT"}


def test_the_program_lies_where_path_unit_and_copies_look_for_it() -> None:
    (environment,) = STAGES["runtime"].words("ENV")
    assert environment.startswith("PATH=/opt/ecgfm/bin:$PATH ")
    for name, stage in STAGES.items():
        if stage.base == "runtime":
            (copied,) = stage.words("COPY")
            assert re.fullmatch(r"--from=install-\w+ /opt/ecgfm /opt/ecgfm", copied), name


def test_the_database_gets_the_password_that_the_roles_read() -> None:
    database = COMPOSE["services"]["database"]
    (secret,) = database["secrets"]
    assert database["environment"]["POSTGRES_PASSWORD_FILE"] == f"/run/secrets/{secret}"
    assert secret in COMPOSE["secrets"]
    assert database["healthcheck"]["test"] == ["CMD-SHELL", f"pg_isready -U {database['environment']['POSTGRES_USER']}"]


@pytest.mark.parametrize("target", ["connect", "report"])
def test_what_moves_messages_holds_no_torch(target: str) -> None:
    held = packages(target)
    drawing = brought("page") if target == "report" else set()  # the result page has fonts of matplotlib
    assert not held & (brought("score") | brought("train") | brought("onnx")) - drawing
    assert {"psycopg", "httpx", "paramiko"} <= held


def test_what_scores_holds_every_runtime_of_its_processor() -> None:
    assert brought("openvino") | brought("onnx") <= packages("score")
    assert "lightning" not in packages("score")
    assert "onnxruntime-gpu" in packages("gpu")
    assert not {"onnxruntime", "openvino"} & packages("gpu")
    assert brought("all") <= packages("train")
    assert packages("all") == packages("train")


@pytest.mark.parametrize("target", ["connect", "report", "score", "train", "gpu", "all"])
def test_a_target_can_do_what_it_is_started_for(target: str) -> None:
    (command,) = STAGES[target].words("CMD")
    can_do(packages(target), json.loads(command))
    assert STAGES[target].base == "runtime"
    assert STAGES["runtime"].words("ENTRYPOINT") == ['["ecgfm-clinical"]']
    assert STAGES["runtime"].words("USER") == ["ecgfm"]


def ours() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in COMPOSE["services"].items() if "build" in service}


@pytest.mark.parametrize("name", ours())
def test_a_compose_service_runs_in_an_image_that_can_do_it(name: str) -> None:
    service = ours()[name]
    target = service["build"]["target"]
    assert service["image"] == f"ecgfm-clinical:{target}"
    assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    can_do(packages(target), service["command"])


def test_compose_runs_every_role_with_a_database() -> None:
    assert {parsed(service["command"]).get("role") for service in ours().values()} >= {"connect", "score", "report"}
    assert all("psycopg" in packages(service["build"]["target"]) for service in ours().values())


def test_the_unit_runs_each_role_and_says_what_each_installs() -> None:
    (start,) = re.findall(r"^ExecStart=/opt/ecgfm/bin/ecgfm-clinical (.*)$", UNIT, re.MULTILINE)
    said = {
        role: set(extras.split(","))
        for extras, roles in re.findall(r"'ecgfm-clinical\[(\S+)\]'\s+(.*)", UNIT)
        for role in roles.split(", ")
    }
    assert set(said) == {*ROLES, "web"}
    for role, extras in said.items():
        can_do(set().union(*map(brought, extras)), start.replace("%i", role).split())
    assert set(re.findall(r"\[([a-z]+)\]", "\n".join(re.findall(r"^#.*", UNIT, re.MULTILINE)))) <= set(EXTRAS)
