"""Images, compose services and the systemd unit hold what their role needs, as far as can be seen without an engine."""

import json
import re
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


@pytest.mark.parametrize("target", ["connect", "report"])
def test_what_moves_messages_holds_no_torch(target: str) -> None:
    held = packages(target)
    assert not held & (brought("score") | brought("train") | brought("onnx"))
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
    assert set(said) == set(ROLES)
    for role in ROLES:
        can_do(set().union(*map(brought, said[role])), start.replace("%i", role).split())
    assert set(re.findall(r"\[([a-z]+)\]", "\n".join(re.findall(r"^#.*", UNIT, re.MULTILINE)))) <= set(EXTRAS)
