"""From the command line: retrain, list, promote, score, history, card, shadow, drift, rollback,
and what each refuses.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ecgfm_clinical.cli import app
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.errors import ClinicalError, GateRefused, InputError, NotFound
from ecgfm_connectors.testing import dicom_writer
from tests.helpers.fakes import Clock

pytestmark = [pytest.mark.slow(35), pytest.mark.usefixtures("quick_judging", "without_pictures")]

SETTINGS = """\
[site]
name = "Test clinic"
[store]
url = "sqlite:///staging.sqlite"
min_free_mb = 0
[model]
bundle = "base"
device = "cpu"
[learning]
calibration_folds = {folds}
[learning.rivals]
beside = []
[learning.gate]
min_positives = {positives}
min_negatives = 3
margin = 1.0
slope = [-9, 9]
intercept = 9
beat_baselines = false
"""

Command = Callable[..., Any]


@pytest.fixture
def command(clinic_template: Path, tmp_path: Path) -> Command:
    """Runs a command on a copy of the clinic; its JSON where it writes some, else its text."""
    shutil.copytree(clinic_template, tmp_path / "clinic")
    write_settings(tmp_path / "clinic")
    return command_in(tmp_path / "clinic")


def command_in(folder: Path) -> Command:
    def run(*words: str, fails: type[ClinicalError] | int | None = None) -> Any:
        arguments: Sequence[str] = [*words, "--settings", str(folder / "settings.toml")]
        done = CliRunner().invoke(app, arguments)
        if isinstance(fails, type):
            assert isinstance(done.exception, fails), done.output
            return str(done.exception)
        assert done.exit_code == (fails or 0), (done.output, done.exception)
        return json.loads(done.stdout) if "--json" in words else done.stdout

    return run


@pytest.fixture(scope="module")
def with_candidate(clinic_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A clinic whose first `retrain` is done, and what that told; copied for each test."""
    folder = tmp_path_factory.mktemp("candidate") / "clinic"
    shutil.copytree(clinic_template, folder)
    write_settings(folder)
    told = command_in(folder)("retrain", "reduced_lvef", "--method", "linear", "--json")
    assert told["passed"]
    assert Path(told["report"]).is_file()
    return folder, told


@pytest.fixture
def later(with_candidate: tuple[Path, dict[str, Any]], tmp_path: Path) -> Command:
    """Runs a command on a copy of the clinic with a candidate."""
    shutil.copytree(with_candidate[0], tmp_path / "clinic")
    return command_in(tmp_path / "clinic")


