"""`backfill run --to-store`: what the Parquet files say is in the store too, and nobody is told of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    (out / "history" / "part-000001.json").unlink()  # as if killed before its marker was written
    code, said, _ = run(*given)
    assert json.loads(said)["store"] == {"there already": 6, "duplicate": 3}
    assert store.questions.counts().received == ECGS - 1
    assert store.questions.count_table().by_source.keys() == {"backfill"}
    run("score", "--settings", settings)
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


def test_no_listener_may_be_called_as_history_is(run: Run, settings: Path) -> None:
    text = settings.read_text() + '[[sources.folder]]\nname = "backfill"\npath = "in"\n'
    settings.write_text(text)
    code, _, err = run("status", "--settings", settings)
    assert code == 1
    assert "may be called backfill" in err
