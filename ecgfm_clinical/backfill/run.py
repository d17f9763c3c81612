"""An archive in, parts out: files are read and scored across the bounds of parts, so that nothing waits at one."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from os import scandir
from pathlib import Path
from threading import Event
from typing import Protocol

from ecgfm.predictor import Predictor
from ecgfm_clinical.backfill.disk import DataSet, Place
from ecgfm_clinical.backfill.manifest import Manifest, rows
from ecgfm_clinical.backfill.parts import Table, part_there, tables_of, write_part
from ecgfm_clinical.backfill.plan import Plan, agree, key_digest, programs
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.answers import OUTCOMES, Answer
from ecgfm_clinical.files.preparing import Piece
from ecgfm_clinical.files.reading import context_of
from ecgfm_clinical.files.streaming import Ask, Tally, answered, predictions_and_embeddings_of, predictions_of
from ecgfm_clinical.settings import Settings
from ecgfm_connectors.context import ReadingContext


class Engine(Protocol):
    """Reads and scores: `ecgfm_clinical.files.streaming.answered` here, `on_ray` on a cluster."""

    def __call__(self, pieces: Iterable[Piece], *, count: int, stop: Event) -> Generator[list[Answer], None, None]:
        """The answers of each of `count` files, in order, until `stop`."""


class Model(Protocol):
    """What a run has to know of its model, wherever that is opened."""

    @property
    def model_id(self) -> str: ...
    @property
    def preprocessing(self) -> str: ...
    @property
    def runtime(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def width(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run needs besides its plan."""

    place: Place
    plan: Plan
    tables: dict[DataSet, Table]
    engine: Engine
    context: ReadingContext
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command line asks for."""

    part_rows: int
    embeddings: bool = False
    key: bytes = field(default=b"", repr=False)  #: of pseudonyms; without one, no identifiers are written

    @property
    def ask_of(self) -> Callable[[Predictor], Ask]:
        """What is asked of a model; picklable."""
        return predictions_and_embeddings_of if self.embeddings else predictions_of


def here(predictor: Predictor, options: Options, processes: int | None) -> Engine:
    """The engine of this machine; `processes` as in `ecgfm_clinical.files.streaming.stream`."""
    return partial(answered, ask=options.ask_of(predictor), processes=processes)


def work_of(
    place: Place, manifest: Manifest, model: Model, options: Options, settings: Settings | None, engine: Engine
) -> Work:
    """A run that is begun, or the same that was. Raises InputError where another one was begun here."""
    context, (program, parquet_writer) = context_of(settings), programs()
    plan = Plan(
        program=program,
        parquet_writer=parquet_writer,
        manifest=manifest,
        part_rows=options.part_rows,
        model_id=model.model_id,
        preprocessing=model.preprocessing,
        runtime=model.runtime,
        reading=f"{context.default_authority} {context.zone}",
        embeddings=options.embeddings,
        identifiers=key_digest(options.key),
    )
    agree(place, plan)
    return Work(
        place=place,
        plan=plan,
        tables=tables_of(plan, model.labels, model.width),
        engine=engine,
        context=context,
        key=options.key,
    )


def tally_of(place: Place, plan: Plan) -> tuple[Tally, list[int]]:
    """How far earlier runs came, and the parts that are missing."""
    tally, missing = Tally(files=plan.manifest.rows), []
    for number in range(plan.parts):
        part = part_there(place, plan, number)
        if part is None:
            missing.append(number)
            continue
        tally.done += part.rows
        for outcome in OUTCOMES:
            tally.outcomes[outcome] += part.outcomes[outcome]
    tally.earlier = tally.done
    return tally, missing


def run(work: Work, missing: Sequence[int], *, tally: Tally, stop: Event, tell: Callable[[], None]) -> None:
    """Write the parts that are missing, until `stop`; of a part that is not whole then, nothing stays.

    `tell` is called after each file. Raises InputError where a part cannot be written, or the archive has gone.
    """
    place, plan = work.place, work.plan
    count = sum(len(plan.rows_of(number)) for number in missing)
    with closing(work.engine(_pieces(work, missing), count=count, stop=stop)) as found:
        for number in missing:
            of_part: list[list[Answer]] = []
            for answers in islice(found, len(plan.rows_of(number))):
                of_part.append(answers)
                tally.add(answers)
                tell()
            if len(of_part) < len(plan.rows_of(number)):
                return  # stopped
            _need_archive(plan, list(chain.from_iterable(of_part)))
            write_part(place, number, of_part, work.tables)


def _pieces(work: Work, missing: Sequence[int]) -> Iterator[Piece]:
    """The rows of these parts, as they are to be read."""
    wanted = set(missing)
    for number, row in enumerate(rows(work.place)):
        if number // work.plan.part_rows in wanted:
            yield Piece(
                path=row.path,
                named=row.named,
                context=work.context,
                preprocessing=work.plan.preprocessing,
                key=work.key,
            )


def _need_archive(plan: Plan, answers: Sequence[Answer]) -> None:
    """A part whose files are missing because the whole archive went away is no part: it is made when that is back."""
    for one in answers:
        if one.code == "unreachable":
            raise InputError(f"{one.error}; repeat the same command once its store answers: what was scored stays")
    if not any(one.code == "missing-file" for one in answers):
        return
    for root in plan.manifest.roots:
        if not _holds_something(Path(root)):
            raise InputError(
                f"{root} is gone or empty, with the files that the manifest names in it: is a disk no longer mounted? "
                "Bring it back and repeat the same command; what was scored stays"
            )


def _holds_something(folder: Path) -> bool:
    try:
        with scandir(folder) as entries:
            return any(True for _ in entries)
    except OSError:
        return False
