"""Commands on a store that was restored or copied, before any service has started on it."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.settings import read_settings
from ecgfm_connectors.testing import dicom_writer
from tests.clinical.conftest import Run
from tests.helpers.fakes import make_ecg

pytestmark = pytest.mark.slow(10)


@pytest.fixture
def lived_in(site: Path, run: Run, tmp_path: Path) -> Path:
    """A site that has sent one result, with another ECG that is not scored yet."""
    site.write_text(
        '[model]\nbundle = "tiny"\n[store]\nmin_free_mb = 0\n[[destinations.file]]\nname = "out"\npath = "out"\n'
    )
    (site.parent / "out").mkdir()
    for number in (1, 2):
        recording = tmp_path / f"{number}.dcm"
        recording.write_bytes(dicom_writer.write_ecg(make_ecg(number)))
        assert run("ingest", recording, "--settings", site)[0] == 0
        if number == 1:
            assert run("score", "--settings", site)[0] == 0
            assert run("send", "--settings", site)[0] == 0
    return site


@pytest.fixture
def copied(lived_in: Path, tmp_path: Path) -> Path:
    shutil.copytree(lived_in.parent, tmp_path / "copy")
    return tmp_path / "copy" / lived_in.name


def fillers(site: Path, ecg_id: int) -> set[str]:
    with closing(wiring.open_store(read_settings(site))) as store:
        return {result.filler for result in store.ecgs.story(ecg_id).recording.results}


def test_check_tells_of_a_store_that_was_copied(run: Run, lived_in: Path, copied: Path) -> None:
    """It said that all was well, and the copy's first result had a number that the original gave out too."""
    assert run("check", "--settings", lived_in)[0] == 0
    code, out, _ = run("check", "--settings", copied)
    assert code == 1
    assert "store adopt" in out


def test_check_tells_of_a_store_that_ends_before_what_was_sent(run: Run, lived_in: Path) -> None:
    mark = lived_in.parent / "sent-out.mark"
    mark.write_text(mark.read_text().replace('"message_id": 1', '"message_id": 7'))
    code, out, _ = run("check", "--settings", lived_in)
    assert code == 1
    assert "ends before the last message" in out


def test_a_command_on_a_copy_gives_out_no_number_of_the_original(run: Run, lived_in: Path, copied: Path) -> None:
    for site in (lived_in, copied):
        code, _, told = run("score", "--settings", site)
        assert code == 0
        assert ("Nothing is sent" in told) == (site == copied)
    assert fillers(copied, 2)
    assert not fillers(copied, 2) & fillers(lived_in, 2)


def test_a_correction_in_a_copy_has_a_number_of_a_new_epoch(run: Run, copied: Path) -> None:
    code, _, told = run("withdraw", "1", "--yes", "--settings", copied)
    assert code == 0
    assert "Nothing is sent" in told
    with closing(wiring.open_store(read_settings(copied))) as store:
        assert store.home.displaced() is not None
        # the first is of the store's beginning
        assert [one.action for one in store.care.trail()].count("store.epoch-began") == 2
