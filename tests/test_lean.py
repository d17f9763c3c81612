"""A machine that only moves messages needs no model: the connecting side works without what the extras bring.

Here the extras' libraries are kept from being imported; `test_lean_install.py` does the same with a fresh environment.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ecgfm_clinical.extras import EXTRAS
from ecgfm_connectors.testing import dicom_writer
from tests.helpers.command_lines import Told, run_lines
from tests.helpers.fakes import make_ecg

pytestmark = pytest.mark.slow(8)

#: Whatever an extra brings, and pandas, which wfdb brings.
EVERY_EXTRA = sorted({module for modules in EXTRAS.values() for module in modules} | {"pandas"})
#: … where the extra `score` is installed, and no other.
ALL_BUT_SCORE = sorted(set(EVERY_EXTRA) - set(EXTRAS["score"]))


def program(missing: list[str]) -> str:
    """The start of a program in which these modules are not installed; it has `main`, the command line."""
    return f"""
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, NotInstalled())
sys.argv[0] = "ecgfm-clinical"
from ecgfm_clinical.cli import main
"""


#: What a connecting side does, in this order.
CONNECTING = {
    "init .": "",
    "ingest ecg.dcm": "staged",
    "ingest ecg.dcm --json": '"duplicate"',
    "status": "1 received",
    "show 1": "waiting",
    "send": "0 messages taken",
    "pull": "",
    "inspect ecg.dcm --npz ecg.npz": "not judged: that needs the extra score: pip install 'ecgfm-clinical[score]'",
    "inspect ecg.dcm --json": "",
    "inspect ecg.dcm --png ecg.png": "",
    "model list --json": "[]",
    "check --json": "",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `told` makes an installation without the extras; an ECG lies there."""
    folder = tmp_path_factory.mktemp("lean")
    (folder / "ecg.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(1)))
    return folder


@pytest.fixture(scope="module")
def told(site: Path) -> dict[str, Told]:
    """What these command lines come to, in one process; the ECG is staged then."""
    lines = [*CONNECTING, *NEEDS]
    return dict(zip(lines, run_lines([line.split() for line in lines], folder=site, hidden=EVERY_EXTRA), strict=True))


def test_the_connecting_side_works(told: dict[str, Told]) -> None:
    for line, says in CONNECTING.items():
        assert says in told[line].out, line
        if line not in ("check --json", "inspect ecg.dcm --png ecg.png"):
            assert told[line].code == 0, told[line].err


def test_the_store_takes_an_ecg_once(told: dict[str, Told]) -> None:
    (line,) = json.loads(told["ingest ecg.dcm --json"].out)
    assert (line["status"], line["ecg_id"]) == ("duplicate", [1])
    assert told["pull"].out == ""


def test_inspect_reads_a_file_and_leaves_quality_and_pictures_to_the_extra(site: Path, told: dict[str, Told]) -> None:
    assert (site / "ecg.npz").exists()
    read = json.loads(told["inspect ecg.dcm --json"].out)
    assert read["quality"] is None
    assert len(read["stored_leads"]) > 7
    drawn = told["inspect ecg.dcm --png ecg.png"]
    assert drawn.code == 1
    assert drawn.err == "error: drawing an ECG needs the extra score: pip install 'ecgfm-clinical[score]'\n"
    assert not (site / "ecg.png").exists()


def test_the_registry_of_models_is_shown(told: dict[str, Told]) -> None:
    assert json.loads(told["model list --json"].out) == []


def test_check_says_that_this_installation_does_not_score(told: dict[str, Told]) -> None:
    lines = {line["part"]: line["text"] for line in json.loads(told["check --json"].out)}
    assert lines["model"].startswith("not loaded: this installation connects and reports")
    assert lines["model"].endswith("pip install 'ecgfm-clinical[score]'")


#: Command line -> the extra that it needs.
NEEDS = {
    "demo": "score",
    "predict ecg.dcm": "score",
    "embed ecg.dcm --out embedded.npy": "score",
    "explain ecg.dcm --png saliency.png": "score",
    "score": "score",
    "run --role score": "score",
    "run --role all": "score",
    "run --role web": "web",
    "user list": "web",
    "token list": "web",
    "model show .": "score",
    "model bench .": "score",
    "demo-retrain": "train",
    "demo-feeds feeds": "train",
    "retrain troponin": "train",
    "evaluate troponin --model 3f9c2a": "train",
    "cross-validate --archive . --table labels.csv --out judged": "train",
    "drift": "train",
    "learning-curve troponin": "train",
    "pretrain --recipe recipe.toml --data . --out run": "train",
    "model probe . --data . --labels labels.csv": "train",
    "model map . --data . --labels labels.csv --out map.png": "train",
}


@pytest.mark.parametrize("command", NEEDS)
def test_what_needs_a_model_names_the_extra_in_one_sentence(command: str, told: dict[str, Told]) -> None:
    done = told[command]
    assert done.code == 1, done.err
    (sentence,) = done.err.splitlines()
    assert sentence.startswith("error: ")
    assert sentence.endswith(f"pip install 'ecgfm-clinical[{NEEDS[command]}]'")
    assert done.out == ""


def test_a_machine_that_scores_needs_none_of_what_trains(site: Path, told: dict[str, Told]) -> None:
    """`told` has staged the ECG."""
    lines = ("predict ecg.dcm", "score", "model list", "inspect ecg.dcm --png scored.png")
    scored = run_lines([line.split() for line in lines], folder=site, hidden=ALL_BUT_SCORE)
    for one, says in zip(scored, ("p 0.", "1 score jobs taken", "live", ""), strict=True):
        assert one.code == 0, one.err
        assert says in one.out
    assert (site / "scored.png").stat().st_size > 10_000


def test_help_loads_none_of_the_libraries_that_do_the_work(site: Path) -> None:
    heavy = ["numpy", "sqlalchemy", "pydantic", "pydicom", "pynetdicom", "hl7apy", "cryptography", *EVERY_EXTRA]
    ask = f"""
try:
    main()
finally:
    sys.stderr.write(",".join(sorted(set({heavy!r}) & set(sys.modules))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program(EVERY_EXTRA) + ask, "--help"],
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "inspect" in done.stdout
    assert done.stderr == ""
