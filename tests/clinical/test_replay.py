"""What a replay on another card calls equal: the same answer within a tolerance that is said, never another one."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ecgfm_clinical.operate import replay
from ecgfm_clinical.staging.records import Score, Scoring

H100 = "torch-cuda-fp32-x64@NVIDIA_H100_80GB_HBM3/570.86.15"
L4 = "torch-cuda-fp32-x64@NVIDIA_L4/550.54.14"


def _scoring(runtime: str, probability: float, *, threshold: float = 0.5) -> Scoring:
    score = Score(
        head="reduced_lvef",
        label="reduced_lvef",
        probability=probability,
        logit=0.0,
        threshold=threshold,
        positive=probability >= threshold,
    )
    return Scoring(
        ecg_id=1,
        model_id="m",
        model_name="n",
        model_version="1",
        preprocessing="p",
        runtime=runtime,
        input_digest="d",
        scored_at=datetime(2026, 1, 1, tzinfo=UTC),
        scores=(score,),
        demo=True,
        segments=2,
    )


@pytest.mark.parametrize(
    ("then", "now", "moved", "differences"),
    [
        (H100, H100, 0.0, 0),
        (H100, H100, 1e-7, 1),  # one card: to the last bit
        (H100, L4, 5e-6, 0),
        (H100, L4, 2e-5, 1),
        (H100.replace("fp32", "fp16"), L4.replace("fp32", "fp16"), 5e-3, 0),
        (H100, "torch-cpu-fp32", 0.0, 1),  # another runtime is another runtime
    ],
)
def test_tolerance_between_cards(then: str, now: str, moved: float, differences: int) -> None:
    found = replay._scoring_differences(_scoring(then, 0.25), _scoring(now, 0.25 + moved))
    assert len(found) == differences, found


def test_a_score_that_changes_sides_differs_however_near_it_is() -> None:
    (found,) = replay._scoring_differences(_scoring(H100, 0.499999), _scoring(L4, 0.5))
    assert "0.499999" in found


def test_it_says_which_cards_and_which_tolerance() -> None:
    (said,) = replay._remarks(_scoring(H100, 0.25), _scoring(L4, 0.25))
    assert H100 in said
    assert L4 in said
    assert "by 1e-05" in said
    assert replay._remarks(_scoring(H100, 0.25), _scoring(H100, 0.25)) == []
    none = replace(_scoring(L4, 0.25), scores=())
    assert replay._scoring_differences(_scoring(H100, 0.25), none) != []
