"""Drift finds what changed and stays silent where nothing did, however many or few ECGs there are."""

import numpy as np
import pytest

from ecgfm_clinical.learning.drift.detection import inputs, performance, psi, scores
from ecgfm_clinical.learning.drift.samples import Sample, Scored

STREAM = np.random.default_rng(11)


def samples(count: int, month: str = "2031-01", **changes: float) -> list[Sample]:
    """ECGs of one month; `amplitude` in deviations, `cart_b` the share of the second cart, `turn` of the embedding."""
    return [
        Sample(
            month=month,
            device="B" if STREAM.random() < changes.get("cart_b", 0.5) else "A",
            site="North",
            numbers={
                "amplitude": STREAM.normal(1.5 + 0.4 * changes.get("amplitude", 0), 0.4),
                "noise": STREAM.normal(0.02, 0.004),
                "rate": STREAM.normal(75, 12),
            },
            embedding=STREAM.normal(changes.get("turn", 0), 1, 16),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [10, 60, 2000])
def test_nothing_is_found_where_nothing_changed(count: int) -> None:
    told, findings = inputs(samples(500), [one for m in ("02", "03", "04") for one in samples(count, f"2031-{m}")])
    assert findings == []
    assert [row.month for row in told.amplitude] == ["2031-02", "2031-03", "2031-04"]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"amplitude": 1.0}, "input", "height of the leads"),
        ({"cart_b": 0.95}, "mix", "devices"),
        ({"turn": 0.6}, "embedding", "deviations from the reference"),
    ],
)
def test_what_changed_is_found_in_its_month(changes: dict[str, float], code: str, words: str) -> None:
    current = samples(150, "2031-02") + samples(150, "2031-03", **changes)
    _, findings = inputs(samples(500), current)
    assert {(one.code, one.month) for one in findings} == {(code, "2031-03")}
    assert words in findings[0].text


def test_a_tiny_shift_in_many_ecgs_is_no_finding() -> None:
    _, findings = inputs(samples(5000), samples(5000, "2031-02", amplitude=0.1))
    assert findings == []


def test_a_large_shift_in_a_few_ecgs_is_shown_not_found() -> None:
    told, findings = inputs(samples(500), samples(8, "2031-02", amplitude=3.0))
    assert findings == []
    assert (told.amplitude[0].value or 0) > 2


def test_a_new_device_is_named() -> None:
    strange = [Sample(month="2031-02", device="C", site="North", numbers={}) for _ in range(40)]
    _, findings = inputs(samples(200), strange)
    assert any("new: C" in one.text for one in findings)


def scored(count: int, month: str, *, useful: float = 2.0, shift: float = 0.0, device: str = "A") -> list[Scored]:
    outcome = (STREAM.random(count) < 0.3).astype(float)
    odds = useful * (outcome - 0.3) + STREAM.normal(-0.9 + shift, 0.8, count)
    return [
        Scored(
            month=month,
            device=device,
            site="North",
            patient=f"{month} {n}",
            probability=float(1 / (1 + np.exp(-o))),
            outcome=y,
        )
        for n, (o, y) in enumerate(zip(odds, outcome, strict=True))
    ]


def test_shifted_scores_are_found() -> None:
    rows, findings = scores("x", scored(400, "2031-01"), scored(200, "2031-02") + scored(200, "2031-03", shift=1.0))
    assert [one.month for one in findings] == ["2031-03"]
    assert (rows[1].psi or 0) > 0.2 > (rows[0].psi or 1)


def test_psi_of_the_same_scores_is_zero() -> None:
    values = STREAM.random(500)
    assert psi(values, values) == pytest.approx(0, abs=1e-9)


def test_a_head_that_no_longer_works_on_one_cart_is_found_there() -> None:
    rows = scored(300, "2031-01") + scored(300, "2031-02", useful=0.0, device="B")
    told, findings = performance("x", rows, expected=0.93)
    assert {one.month for one in findings if one.code == "auroc"} == {"2031-02", "device B"} | (
        {"site North"} if any(one.month == "site North" for one in findings) else set()
    )
    assert [row.of for row in told.device] == ["A", "B"]


def test_few_outcomes_are_counted_not_judged() -> None:
    told, findings = performance("x", scored(8, "2031-01"), expected=0.9)
    assert findings == []
    assert told.month[0].auroc is None


def test_probabilities_that_became_too_high_are_found() -> None:
    _, findings = performance("x", scored(600, "2031-01", useful=2.0, shift=2.0), expected=None)
    assert any(one.code == "calibration" and "too high" in one.text for one in findings)
