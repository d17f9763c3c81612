"""The base install in a fresh environment: small, without torch, and it takes an ECG over DICOM and acknowledges it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgfm_connectors.testing import cart, dicom_writer
from tests.helpers.command_lines import Told, run_lines
from tests.helpers.fakes import make_ecg, wait_until
from tests.helpers.own_wheel import own_wheel

ROOT = Path(__file__).parents[1]
LARGEST_MB = 225
COMPILED = 1.25  # of the size of a source, and more than what pip compiles takes (1.21)
#: What the extras bring and the base install goes without.
ABSENT = {"torch", "scikit-learn", "scipy", "pandas", "matplotlib", "wfdb", "onnx"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("ECGFM_", "PYTHON"))}

pytestmark = [pytest.mark.slow(16), pytest.mark.peer, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `bin` of an environment that holds the base install alone; skips where no package index answers."""
    folder = tmp_path_factory.mktemp("lean")
    probe = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-cache-dir",
        "-d",
        str(folder),
        "defusedxml",
    ]
    if subprocess.run(probe, capture_output=True, check=False, timeout=300).returncode != 0:
        pytest.skip("no package index answers: the base install cannot be tried")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    bin = folder / "venv" / "bin"
    # To compile everything takes as long as the rest; so each command compiles what it loads.
    done = pip(bin, "install", "-q", "--no-compile", str(own_wheel(tmp_path_factory)))
    assert done.returncode == 0, done.stderr[-3000:]
    return bin


def pip(bin: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The tests' own pip, at work in that environment."""
    line = [sys.executable, "-m", "pip", "--python", str(bin / "python"), *words]
    return subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=False)


#: What is done by hand first, in one process of that environment, so that its libraries are loaded once.
BY_HAND = ("init .", "inspect ecg.dcm --json", "ingest ecg.dcm", "send", "status", "predict ecg.dcm")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "ecg.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(1)))
    return folder


@pytest.fixture(scope="module")
def told(lean: Path, site: Path) -> dict[str, Told]:
    """What these command lines come to; `site` holds an installation then."""
    lines = [line.split() for line in BY_HAND]
    said = run_lines(lines, folder=site, python=lean / "python", environment=ENVIRONMENT)
    return dict(zip(BY_HAND, said, strict=True))


def run(lean: Path, site: Path, *words: str) -> str:
    """What the program of that environment says, started as people start it."""
    done = subprocess.run(
        [str(lean / "ecgfm-clinical"), *words], cwd=site, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_small_and_has_no_torch(lean: Path) -> None:
    (packages,) = (lean.parent / "lib").glob("python*/site-packages")
    files = [file for file in packages.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    size = sum(file.stat().st_size for file in files)
    size += int(COMPILED * sum(file.stat().st_size for file in files if file.suffix == ".py"))
    assert size <= LARGEST_MB * 1_000_000
    names = {one["name"].lower() for one in json.loads(pip(lean, "list", "--format=json").stdout)}
    assert "ecgfm-clinical" in names
    assert not names & ABSENT
    print(f"base install: {size / 1e6:.0f} MB in {len(names)} packages")


def test_its_version_names_the_commit(lean: Path, site: Path) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    ask = "from ecgfm.version import commit; print(commit())"
    told = subprocess.run(
        [str(lean / "python"), "-c", ask], cwd=site, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip().removesuffix("-dirty") == head
    assert re.fullmatch(r"ecgfm-clinical \d+\.\d+\S*\n", run(lean, site, "--version"))


def test_it_inspects_ingests_sends_and_counts(told: dict[str, Told]) -> None:
    predicted = told["predict ecg.dcm"]
    assert [line for line, one in told.items() if one.code] == ["predict ecg.dcm"]
    assert "pip install 'ecgfm-clinical[score]'" in predicted.err
    assert json.loads(told["inspect ecg.dcm --json"].out)["quality"] is None
    assert "staged" in told["ingest ecg.dcm"].out
    assert "0 messages taken" in told["send"].out
    assert "1 received" in told["status"].out


@pytest.mark.usefixtures("told")
def test_its_connecting_role_stages_what_a_cart_sends(lean: Path, site: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    settings = (site / "settings.toml").read_text(encoding="utf-8")
    settings = settings.replace("port = 11112", f"port = {port}").replace("port = 2575", f"port = {free_port()}")
    (site / "connect.toml").write_text(settings, encoding="utf-8")
    assert "not loaded: this installation connects" in run(lean, site, "check", "--settings", "connect.toml")
    log = site / "connect.log"
    with log.open("wb") as written:
        service = subprocess.Popen(
            [str(lean / "ecgfm-clinical"), "run", "--role", "connect", "--settings", "connect.toml"],
            cwd=site,
            env=ENVIRONMENT,
            stderr=written,
        )
    try:
        wait_until(lambda: b"service.started" in log.read_bytes(), timeout=120)
        (answer,) = cart.send([dicom_writer.write_ecg(make_ecg(2))], host="127.0.0.1", port=port)
        assert answer.status == 0x0000
        counts = run(lean, site, "status", "--settings", "connect.toml")
        assert re.search(r"from dicom +1 received", counts), counts
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(120) == 0
