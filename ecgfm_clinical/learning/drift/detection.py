"""Has something changed since the model was made? Inputs, scores and, as outcomes arrive, performance, month by month.

Pure functions over samples. A difference is a finding only where it is both more than chance (a test whose level is
divided by the number of tests made) and large enough to matter, so neither ten ECGs nor a hundred thousand raise a
false alarm.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypedDict, TypeVar

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from ecgfm import metrics
from ecgfm_clinical.learning.drift.samples import (
    NUMBERS,
    Attribute,
    Floats,
    Inputs,
    Measure,
    Mix,
    MixMonth,
    Monthly,
    Number,
    Performance,
    Sample,
    Scored,
    ScoreMonth,
    Shifted,
)
from ecgfm_clinical.learning.judging.judgement import interval_text
from ecgfm_clinical.staging.model_records import DriftFinding

LEVEL = 0.01  #: chance of any false finding of one kind in a report
SHIFT = 0.3  #: in standard deviations of the reference: smaller shifts of a number are left alone
MIX = 0.15  #: share of ECGs that would have to come from another device or site to make the mixes equal
SMALLEST = 20  #: fewer ECGs of a month are shown, not tested
SMALLEST_POSITIVES = 5
PERMUTATIONS = 400


class _Placed(Protocol):
    """What can be grouped by where it comes from."""

    @property
    def month(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def site(self) -> str: ...


P = TypeVar("P", bound=_Placed)


def inputs(reference: Sequence[Sample], current: Sequence[Sample]) -> tuple[Inputs, list[DriftFinding]]:
    """What the ECGs themselves look like, each month against the reference."""
    months = _by(current, "month")
    tests = max(1, len(months) * (len(NUMBERS) + 3))
    numbers: dict[Number, list[Shifted]] = {name: [] for name in NUMBERS}
    mixes: dict[Mix, list[MixMonth]] = {"device": [], "site": []}
    embeddings: list[Monthly] = []
    findings: list[DriftFinding] = []
    for month, samples in months.items():
        for name, numeric in numbers.items():
            shifted, found = _number(name, month, reference, samples, tests)
            numeric.append(shifted)
            findings += found
        for attribute, mixed in mixes.items():
            mix, found = _mix(attribute, month, reference, samples, tests)
            mixed.append(mix)
            findings += found
        moved, found = _embedding(month, reference, samples)
        embeddings.append(moved)
        findings += found
    told = Inputs(
        amplitude=tuple(numbers["amplitude"]),
        noise=tuple(numbers["noise"]),
        rate=tuple(numbers["rate"]),
        device=tuple(mixes["device"]),
        site=tuple(mixes["site"]),
        embedding=tuple(embeddings),
    )
    return told, findings


def _by(rows: Sequence[P], name: Attribute) -> dict[str, list[P]]:
    found: defaultdict[str, list[P]] = defaultdict(list)
    for row in rows:
        found[getattr(row, name)].append(row)
    return dict(sorted(found.items()))


def _number(
    name: Number, month: str, reference: Sequence[Sample], samples: Sequence[Sample], tests: int
) -> tuple[Shifted, list[DriftFinding]]:
    old, new = _known(name, reference), _known(name, samples)
    if not len(new):
        return Shifted(month=month, ecgs=0), []
    row = Shifted(month=month, ecgs=len(new), **_mean(new))
    if min(len(old), len(new)) < SMALLEST:
        return row, []
    row = replace(row, p=float(ks_2samp(old, new).pvalue), shift=_shift(old, new))
    if not _matters(row, tests):
        return row, []
    text = f"{NUMBERS[name]}: mean {new.mean():.3g} in {len(new)} ECGs, {old.mean():.3g} in the reference"
    return row, [DriftFinding(code="input", month=month, text=text)]


class _Mean(TypedDict):
    value: float
    low: float
    high: float


def _mean(values: Floats) -> _Mean:
    """The mean with its 95 % interval."""
    error = 1.96 * values.std() / np.sqrt(len(values))
    return {
        "value": float(values.mean()),
        "low": float(values.mean() - error),
        "high": float(values.mean() + error),
    }


def _shift(old: Floats, new: Floats) -> float:
    return float((new.mean() - old.mean()) / max(old.std(), 1e-9))


def _matters(row: Shifted, tests: int) -> bool:
    """More than chance, and large enough."""
    return row.p is not None and row.shift is not None and row.p * tests < LEVEL and abs(row.shift) >= SHIFT


def _known(name: Number, samples: Sequence[Sample]) -> Floats:
    values = np.array([sample.numbers.get(name, np.nan) for sample in samples], dtype=np.float64)
    return values[np.isfinite(values)]


def _mix(
    name: Mix, month: str, reference: Sequence[Sample], samples: Sequence[Sample], tests: int
) -> tuple[MixMonth, list[DriftFinding]]:
    old, new = (Counter(str(getattr(sample, name)) for sample in part) for part in (reference, samples))
    row = MixMonth(month=month, counts=dict(sorted(new.items())))
    names = sorted(set(old) | set(new))
    if min(old.total(), new.total()) < SMALLEST or len(names) < 2:
        return row, []
    distance = 0.5 * sum(abs(old[one] / old.total() - new[one] / new.total()) for one in names)
    p = float(chi2_contingency([[old[one] for one in names], [new[one] for one in names]]).pvalue)
    row = replace(row, distance=distance, p=p)
    if p * tests >= LEVEL or distance < MIX:
        return row, []
    strangers = [one for one in names if not old[one]]
    text = f"{name}s: {100 * distance:.0f} % of {new.total()} ECGs come from elsewhere than in the reference"
    return row, [
        DriftFinding(code="mix", month=month, text=text + (f"; new: {', '.join(strangers)}" if strangers else ""))
    ]


def _embedding(
    month: str, reference: Sequence[Sample], samples: Sequence[Sample]
) -> tuple[Monthly, list[DriftFinding]]:
    """Distance of the mean embeddings in deviations of the reference, against its distribution under permutation."""
    old, new = (
        np.array([sample.embedding for sample in part if sample.embedding is not None]) for part in (reference, samples)
    )
    if min(len(old), len(new)) < SMALLEST:
        return Monthly(month=month, ecgs=len(new)), []
    scale = old.std(axis=0) + 1e-9
    together = np.concatenate([old, new]) / scale
    stream = np.random.default_rng(0)
    found = _distance(together, len(old))
    chance = [_distance(stream.permutation(together), len(old)) for _ in range(PERMUTATIONS)]
    p = (1 + sum(one >= found for one in chance)) / (1 + PERMUTATIONS)
    row = Monthly(
        month=month,
        ecgs=len(new),
        value=found,
        p=p,
        low=float(np.quantile(chance, 0.025)),
        high=float(np.quantile(chance, 0.975)),
    )
    # A permutation test cannot give less than one in PERMUTATIONS: the size decides beside it, not a divided level.
    if p > LEVEL or found < SHIFT:
        return row, []
    text = (
        f"embeddings of {len(new)} ECGs lie {found:.2f} deviations from the reference, {np.mean(chance):.2f} by chance"
    )
    return row, [DriftFinding(code="embedding", month=month, text=text)]


def _distance(rows: Floats, split: int) -> float:
    """Root mean square over the channels, so that it does not grow with the width."""
    return float(np.sqrt(np.mean((rows[:split].mean(axis=0) - rows[split:].mean(axis=0)) ** 2)))


def scores(
    label: str, reference: Sequence[Scored], current: Sequence[Scored]
) -> tuple[tuple[ScoreMonth, ...], list[DriftFinding]]:
    """How the probabilities of one label are spread, each month against the reference."""
    months = _by(current, "month")
    old = np.array([one.probability for one in reference])
    rows, findings = [], []
    for month, own in months.items():
        new = np.array([one.probability for one in own])
        row = ScoreMonth(month=month, ecgs=len(new), **_mean(new))
        if min(len(old), len(new)) >= SMALLEST:
            row = replace(row, p=float(ks_2samp(old, new).pvalue), psi=psi(old, new), shift=_shift(old, new))
            if _matters(row, len(months)):
                text = (
                    f"{label}: mean probability {new.mean():.3f} in {len(new)} ECGs, {old.mean():.3f} in the reference"
                )
                findings.append(DriftFinding(code="score", month=month, text=text))
        rows.append(row)
    return tuple(rows), findings


def psi(old: Floats, new: Floats, bins: int = 10) -> float:
    """Population stability index over tenths of the reference; half a count is added to each bin."""
    edges = np.unique(np.quantile(old, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, part), minlength=len(edges) + 1) + 0.5 for part in (old, new)]
    one, other = (count / count.sum() for count in counts)
    return float(((other - one) * np.log(other / one)).sum())


def performance(
    label: str, rows: Sequence[Scored], *, expected: float | None, replicates: int = 400
) -> tuple[Performance, list[DriftFinding]]:
    """AUROC and calibration by month, device and site, where outcomes are known;
    `expected` is the AUROC when judged.
    """
    told: dict[Attribute, list[Measure]] = {"month": [], "device": [], "site": []}
    findings: list[DriftFinding] = []
    known = [row for row in rows if row.outcome is not None]
    for attribute, measured in told.items():
        for value, own in _by(known, attribute).items():
            row = _performance(value, own, replicates)
            measured.append(row)
            findings += _performance_findings(label, attribute, row, expected)
    by_month, by_device, by_site = (tuple(own) for own in told.values())
    return Performance(month=by_month, device=by_device, site=by_site), findings


def _performance(value: str, rows: Sequence[Scored], replicates: int) -> Measure:
    y = np.array([row.outcome for row in rows], dtype=np.float64)
    p = np.array([row.probability for row in rows])
    row = Measure(of=value, ecgs=len(y), positives=int(y.sum()))
    if min(y.sum(), (1 - y).sum()) < SMALLEST_POSITIVES:
        return row
    found = metrics.bootstrap(
        {"auroc": partial(_auroc, y, p), "intercept": partial(_intercept, y, p)},
        [row.patient for row in rows],
        replicates=replicates,
    )
    return replace(row, auroc=found["auroc"], intercept=found["intercept"])


def _auroc(y: Floats, p: Floats, weights: Floats) -> float:
    return metrics.auroc(y, p, weights)


def _intercept(y: Floats, p: Floats, weights: Floats) -> float:
    return metrics.calibration_intercept(y, p, weights)


def _performance_findings(
    label: str, attribute: Attribute, row: Measure, expected: float | None
) -> Iterator[DriftFinding]:
    """Only where even the favourable end of the interval is bad."""
    auroc, intercept = row.auroc, row.intercept
    where = row.of if attribute == "month" else f"{attribute} {row.of}"
    if auroc and expected is not None and auroc.high < expected:
        text = (
            f"{label}: AUROC {interval_text(auroc)} on {row.ecgs} ECGs, {row.positives} positive; {expected:.3f} when "
            "it was judged"
        )
        yield DriftFinding(code="auroc", month=where, text=text)
    if intercept and (intercept.low > SHIFT or intercept.high < -SHIFT):
        how = "too low" if intercept.value > 0 else "too high"
        text = (
            f"{label}: probabilities are {how} on {row.ecgs} ECGs (calibration intercept {intercept.value:.2f}, "
            f"{intercept.low:.2f} to {intercept.high:.2f})"
        )
        yield DriftFinding(code="calibration", month=where, text=text)
