"""`backfill run --to-store`: what the Parquet files say is in the store too, and nobody is told of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from ecgfm.predictor import Predictor
from ecgfm_clinical import wiring
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging import migrations
from ecgfm_clinical.staging.store import Store
from tests.clinical.conftest import Run
from tests.helpers.recordings import ECGS, write_recordings
from tests.helpers.tiny_models import write_tiny_bundle

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

pytestmark = pytest.mark.slow

SETTINGS = """
[site]
name = "Test Hospital"
authority = "TESTHOSP"
[store]
url = "sqlite:///{folder}/store.db"
min_free_mb = 0
[model]
bundle = "{bundle}"
device = "cpu"
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = 1
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "tiny")
    path = tmp_path / "settings.toml"
    path.write_text(SETTINGS.format(folder=tmp_path, bundle=tmp_path / "tiny"), encoding="utf-8")
    migrations.upgrade(read_settings(path).store_url)
    return path


@pytest.fixture
def store(settings: Path) -> Iterator[Store]:
    opened = wiring.open_store(read_settings(settings))
    yield opened
    opened.close()


def test_history_is_in_the_store_once_with_the_scores_of_the_data_set(
    run: Run, settings: Path, store: Store, tmp_path: Path
) -> None:
    archive, out = write_recordings(tmp_path / "ecgs"), tmp_path / "out"
    given: tuple[object, ...] = (
        "backfill",
        "run",
        archive,
        "--out",
        out,
        "--model",
        tmp_path / "tiny",
        "--device",
        "cpu",
    )
    given = (*given, "--workers", 0, "--part-rows", 4, "--settings", settings, "--to-store", "--json")
    code, said, err = run(*given)
    assert code == 0, err
    told = json.loads(said)
    assert (told["store"], told["store_complete"]) == ({"staged": ECGS - 1}, True), "the broken one stays outside"
    assert (told["store_scored"], told["store_left_to_score_role"]) == (ECGS - 1, "")
    (out / "history" / "part-000001.json").unlink()  # as if killed before its marker was written
    code, said, _ = run(*given)
    assert json.loads(said)["store"] == {"there already": 6, "duplicate": 3}
    assert store.questions.counts().received == ECGS - 1
    assert store.questions.count_table().by_source.keys() == {"backfill"}
    counts = store.questions.counts()
    assert counts.waiting == counts.failed == 0
    rows = {
        row["input_digest"]: row
        for part in (out / "predictions").iterdir()
        for row in parquet.read_table(part).to_pylist()
    }
    compared = 0
    for ecg_id in range(1, ECGS):
        story = store.ecgs.story(ecg_id)
        assert story.messages == ()
        (scoring,) = story.scorings
        for one in scoring.scores:
            if one.probability is not None:
                assert rows[scoring.input_digest][f"{one.head}.{one.label}.probability"] == one.probability
                compared += 1
    assert compared


def test_the_scores_are_those_that_the_score_role_would_give_and_no_network_is_asked_for_them(
    run: Run, settings: Path, store: Store, tmp_path: Path
) -> None:
    archive, out = write_recordings(tmp_path / "ecgs"), tmp_path / "out"
    given = ("backfill", "run", archive, "--out", out, "--model", tmp_path / "tiny", "--device", "cpu", "--workers", 0)
    assert run(*given, "--settings", settings)[0] == 0
    with mock.patch.object(Predictor, "predictions", side_effect=AssertionError("the tables hold the answers")):
        code, _, err = run(*given, "--settings", settings, "--to-store")
    assert code == 0, err
    by_run = [store.ecgs.story(ecg_id).scorings[-1] for ecg_id in range(1, ECGS)]
    store.jobs.rescore(range(1, ECGS), now=wiring.utc_now(), actor="operator")
    assert run("score", "--settings", settings)[0] == 0
    by_role = [store.ecgs.story(ecg_id).scorings[-1] for ecg_id in range(1, ECGS)]
    for one, other in zip(by_run, by_role, strict=True):
        assert one.scored_at < other.scored_at
        assert replace(one, scored_at=other.scored_at) == other


def test_another_model_than_the_live_one_leaves_the_scores_to_the_score_role(
    run: Run, settings: Path, store: Store, tmp_path: Path
) -> None:
    archive, out = write_recordings(tmp_path / "ecgs"), tmp_path / "out"
    given = ("backfill", "run", archive, "--out", out, "--device", "cpu", "--workers", 0, "--settings", settings)
    code, said, err = run(*given, "--model", "demo", "--to-store")
    assert code == 0, err
    assert "the store's score role is to score them: the live model is" in said
    assert store.questions.counts().waiting == ECGS - 1


def test_no_listener_may_be_called_as_history_is(run: Run, settings: Path) -> None:
    text = settings.read_text() + '[[sources.folder]]\nname = "backfill"\npath = "in"\n'
    settings.write_text(text)
    code, _, err = run("status", "--settings", settings)
    assert code == 1
    assert "may be called backfill" in err
