"""The demo hospital learns both heads from messages, and its next result comes from them, without a restart."""

from pathlib import Path

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.demo.learning import hospital_in, learn, summary
from tests.helpers.fakes import Clock

pytestmark = [pytest.mark.slow(40), pytest.mark.usefixtures("quick_judging", "signals_remembered")]

#: By this secret so few patients give every split enough of both kinds for both heads.
SEED = 454
#: What a handful of invented patients can satisfy; the rules themselves are tested with the gate.
LENIENT = """
[learning]
calibration_folds = 2
[learning.gate]
min_positives = 3
min_negatives = 3
slope = [-9, 9]
intercept = 9
beat_baselines = false
"""


@pytest.mark.timeout(900)
def test_outcomes_arrive_heads_are_promoted_and_the_next_result_carries_them(tmp_path: Path) -> None:
    with hospital_in(tmp_path, seed=SEED) as hospital:
        with hospital.settings_path.open("a", encoding="utf-8") as file:
            file.write(LENIENT)
        learnt = learn(hospital, 130, clock=wiring.utc_now, replicates=20)
        assert {answer.text for answer in hospital.answers} <= {"AA", "0x0000"}
        registry = hospital.store.models
        live = registry.live()
        acts = [(event.action, event.actor) for event in registry.history()]
    assert learnt.promoted, summary(learnt)
    assert live is not None
    assert live.model_id == learnt.model_id
    assert acts[-1] == ("promoted", "demo")
    assert b"ECGFM-LVEF" not in learnt.before
    assert b"ECGFM-LVEF" in learnt.after
    assert b"ECGFM-TROP" in learnt.after
    assert live.model_id[:12].encode() in learnt.after, "OBX-17 names the model"
    assert "circular" in str(summary(learnt)["note"])


def test_the_same_seed_gives_the_same_visits() -> None:
    one, other = (list(clinic.visits(5, now=Clock().now)) for _ in range(2))
    assert all((a.ecg.signal == b.ecg.signal).all() and a.outcome == b.outcome for a, b in zip(one, other, strict=True))
    assert not (one[0].ecg.signal == next(clinic.visits(1, now=Clock().now, seed=1)).ecg.signal).all()
