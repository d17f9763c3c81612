"""The scores of a run, put into the staging store for its recordings, where the model of the run is the live one.

The scorer is the one that scores live ECGs: it judges each ECG by the site's rules and keeps what the heads say. Only
its network is another: the tables of the run answer, by the digest of the very input.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Event
from typing import TypeVar

from ecgfm.feeding import Prepared
from ecgfm.predictor import HeadPrediction, Prediction, Predictor
from ecgfm.records import Record
from ecgfm_clinical.backfill.disk import Place
from ecgfm_clinical.pipeline.scoring import Scorer

T = TypeVar("T")


class Recorded:
    """A model that has answered before; what it was not asked, of an ECG that another run put in, it is asked now."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._heads = predictor.bundle.heads
        self._shifted = any(spec.prior_shifts for spec in self._heads)  # the tables hold no probability before a shift
        self._rows: Mapping[str, Mapping[str, object]] = {}  #: input digest -> row of the predictions
        self.model_id = predictor.model_id
        self.model_name = predictor.model_name
        self.model_version = predictor.model_version
        self.preprocessing = predictor.preprocessing
        self.runtime = predictor.runtime
        self.demo = predictor.demo
        self.labels = predictor.labels

    def read(self, place: Place, part: int) -> None:
        """Answer from this part of a run from now on."""
        from pyarrow import parquet

        rows = parquet.read_table(place.part("predictions", part)).to_pylist()
        self._rows = {str(row["input_digest"]): row for row in rows if row["input_digest"]}

    def predict(self, records: Sequence[Record]) -> list[Prediction]:
        """As `Predictor.predict`."""
        return self._predictor.predict(records)

    def predictions(self, prepared: Iterable[Prepared[T]]) -> Iterator[tuple[Prepared[T], Prediction | Exception]]:
        """As `Predictor.predictions`, without the network where the answer is known."""
        for one in prepared:
            row = self._rows.get(one.input_digest)
            if row is None or self._shifted:
                yield from self._predictor.predictions([one])
            else:
                yield one, self._prediction(row, one.site)

    def _prediction(self, row: Mapping[str, object], site: str) -> Prediction:
        reasons = tuple(filter(None, str(row["not_scored"]).split(";")))
        return Prediction(
            model_id=self.model_id,
            preprocessing=self.preprocessing,
            runtime=self.runtime,
            input_digest=str(row["input_digest"]),
            segments=int(str(row["segments"])),
            heads=() if reasons else tuple(self._said(row, site)),
            reasons=reasons,
        )

    def _said(self, row: Mapping[str, object], site: str) -> Iterator[HeadPrediction]:
        for spec in self._heads:
            for label in spec.labels:
                probability, logit = (row[f"{spec.name}.{label}.{what}"] for what in ("probability", "logit"))
                assert isinstance(probability, float)
                assert isinstance(logit, float)
                yield HeadPrediction(
                    head=spec.name,
                    label=label,
                    probability=probability,
                    logit=logit,
                    segment_probabilities=(),  # the tables do not hold them, and no score does
                    threshold=spec.threshold(label, site),
                )


def score_part(place: Place, recorded: Recorded, scorer: Scorer, stop: Event, part: int) -> int:
    """Give the recordings of a part that wait in the store the scores of the run; how many there were.

    What waits there of other runs is scored with them.
    """
    recorded.read(place, part)
    given = 0
    while not stop.is_set() and (done := scorer.run_batch()):
        given += done
    return given
