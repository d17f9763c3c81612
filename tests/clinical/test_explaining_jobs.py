"""Questions where a model looked are answered by the model that gave the answer; what cannot be is said."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ecgfm.checkpoint import Bundle
from ecgfm.explain import explain_leads
from ecgfm_clinical import scorers, wiring
from ecgfm_clinical.staging.records import JobState
from ecgfm_clinical.staging.saliencies import KeptSaliency
from tests.helpers.fakes import make_ecg, wait_until
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(10)

PROGRAM = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path)
    yield site
    site.close()


def ask(site: Installation, ecg_id: int = 1) -> int:
    return site.store.saliencies.ask(
        ecg_id, head="reduced_lvef", label="reduced_lvef", now=wiring.utc_now(), actor="ada"
    )


def only(site: Installation) -> KeptSaliency:
    (found,) = site.store.saliencies.of(1)
    return found


def test_the_model_that_answered_is_asked(site: Installation) -> None:
    site.dicom(ecg(1, "A"))
    site.score()
    number = ask(site)
    explaining = scorers.build_explaining(site.settings, site.store)
    assert explaining.run_one() == 1
    assert explaining.run_one() == 0
    assert only(site).state is JobState.DONE
    (one,) = site.store.ecgs.load([1])
    network = Bundle.read(site.path.with_name("tiny")).network().fold().eval().requires_grad_(False)
    found = explain_leads(network, one.ecg.signal, one.ecg.sampling_rate, head="reduced_lvef", label="reduced_lvef")
    np.testing.assert_array_equal(site.store.saliencies.weights(1, number), np.rint(found.weights * 255))


def test_a_bundle_that_is_gone_is_a_reason_not_a_retry(site: Installation) -> None:
    site.dicom(ecg(1, "A"))
    site.score()
    ask(site)
    shutil.rmtree(site.path.with_name("tiny"))
    assert scorers.build_explaining(site.settings, site.store).run_one() == 1
    assert only(site).state is JobState.FAILED
    assert "no model bundle at" in only(site).error


def test_an_error_is_tried_again_and_names_nobody(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    site.dicom(ecg(1, "A"))
    site.score()
    ask(site)

    def broken(*_: object) -> None:
        raise MemoryError("TESTFAMILY")

    monkeypatch.setattr(scorers, "open_looked_at", broken)
    assert scorers.build_explaining(site.settings, site.store).run_one() == 1
    assert only(site).state is JobState.WAITING
    assert only(site).error == "see the log of the worker at this time"


def test_the_process_of_the_score_role_answers(site: Installation) -> None:
    """And it scores beside it."""
    site.dicom(ecg(1, "A"))
    log = site.path.with_name("score.log")
    with log.open("wb") as events:
        process = subprocess.Popen([*PROGRAM, "run", "--role", "score", "--settings", str(site.path)], stderr=events)
    try:
        wait_until(lambda: site.store.ecgs.scoring_of(1) is not None or process.poll() is not None)
        ask(site)
        site.dicom(make_ecg(2))
        wait_until(lambda: only(site).state is JobState.DONE or process.poll() is not None)
        wait_until(lambda: site.store.ecgs.scoring_of(2) is not None or process.poll() is not None)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
    assert code == 0, log.read_text(encoding="utf-8")
    assert only(site).state is JobState.DONE
    assert site.store.saliencies.weights(1, only(site).saliency_id).max() == 255
    assert '"saliency.computed"' in log.read_text(encoding="utf-8")
