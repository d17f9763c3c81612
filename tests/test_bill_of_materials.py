"""What a deployment is made of can be said in one command, and nothing of it has a licence that must not be shipped."""

import csv
import importlib.util
import json
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "deploy" / "bill_of_materials.py"
CONSTRAINTS = ROOT / "deploy" / "constraints.txt"
_spec = importlib.util.spec_from_file_location("bill_of_materials", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
bill = importlib.util.module_from_spec(_spec)
sys.modules["bill_of_materials"] = bill  # dataclasses look their module up there
_spec.loader.exec_module(bill)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four files of this environment; the command succeeds only where every licence may be shipped."""
    folder = tmp_path_factory.mktemp("bill")
    assert bill.main([str(folder), "--without-hashes"]) == 0
    return folder


def test_the_lock_names_what_is_installed_and_nothing_else(written: Path) -> None:
    lines = (written / "lock.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines)
    assert {"numpy", "torch", "pydicom", "pynetdicom", "hl7apy", "sqlalchemy", "apscheduler", "wfdb", "onnx"} <= set(
        pinned
    )
    assert not {"pytest", "ruff", "mypy", "ecgfm-clinical"} & set(pinned)
    assert all(version(name) == exact for name, exact in pinned.items())
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.+!]+", line) for line in lines)


def test_the_sbom_is_cyclonedx_and_knows_who_asks_for_whom(written: Path) -> None:
    from cyclonedx.schema import SchemaVersion  # a second to load, which every worker would spend in vain
    from cyclonedx.validation.json import JsonStrictValidator

    text = (written / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    told = json.loads(text)
    assert told["metadata"]["component"]["name"] == "ecgfm-clinical"
    names = {one["bom-ref"]: one["name"] for one in told["components"]}
    asks = {names.get(one["ref"], ""): {names[ref] for ref in one.get("dependsOn", ())} for one in told["dependencies"]}
    assert "pydicom" in asks["pynetdicom"]
    assert "hl7apy" in asks[""]


def test_every_package_has_its_licence_in_the_list(written: Path) -> None:
    with (written / "licences.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len((written / "lock.txt").read_text(encoding="utf-8").splitlines())
    assert all(row["licence"] or row["shipped because"] for row in rows)
    assert {row["package"] for row in rows if row["shipped because"]} <= {
        *("paramiko", "psycopg", "psycopg-binary", "pyphen"),
        *(row["package"] for row in rows if row["package"].startswith(("nvidia-", "cuda-"))),
    }


@pytest.mark.parametrize(
    "licence",
    [
        "",
        "GPL-3.0-only",
        "GPLv2",
        "AGPL-3.0-or-later",
        "LGPL-2.1",
        "GNU General Public License v3 (GPLv3)",
        "GNU Affero General Public License v3",
        "MIT AND GPL-2.0-or-later",
        "SSPL-1.0",
        "LicenseRef-NVIDIA-Proprietary",
    ],
)
def test_what_must_not_be_shipped_is_refused_unless_a_reason_is_written(licence: str) -> None:
    assert bill.Package(name="x", version="1", licence=licence).refused
    assert not bill.Package(name="x", version="1", licence=licence, reason="a reason").refused


@pytest.mark.parametrize("licence", ["MIT", "BSD-3-Clause", "MPL-2.0 AND MIT", "Python Software Foundation License"])
def test_what_may_be_shipped_needs_no_reason(licence: str) -> None:
    assert not bill.Package(name="x", version="1", licence=licence).refused


def test_the_command_fails_and_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bill, "EXCEPTIONS", {})
    monkeypatch.setattr(bill, "extras_of", lambda project: {"sftp"})
    assert bill.main([str(tmp_path), "--without-hashes"]) == 1
    assert re.search(r"^paramiko \S+: licence LGPL-2.1 must not be shipped$", capsys.readouterr().err, re.MULTILINE)


def test_the_base_install_asks_for_no_torch() -> None:
    lean = {one.name for one in bill.closure("ecgfm-clinical", ())}
    assert {"numpy", "pydicom", "sqlalchemy"} <= lean
    assert not lean & {"torch", "scikit-learn", "scipy", "pandas", "matplotlib", "wfdb", "onnx"}
    assert "torch" in {one.name for one in bill.closure("ecgfm-clinical", {"train"})}


def test_the_constraints_hold_one_version_of_everything_that_the_project_asks_for() -> None:
    pinned = dict(line.split("==") for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        name: lines
        for name, lines in project["optional-dependencies"].items()
        if name not in ("gpu", "ray", "docs", "test")
    }
    asked = [Requirement(line) for lines in (project["dependencies"], *extras.values()) for line in lines]
    for one in asked:
        if one.name != "ecgfm-clinical":
            assert one.specifier.contains(pinned[canonicalize_name(one.name)]), one.name
