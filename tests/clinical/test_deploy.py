"""What deploy/ says is true to the code."""

import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from sqlalchemy.engine import make_url

from ecgfm_clinical.cli import app
from ecgfm_clinical.cli.operate import RoleChoice
from ecgfm_clinical.ecg import evaluability
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.documents import write_json
from ecgfm_clinical.operate.setup import example_settings
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_clinical.settings.reading import fields_of, part_in
from tests.clinical.conftest import Run

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")


def test_both_example_settings_are_settings(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(example_settings(), encoding="utf-8")
    assert read_settings(tmp_path / "settings.toml").listeners.dicom[0].port == 11112
    assert read_settings(DEPLOY / "settings.example.toml").destination_names == ("ehr",)


def test_the_settings_of_a_whole_site_are_written_by_the_command(run: Run, tmp_path: Path) -> None:
    """To make it anew: `ecgfm-clinical check --keys --settings deploy/settings.example.toml`."""
    written = (DEPLOY / "settings.example.toml").read_text(encoding="utf-8")
    code, out, _ = run("check", "--keys", "--settings", str(DEPLOY / "settings.example.toml"))
    assert (code, out) == (0, written)


def every_key(part: type, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each key of the settings, with the tables it stands in; names of heads and sites left out."""
    for name, annotation in fields_of(part).items():
        inner = part_in(annotation)
        if inner is not None:
            yield from every_key(inner, (*path, name))
        elif (*path, name) != ("folder",):
            yield (*path, name)


@pytest.mark.parametrize("text", [example_settings(), (DEPLOY / "settings.example.toml").read_text(encoding="utf-8")])
def test_every_key_is_shown_and_explained(text: str) -> None:
    shown: set[tuple[str, ...]] = set()
    table: tuple[str, ...] = ()
    for line in text.splitlines():
        if head := re.match(r"(?:# )?\[\[?([\w.]+)\]\]? +# .*\w", line):
            names = head[1].split(".")
            table = tuple(one for one in names if one not in ("reduced_lvef", "troponin", "interpretation", "North"))
            table = ("learning", "troponin", *names[2:]) if names[:2] == ["learning", "troponin"] else table
        elif key := re.match(r"(?:# )?([a-z_]+) = .*  # .*\w", line):
            shown.add((*table, key[1]))
    assert shown == set(every_key(Settings))


def test_every_part_that_the_example_leaves_as_a_comment_is_a_setting_too(tmp_path: Path) -> None:
    uncommented = re.sub(r"^# (?=\[|[a-z_]+ = )", "", example_settings(), flags=re.MULTILINE)
    (tmp_path / "settings.toml").write_text(uncommented, encoding="utf-8")
    settings = read_settings(tmp_path / "settings.toml")
    assert settings.sources.names == ("drop", "sftp", "pacs", "pacs-web")
    assert settings.destination_names == ("ehr", "results", "fhir", "fhir-files", "archive", "archive-web")


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


COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNIT = (DEPLOY / "ecgfm-clinical@.service").read_text(encoding="utf-8")
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def _mounts(service: Mapping[str, Any]) -> dict[str, tuple[str, bool]]:
    """Path in the container -> (where from, whether it may be written)."""
    parts = [volume.split(":") for volume in service["volumes"]]
    return {target: (origin, mode != ["ro"]) for origin, target, *mode in parts}


@pytest.mark.parametrize("name", OURS)
def test_a_compose_service_builds_a_target_that_exists_and_runs_a_command_that_exists(name: str, run: Run) -> None:
    service = OURS[name]
    assert re.search(rf"^FROM \S+ AS {service['build']['target']}$", DOCKERFILE, re.MULTILINE)
    assert run(*service["command"], *([] if "--help" in service["command"] else ["--help"]))[0] == 0
    assert set(service["depends_on"]) <= set(COMPOSE["services"])


def test_compose_mounts_what_image_and_settings_name(tmp_path: Path) -> None:
    (where,) = set(re.findall(r"ECGFM_SETTINGS=(\S+)", DOCKERFILE))
    settings = read_settings(DEPLOY / "settings.example.toml")
    for service in OURS.values():
        mounts = _mounts(service)
        assert mounts[where] == ("./settings.toml", False)
        assert settings.store.password_file is not None
        assert str((Path(where).parent / settings.store.password_file).parent) in mounts
    assert COMPOSE["secrets"]["database-password"]["file"] == str(settings.store.password_file)
    database = COMPOSE["services"]["database"]["environment"]
    url = make_url(settings.store.url)
    assert (url.host, url.username, url.database) == ("database", database["POSTGRES_USER"], database["POSTGRES_DB"])
    named = {volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    assert {one for one in named if not one.startswith(".")} == set(COMPOSE["volumes"])


def test_compose_opens_the_ports_that_the_settings_open() -> None:
    settings = read_settings(DEPLOY / "settings.example.toml")
    opened = {int(port.split(":")[1]) for port in COMPOSE["services"]["connect"]["ports"]}
    assert opened == {part.port for part in settings.listeners.all}


@pytest.mark.parametrize("name", ["score", "train"])
def test_what_scores_and_what_trains_may_write_where_models_lie(name: str) -> None:
    settings = read_settings(DEPLOY / "settings.example.toml")
    kept = settings.learning.folder
    assert kept.is_absolute(), "relative, it would lie beside the settings, which are mounted read-only"
    assert _mounts(OURS[name])[str(kept)] == ("models", True)
    (home,) = re.findall(r"--home-dir (\S+)", DOCKERFILE)
    (folder,) = re.findall(r"^USER ecgfm\nWORKDIR \S+\n(?:#.*\n)*RUN mkdir (\w+)$", DOCKERFILE, re.MULTILINE)
    assert str(kept) == f"{home}/{folder}", "made in the image by its user, so that the volume is his"


def test_a_unit_starts_each_role_and_may_write_where_the_settings_keep_things() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd's own, in their spelling
    unit.read_string(UNIT)
    service = unit["Service"]
    program, *words = service["ExecStart"].split()
    assert program.endswith("/bin/ecgfm-clinical")
    roles = re.findall(r"ecgfm-clinical@(\w+)", UNIT)
    assert set(roles) == {"connect", "score", "report", "web", "all"}
    assert {choice.value for choice in RoleChoice} == set(roles)
    assert words == ["run", "--role", "%i"]
    kept = read_settings(DEPLOY / "settings.example.toml").learning.folder
    assert kept.is_relative_to(service["ReadWritePaths"])
    assert service["StateDirectory"] == Path(service["ReadWritePaths"]).name
    assert service["KillSignal"] == re.findall(r"^STOPSIGNAL (\w+)$", DOCKERFILE, re.MULTILINE)[0]
    assert service["Environment"] in DOCKERFILE


def test_a_folder_that_cannot_be_written_is_not_called_full(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LearningError, match=r"name a folder that this user may write: learning\.folder"):
        write_json(tmp_path / "file" / "run.json", {})


@pytest.mark.peer
def test_systemd_finds_little_that_the_unit_leaves_open() -> None:
    """`systemd-analyze security` gives points from 0 (safe) to 10; it counts tenths here."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    words = [program, "security", "--no-pager", "--offline=yes"]
    points = {
        most: subprocess.run(
            [*words, f"--threshold={most}", str(DEPLOY / "ecgfm-clinical@.service")], capture_output=True, check=False
        ).returncode
        for most in (1, 20)
    }
    assert points == {1: 1, 20: 0}
