"""What cardiologists said in the console of the live model's answers judges a model: from the click to the report."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random

import httpx
import pytest
import torch
from typer.testing import CliRunner, Result

from ecgfm.checkpoint import Bundle
from ecgfm.heads import REDUCED_LVEF
from ecgfm.network import EcgFm
from ecgfm.provenance import Provenance
from ecgfm_clinical import scorers
from ecgfm_clinical.cli import app
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.errors import InputError, LearningError
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.users import Role, UsersFile
from ecgfm_connectors.contents import Contents
from tests.clinical.learning.conftest import stage
from tests.clinical.web.conftest import HASHER, PASSWORD
from tests.helpers.fakes import Clock
from tests.helpers.tiny_models import TINY
from tests.helpers.web_port import serving

pytestmark = [pytest.mark.slow(12), pytest.mark.usefixtures("quick_judging", "without_pictures")]

SETTINGS = """\
[site]
name = "Test clinic"
[store]
url = "sqlite:///staging.sqlite"
min_free_mb = 0
[model]
bundle = "base"
device = "cpu"
[web]
users = "web-users"
cardiologists = ["ada", "ben"]
"""
#: The second label is never judged by anybody.
HEAD = replace(
    REDUCED_LVEF,
    labels=("reduced_lvef", "another"),
    aggregation={"reduced_lvef": "mean", "another": "mean"},
    operating_points={"reduced_lvef": 0.5, "another": 0.5},
)
LABEL = "reduced_lvef"
#: Splits hash patient keys with the store's own secret: by this one these visits are of test patients, and
#: that one is not.
SECRET = 33
TESTED = (3, 5, 14, 18, 19, 23, 24, 25, 27, 29, 30, 33, 37, 45, 57)
TRAINED = 59
Say = Callable[[str, int, bool], None]  #: cardiologist, ECG, whether the label is there


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation whose ECGs have an answer yes or no; copied for each test."""
    folder = tmp_path_factory.mktemp("cardiologists")
    (folder / "settings.toml").write_text(SETTINGS)
    provenance = Provenance(origin={"training": "none"})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = EcgFm(TINY, (HEAD,))
    Bundle.write(folder / "base", network, name="base", version="1", demo=True, provenance=provenance)
    users = UsersFile(folder / "web-users", HASHER)
    for name in ("ada", "ben"):
        users.add(name, Role.VIEWER, PASSWORD)
    settings, now = read_settings(folder / "settings.toml"), Clock().now
    store = Store.open(settings.store_url, create=True, random_bytes=Random(SECRET).randbytes)
    for visit in clinic.visits(60, now=now):
        if visit.number in (*TESTED, TRAINED):
            stage(store, Contents(ecgs=(visit.ecg,)), visit.ecg.source_id.encode(), now)
    scorer = scorers.build_live_scorer(settings, store)
    while scorer.run_batch():
        pass
    store.close()
    return folder


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    shutil.copytree(scored, tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def say(folder: Path) -> Iterator[Say]:
    """What a cardiologist says by the form on the page of an ECG."""
    settings = read_settings(folder / "settings.toml")
    with ExitStack() as closing:
        store = Store.open(settings.store_url)
        closing.callback(store.close)
        address = closing.enter_context(serving(build_console(settings, store, hasher=HASHER)))
        people = {}
        for name in ("ada", "ben"):
            client = closing.enter_context(httpx.Client(base_url=address, headers={"Origin": address}, timeout=120))
            assert client.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
            people[name] = client

        def said(name: str, ecg_id: int, present: bool) -> None:
            scores = store.ecgs.story(ecg_id).scorings[-1].scores
            answered = next(one.positive for one in scores if one.label == LABEL)
            assert answered is not None
            verdict = "agree" if answered is present else "disagree"
            form = {"head": HEAD.name, "label": LABEL, "verdict": verdict, "word": "wall motion"}
            done = people[name].post(f"/ecgs/{ecg_id}/opinion", data=form)
            assert done.status_code == 303, done.text

        yield said


def evaluated(folder: Path, *words: str) -> Result:
    asked = ["evaluate", HEAD.name, "--labels", "cardiologists", *words, "--settings", str(folder / "settings.toml")]
    return CliRunner().invoke(app, asked)


def test_words_on_test_patients_judge_the_live_model_and_are_no_evidence(folder: Path, say: Say) -> None:
    """Of two who differ neither counts, the newest word of one does, and what trains a head is no test of it."""
    for ecg_id in range(1, len(TESTED)):
        say("ada", ecg_id, ecg_id % 2 == 0)
    say("ada", 1, True)
    say("ben", 2, False)
    say("ada", len(TESTED) + 1, True)
    done = evaluated(folder, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    told = json.loads(done.stdout)
    judged = told["labels"]
    assert list(judged) == [LABEL]
    assert (judged[LABEL]["ecgs"], judged[LABEL]["positives"]) == (len(TESTED) - 2, 7)
    assert told["passed"] is None
    assert told["labels_not_judged"] == {"another": "0 positive and 0 negative test ECGs, 5 of each needed"}
    report = Path(told["report"]).read_text()
    assert "What most cardiologists said who had seen the model" in report
    assert "no evidence for a promotion" in report
    assert "may be promoted" not in report
    assert "NOT JUDGED: another" in report
    lines = (Path(told["report"]).parent / "predictions.csv").read_text().splitlines()
    assert len(lines) == 1 + len(TESTED) - 2
    text = evaluated(folder).stdout
    assert f"{LABEL}: AUROC" in text
    assert "nothing was registered" in text
    assert "model promote" not in text
    settings = ("--settings", str(folder / "settings.toml"))
    (only,) = json.loads(CliRunner().invoke(app, ["model", "list", "--json", *settings]).stdout)
    assert (only["model_id"], only["state"]) == (told["model_id"], "live")


def test_too_few_words_are_said_with_what_to_do(folder: Path, say: Say) -> None:
    assert "0 positive and 0 negative test ECGs, 5 of each needed" in str(evaluated(folder).exception)
    for ecg_id in range(1, 7):
        say("ada", ecg_id, True)
    failed = evaluated(folder).exception
    assert isinstance(failed, LearningError)
    assert f"{LABEL}: 6 positive and 0 negative test ECGs, 5 of each needed" in str(failed)
    assert "more of them are needed" in str(failed)
    assert isinstance(evaluated(folder, "--rival", "other.onnx").exception, InputError)
