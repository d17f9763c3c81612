"""ECG files in, answers out, as they come: read by a crew, given to the network in full calls, written beside it."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgfm.feeding import Prepared
from ecgfm.predictor import Prediction, Predictor
from ecgfm_clinical.engine.crew import Crew, usable_cores
from ecgfm_clinical.files.answers import OUTCOMES, Answer, Outcome
from ecgfm_clinical.files.outputs import Output
from ecgfm_clinical.files.preparing import MODULES, Found, Piece, lost, prepare_files
from ecgfm_clinical.files.reading import name_of

if TYPE_CHECKING:
    from ecgfm.explain import Saliency

#: Fewer files are read in this process: starting another takes a second.
WORTH_PROCESSES = 32

T = TypeVar("T")
#: What the network says of each recording, in order.
Ask = Callable[[Iterable[Prepared[Found]]], Iterator[Answer]]


@dataclass(slots=True, kw_only=True)
class Tally:
    """How far a run is."""

    files: int  #: in all
    done: int = 0
    earlier: int = 0  #: of them, by an earlier run
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    unreadable: list[str] = field(default_factory=list)  #: the first few, in words
    began: float = field(default_factory=time.monotonic)

    def add(self, answers: Sequence[Answer]) -> None:
        """The answers of one file."""
        self.done += 1
        for one in answers:
            self.outcomes[one.outcome] += 1
            if one.outcome == "unreadable" and len(self.unreadable) < 20:
                self.unreadable.append(one.error)

    @property
    def rate(self) -> float:
        """Files a second of this run."""
        return (self.done - self.earlier) / max(1e-9, time.monotonic() - self.began)

    @property
    def counts(self) -> str:
        return ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items() if count) or "nothing yet"

    def words(self) -> str:
        """How far, how fast, until when, and what came of it."""
        left = (self.files - self.done) / self.rate if self.done > self.earlier else float("nan")
        ends = f", {_duration(left)} left" if 0 < left < 1e7 else ""
        return f"{self.done} of {self.files} files, {self.rate:.1f}/s{ends}: {self.counts}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


def predictions_of(predictor: Predictor) -> Ask:
    """Asks for every head of the model."""

    def ask(records: Iterable[Prepared[Found]]) -> Iterator[Answer]:
        for one, found in predictor.predictions(records):
            known = found if isinstance(found, Prediction) and not one.what.error else None
            yield answer_of(one, found if isinstance(found, Exception) else None, prediction=known)

    return ask


def embeddings_of(predictor: Predictor) -> Ask:
    """Asks for the pooled embedding."""

    def ask(records: Iterable[Prepared[Found]]) -> Iterator[Answer]:
        for one, found in predictor.embeddings(records):
            known = None if isinstance(found, Exception) else found
            yield answer_of(one, found if isinstance(found, Exception) else None, embedding=known)

    return ask


def predictions_and_embeddings_of(predictor: Predictor) -> Ask:
    """Asks for every head of the model and the pooled embedding."""

    def ask(records: Iterable[Prepared[Found]]) -> Iterator[Answer]:
        for one, found, embedding in predictor.predictions_and_embeddings(records):
            known = found if isinstance(found, Prediction) and not one.what.error else None
            yield answer_of(one, found if isinstance(found, Exception) else None, prediction=known, embedding=embedding)

    return ask


def answer_of(
    one: Prepared[Found],
    error: Exception | None,
    *,
    prediction: Prediction | None = None,
    embedding: NDArray[np.float32] | None = None,
    saliency: "Saliency | None" = None,
) -> Answer:
    """What is said of one recording, or the error by which it broke the network."""
    broke = f"{one.what.file}: the network cannot take it ({type(error).__name__}: {error})" if error else ""
    return Answer(
        found=one.what,
        input_digest=one.input_digest,
        not_scored=one.reasons,
        prediction=prediction,
        embedding=embedding,
        saliency=saliency,
        error=one.what.error or broke,
        code=one.what.code or ("network-failed" if error else ""),
    )


def stream(
    pieces: Sequence[Piece],
    ask: Ask,
    output: Output,
    *,
    tally: Tally,
    stop: Event,
    processes: int | None = None,
    keep: Callable[[Answer], bool] = lambda _: True,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Give `output` the answers of each file, in order, but for files that it has; until `stop`.

    `processes` that read and prepare: 0 for a thread, None for as many as there are cores where it is worth it. `keep`:
    which answers are written. `tell` is called after each file. Raises InputError where the answers cannot be written.
    """
    todo = [piece for piece in pieces if name_of(piece.path) not in output.done]
    tally.done = tally.earlier = len(pieces) - len(todo)
    for answers in answered(todo, ask, count=len(todo), stop=stop, processes=processes):
        kept = [one for one in answers if not one.found.passed_over and keep(one)]
        if kept:
            output.add(kept)
        tally.add(answers)
        tell()


def answered(
    pieces: Iterable[Piece], ask: Ask, *, count: int, stop: Event, processes: int | None = None
) -> Generator[list[Answer], None, None]:
    """The answers of each file, in order, until `stop`; `count`: how many files there are. See `stream`."""
    if processes is None:
        processes = usable_cores() if count >= WORTH_PROCESSES else 0
    with Crew(prepare_files, processes=processes, lost=lost, modules=MODULES) as crew:
        yield from by_file(ask(crew.answers(_until(stop, pieces))))


def _until(stop: Event, items: Iterable[T]) -> Iterator[T]:
    for item in items:
        if stop.is_set():
            return
        yield item


def by_file(answers: Iterable[Answer]) -> Iterator[list[Answer]]:
    """The answers of each file together."""
    waiting: list[Answer] = []
    for one in answers:
        waiting.append(one)
        if one.found.last:
            yield waiting
            waiting = []
