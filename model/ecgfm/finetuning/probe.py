"""How much an encoder knows without being trained further:
a linear probe with intervals, beside a random encoder of its size.

The encoder is frozen; each recording's segments are pooled and averaged to one vector, on which a logistic regression
is fitted for each label. Every recording is judged by a regression that saw none of its patient's recordings
(five-fold, by patient).
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any  # Any: numpy arrays of strings or numbers

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecgfm.devices import choose_device
from ecgfm.errors import DataError, RecordingError
from ecgfm.feeding import Prepared, Segments, segments_of
from ecgfm.finetuning.blas import one_blas_thread
from ecgfm.finetuning.dataset import ahead
from ecgfm.finetuning.embedding import embedded
from ecgfm.metrics import BOOTSTRAP_REPLICATES, Interval, auprc, auroc, bootstrap
from ecgfm.network import EcgFm
from ecgfm.recording_files import Source

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]  #: recordings done, recordings in all

FOLDS = 5
FEWEST = 10  #: patients with and without a label that a probe of it needs
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelTable:
    """What is known of each recording: 0, 1, or NaN where it is not known."""

    keys: tuple[str, ...]
    patients: tuple[str, ...]
    labels: tuple[str, ...]
    values: Floats  #: (recordings, labels)

    @classmethod
    def read(cls, path: Path) -> "LabelTable":
        """A CSV file with a column `recording`, optionally `patient`, and one column of 0, 1 or nothing for each label.

        Raises `DataError` with the line.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        labels = tuple(name for name in (rows[0] if rows else {}) if name and name not in ("recording", "patient"))
        if not labels or "recording" not in rows[0]:
            raise DataError(
                f"{path} needs a header with `recording` and at least one label, and a line for each recording"
            )
        values = np.array([[_value(path, line, row[label]) for label in labels] for line, row in enumerate(rows, 2)])
        return cls(
            keys=tuple(row["recording"] for row in rows),
            patients=tuple(row.get("patient") or row["recording"] for row in rows),
            labels=labels,
            values=values,
        )

    def take(self, chosen: Sequence[int]) -> "LabelTable":
        """These recordings only."""
        return LabelTable(
            keys=tuple(self.keys[i] for i in chosen),
            patients=tuple(self.patients[i] for i in chosen),
            labels=self.labels,
            values=self.values[list(chosen)],
        )


def _value(path: Path, line: int, text: str | None) -> float:
    if text is None or text.strip() == "":
        return float("nan")
    if text.strip() not in ("0", "1"):
        raise DataError(f"{path}, line {line}: a label is 0, 1 or empty, not {text!r}")
    return float(text)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedded:
    """Recordings that could be read, with one embedding for each network."""

    table: LabelTable
    embeddings: tuple[Floats, ...]  #: for each network (recordings, width)
    left_out: dict[str, str]  #: recording -> why


def _look(source: Source, preprocessing: str, key: str) -> Segments | str:
    """The recording's segments, or why it cannot be used."""
    try:
        segments, reasons = segments_of(source.read(key), preprocessing)
    except RecordingError as error:
        return str(error)
    return reasons[0] if reasons else segments