@pytest.fixture
def made(with_candidate: tuple[Path, dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    """What `retrain` told of the candidate, its bundle in this test's copy."""
    folder, told = with_candidate
    return told | {"bundle": str(tmp_path / "clinic" / Path(told["bundle"]).relative_to(folder))}


def write_settings(folder: Path, positives: int = 3, folds: int = 2) -> None:
    (folder / "settings.toml").write_text(SETTINGS.format(positives=positives, folds=folds))


def test_a_head_from_messages_to_results_and_back(later: Command, made: dict[str, Any], tmp_path: Path) -> None:
    assert [one["state"] for one in later("model", "list", "--json")] == ["candidate", "live"]
    later("model", "promote", made["model_id"][:12], "--reason", "better than nothing")
    later("score", "--json")
    status = later("status", "--json")
    assert status["model"]["live"]["model_id"] == made["model_id"]
    story = later("show", "1", "--json")
    assert story["scorings"][0]["model_id"] == made["model_id"]
    (live,) = later("model", "history", "--at", "2100-01-01T00:00:00", "--json")
    assert live["model_id"] == made["model_id"]
    assert later("model", "history", "--at", "2000-01-01T00:00:00", fails=NotFound).startswith("no model was live")
    card = later("model", "card", made["model_id"][:12])
    assert "Trained at Test clinic" in card
    assert "external validation" in card.lower()
    told = CliRunner().invoke(app, ["drift", "--json", "--settings", str(tmp_path / "clinic" / "settings.toml")])
    drift = json.loads(told.stdout)
    assert told.exit_code == (1 if drift["findings"] else 0), (told.output, told.exception)
    assert drift["model_id"] == made["model_id"]
    assert {"amplitude", "noise", "rate", "device", "site", "embedding"} == set(drift["inputs"])
    assert "reduced_lvef" in drift["heads"]
    status = later("status", "--json")
    assert len(status["model"]["drift"]["findings"]) == len(drift["findings"])
    later("model", "rollback", "--reason", "only a test")
    acts = [one["action"] for one in later("model", "history", "--json")]
    assert acts == ["registered", "installed", "registered", "promoted", "rolled-back"]


def test_a_replay_is_exact_whatever_is_live_now(later: Command, made: dict[str, Any], tmp_path: Path) -> None:
    def scored(number: int) -> str:
        """Take a new ECG in, score it; its number in the store."""
        visit = next(clinic.visits(1, now=Clock().now, seed=number))
        (tmp_path / f"{number}.dcm").write_bytes(dicom_writer.write_ecg(visit.ecg))
        ((ecg_id,),) = [one["ecg_id"] for one in later("ingest", str(tmp_path / f"{number}.dcm"), "--json")]
        later("score")
        return str(ecg_id)

    def replayed(ecg: str) -> str:
        told = later("replay", ecg, "--json")
        assert told["exact"]
        assert told["compared"] == 1
        return str(told["model_id"])

    old = scored(101)
    base = replayed(old)
    later("model", "promote", made["bundle"], "--reason", "by its folder")
    new = scored(102)
    assert (replayed(old), replayed(new)) == (base, made["model_id"])
    later("model", "rollback")
    assert (replayed(old), replayed(new)) == (base, made["model_id"])


def test_two_heads_that_were_fine_tuned_apart_are_live_together(command: Command, tmp_path: Path) -> None:
    """Promoted one after the other, scored in files and in the store, replayed, and taken back."""
    write_settings(tmp_path / "clinic", folds=0)
    full = ("--method", "full", "--epochs", "1", "--batch-size", "64", "--learning-rate", "1e-3", "--json")
    made: dict[str, Any] = {}
    for head in ("reduced_lvef", "troponin"):
        made[head] = command("retrain", head, *full)
        command("model", "promote", made[head]["model_id"][:12], "--reason", "better than nothing")
    first, both = made["reduced_lvef"], made["troponin"]
    assert [len(one["cost"]["encoders"]) for one in (first, both)] == [1, 2]
    shown = CliRunner().invoke(app, ["model", "show", both["bundle"]])
    assert "2 encoders: each ECG takes two passes" in shown.stdout
    card = command("model", "card", both["model_id"][:12])
    assert "Cost: 2 encoders: each ECG takes two passes" in card
    assert "Encoder 2 of 2." in card
    reports = [Path(one["report"]).read_text(encoding="utf-8") for one in (first, both)]
    assert ["two passes" in one for one in reports] == [False, True]
    visit = next(clinic.visits(1, now=Clock().now, seed=103))
    (tmp_path / "103.dcm").write_bytes(dicom_writer.write_ecg(visit.ecg))
    ((ecg_id,),) = [one["ecg_id"] for one in command("ingest", str(tmp_path / "103.dcm"), "--json")]
    command("score")
    stored = {
        one["label"]: one["probability"] for one in command("show", str(ecg_id), "--json")["scorings"][-1]["scores"]
    }
    found = [
        json.loads(
            CliRunner().invoke(app, ["predict", str(tmp_path / "103.dcm"), "--model", one["bundle"], "--json"]).stdout
        )
        for one in (first, both)
    ]
    alone, beside = ({label["label"]: label["probability"] for label in one[0]["heads"]} for one in found)
    assert set(beside) == {"reduced_lvef", "troponin"}
    assert alone == {"reduced_lvef": beside["reduced_lvef"]}
    assert stored == beside
    assert command("replay", str(ecg_id), "--json")["exact"]
    command("model", "rollback", "--reason", "only a test")
    assert command("status", "--json")["model"]["live"]["model_id"] == first["model_id"]
    assert command("replay", str(ecg_id), "--json")["exact"], "by the model that gave the answer"


#: torchrun of a process that has loaded what both of its own would each load anew; they are copies of it (fork).
TORCHRUN = """\
import gc
import lightning.fabric, scipy.stats, sklearn.linear_model, torch.distributed.run, torchmetrics.functional
import ecgfm_clinical.cli, ecgfm_clinical.learning.workshop, ecgfm_clinical.wiring
gc.freeze()  # a collection would make copies of all its pages
torch.distributed.run.main()
"""
#: To torchrun a forked process has done its work when it returns.
COMMAND = """\
from ecgfm_clinical.cli import main
try:
    main()
except SystemExit as ended:
    if ended.code:
        raise
"""


def test_two_processes_train_one_candidate(command: Command, tmp_path: Path) -> None:
    for name, text in (("torchrun.py", TORCHRUN), ("ecgfm_clinical_command.py", COMMAND)):
        (tmp_path / name).write_text(text)
    words = ["retrain", "reduced_lvef", "--method", "full", "--epochs", "1", "--batch-size", "64", "--json"]
    options = ["--standalone", "--nproc-per-node=2", "--start-method=fork", "--run-path"]
    script, settings = tmp_path / "ecgfm_clinical_command.py", tmp_path / "clinic" / "settings.toml"
    done = subprocess.run(
        [sys.executable, tmp_path / "torchrun.py", *options, script, *words, "--settings", settings],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stderr
    made = json.loads(done.stdout)  # one process speaks
    assert (done.returncode == 0) == made["passed"]
    candidate, live = command("model", "list", "--json")
    assert (candidate["model_id"], candidate["state"], live["state"]) == (made["model_id"], "candidate", "live")
    settings = json.loads((Path(made["bundle"]) / "bundle.json").read_text())["provenance"]["heads"]["reduced_lvef"]
    assert settings["training"]["devices"] == 2


def test_one_that_is_killed_leaves_no_candidate_and_its_repeat_goes_on(command: Command, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal\n"
        "from ecgfm_clinical.cli import main\n"
        "from ecgfm_clinical.learning import experiment\n"
        "experiment.Judge.compare = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main()\n"
    )
    words = ["retrain", "reduced_lvef", "--method", "linear", "--json"]
    settings = ["--settings", str(tmp_path / "clinic" / "settings.toml")]
    done = subprocess.run([sys.executable, str(script), *words, *settings], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [one["state"] for one in command("model", "list", "--json")] == ["live"]
    waiting = command("status", "--json", fails=1)  # unscored ECGs
    assert waiting["needs_person"]["failing_tasks"] == []
    ((run,),) = [list((tmp_path / "clinic").glob("**/run.json"))]
    made = command(*words)
    assert [one["state"] for one in command("model", "list", "--json")] == ["candidate", "live"]
    assert list((tmp_path / "clinic").glob("**/run.json")) == [run], "the same run, as of the same moment"
    assert (run.parent / "finished.json").exists()
    assert made["passed"]


def test_a_linear_probe_is_refused_where_torchrun_started_several(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    linear = ("retrain", "reduced_lvef", "--method", "linear")
    assert "a linear probe is fitted by one process" in command(*linear, fails=InputError)
    assert "auto is chosen by one process" in command("retrain", "reduced_lvef", fails=InputError)


def test_what_the_gate_refuses_exits_with_1_and_is_not_promoted(command: Command, tmp_path: Path) -> None:
    write_settings(tmp_path / "clinic", positives=500)
    made = command("retrain", "reduced_lvef", "--method", "linear", "--json", fails=1)
    assert "500 needed" in made["refusals"][0]
    assert "500 needed" in command("model", "promote", made["model_id"], fails=GateRefused)
    states = {one["model_id"]: one["state"] for one in command("model", "list", "--json")}
    assert states[made["model_id"]] == "candidate"


def test_a_shadow_is_put_and_ended(later: Command, made: dict[str, Any]) -> None:
    assert "in the shadow" in later("model", "shadow", fails=NotFound)
    later("model", "shadow", made["model_id"])
    told = later("model", "shadow", "--json")
    assert (told["model_id"], told["ecgs"]) == (made["model_id"], 0)
    # Exit code 1: the clinic's ECGs have been waiting for a score for too long.
    assert later("status", "--json", fails=1)["model"]["shadow"]["model_id"] == made["model_id"]
    later("model", "shadow", "--off")
    assert later("status", "--json", fails=1)["model"]["shadow"] is None


def test_evaluate_judges_the_live_model_and_recalibrate_makes_a_new_one(command: Command) -> None:
    told = command("evaluate", "reduced_lvef", "--json")
    assert told["labels"]["reduced_lvef"]["ecgs"] > 0
    text = command("model", "recalibrate", "reduced_lvef", "--what", "specificity", "--at-least", "0.8")
    assert "report" in text
    assert "chosen on validation ECGs" in text, "the live model came with its bundle"
    assert len(command("model", "list", "--json")) == 2


def test_what_cannot_be_done_is_one_sentence(command: Command) -> None:
    assert "nothing to roll back" in command("model", "rollback", fails=NotFound)
    assert "neither a bundle folder nor a registered model" in command(
        "retrain", "reduced_lvef", "--from", "nothing", fails=NotFound
    )
    assert "needs --prevalence" in command("model", "recalibrate", "reduced_lvef", "--what", "ppv", fails=InputError)


def test_options_of_another_method_are_refused(command: Command) -> None:
    retrain = ("retrain", "reduced_lvef")
    assert "belongs to --method auto" in command(*retrain, "--method", "linear", "--budget", "5", fails=InputError)
    assert "belong to a named --method" in command(*retrain, "--epochs", "2", fails=InputError)


def test_the_demo_commands_exist() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    for name in ("retrain", "evaluate", "drift", "cross-validate", "demo-retrain"):
        assert name in shown