def embed_recordings(
    networks: Sequence[EcgFm],
    source: Source,
    table: LabelTable,
    *,
    device: str = "auto",
    batch: int = 32,
    progress: Progress | None = None,
) -> Embedded:
    """Each recording is read once and seen by every network, in eval mode.

    Raises:
        DataError: none of the recordings could be read.
    """
    where = choose_device(device)
    for network in networks:
        network.to(where).eval()
    left_out: dict[str, str] = {}

    def usable() -> Iterator[Prepared[int]]:
        looked = ahead(partial(_look, source, networks[0].preprocessing), table.keys)
        for number, (key, found) in enumerate(zip(table.keys, looked, strict=True)):
            if isinstance(found, str):
                left_out[key] = found
            else:
                yield Prepared(what=number, segments=found)
            if progress is not None:
                progress(number + 1, len(table.keys))

    kept: list[int] = []
    vectors: list[list[Floats]] = [[] for _ in networks]
    for number, rows in embedded(usable(), networks, device=where, batch=batch):
        kept.append(number)
        for found, own in zip(vectors, rows, strict=True):
            found.append(own.astype(np.float64).mean(axis=0))
    if not kept:
        raise DataError(
            f"none of {len(table.keys)} recordings could be used; the first: {next(iter(left_out.items()), '')}"
        )
    return Embedded(table=table.take(kept), embeddings=tuple(np.stack(found) for found in vectors), left_out=left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelProbe:
    """One label: the encoder, a random encoder of the same size, and the difference on the same patients."""

    label: str
    positives: int
    recordings: int
    auroc: Interval
    auprc: Interval
    random_auroc: Interval
    random_auprc: Interval
    difference: Interval  #: of the AUROCs; above 0 the encoder is better

    @property
    def beats_random(self) -> bool:
        """The 95 % interval of the difference lies above 0."""
        return self.difference.low > 0

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        intervals = {
            name: getattr(self, name).to_json()
            for name in ("auroc", "auprc", "random_auroc", "random_auprc", "difference")
        }
        counts = {"label": self.label, "positives": self.positives, "recordings": self.recordings}
        return {**counts, **intervals, "beats_random": self.beats_random}


def probe(
    embedded: Embedded, *, seed: int = 0, replicates: int = BOOTSTRAP_REPLICATES
) -> tuple[tuple[LabelProbe, ...], dict[str, str]]:
    """Probe each label of the first two embeddings (encoder, random encoder);
    labels that cannot be probed, with why.
    """
    trained, untrained = embedded.embeddings
    patients = np.array(embedded.table.patients)
    probed: list[LabelProbe] = []
    skipped: dict[str, str] = {}
    for label, column in zip(embedded.table.labels, embedded.table.values.T, strict=True):
        known = np.isfinite(column)
        truth, groups = column[known], patients[known]
        counts = [len(set(groups[truth == value])) for value in (0, 1)]
        if min(counts) < FEWEST:
            skipped[label] = f"{counts[1]} patients with and {counts[0]} without it; {FEWEST} of each are needed"
            continue
        scores = [out_of_fold(x[known], truth, groups, seed=seed) for x in (trained, untrained)]
        probed.append(_judge(label, truth, groups, scores[0], scores[1], replicates, seed))
    return tuple(probed), skipped


def out_of_fold(x: Floats, truth: Floats, patients: NDArray[Any], *, seed: int) -> Floats:
    """Log-odds of each recording from a regression that saw none of its patient's;
    its penalty is chosen inside the folds.
    """
    scores = np.empty(len(truth))
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, truth, patients):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
            {"logisticregression__C": PENALTIES},
            scoring="neg_log_loss",
            cv=StratifiedGroupKFold(3, shuffle=True, random_state=seed),
        )
        with one_blas_thread():
            search.fit(x[train], truth[train], groups=patients[train])
        scores[test] = search.decision_function(x[test])
    return scores


def _judge(
    label: str, truth: Floats, patients: NDArray[Any], scores: Floats, random: Floats, replicates: int, seed: int
) -> LabelProbe:
    found = bootstrap(
        {
            "auroc": lambda weights: auroc(truth, scores, weights),
            "auprc": lambda weights: auprc(truth, scores, weights),
            "random_auroc": lambda weights: auroc(truth, random, weights),
            "random_auprc": lambda weights: auprc(truth, random, weights),
            "difference": lambda weights: auroc(truth, scores, weights) - auroc(truth, random, weights),
        },
        patients.tolist(),
        replicates=replicates,
        seed=seed,
    )
    return LabelProbe(label=label, positives=int(truth.sum()), recordings=len(truth), **found)


def random_twin(network: EcgFm, *, seed: int = 0) -> EcgFm:
    """A network of the same sizes with the weights that pretraining starts from; leaves torch's own seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EcgFm(network.config, preprocessing=network.preprocessing)


def project(embeddings: Floats, *, method: str = "pca", seed: int = 0) -> Floats:
    """(recordings, width) -> (recordings, 2) for a picture: `pca`, or `umap` where umap-learn is installed.

    Raises `DataError` where it is not, or where there are fewer than three recordings.
    """
    if len(embeddings) < 3:
        raise DataError("an embedding map needs at least three recordings")
    scaled = StandardScaler().fit_transform(embeddings)
    if method == "pca":
        return np.asarray(PCA(2, random_state=seed).fit_transform(scaled))
    try:
        from umap import UMAP
    except ImportError as error:
        raise DataError(
            "a UMAP picture needs umap-learn (pip install 'ecgfm-clinical[umap]'); --method pca works without it"
        ) from error
    return np.asarray(UMAP(random_state=seed, n_jobs=1).fit_transform(scaled))  # a seed allows one thread
