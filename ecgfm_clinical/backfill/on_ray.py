"""A run spread over an existing Ray cluster: files are read by CPU tasks, the network runs in actors, one on each GPU.

    manifest -> portions -> `_Read` (tasks) -> `_Network` (actors) -> answers, in order -> the same parts, to the byte

Where no node has a GPU, each processor has an actor, `_ReadAndNetwork`, that does both: segments handed from a task to
an actor of the same processors cost more than half of the rate (`deploy/BENCHMARKS.md`).

Ray does again what a killed process or a lost node had in hand. The nodes see the files under the same paths, or by
URL; the model lies at the same place on each. Who writes the parts is the process that was started, and nobody else.
"""

import json
import pickle
import socket
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Self, TypedDict

from ecgfm.feeding import Prepared
from ecgfm.version import version
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.answers import Answer
from ecgfm_clinical.files.preparing import Found, Piece, prepare_file
from ecgfm_clinical.files.remote import is_url
from ecgfm_clinical.files.streaming import Ask, by_file

if TYPE_CHECKING:
    from ecgfm.predictor import Predictor

#: Files in one hand where a GPU has the network: their segments, some MB, travel between nodes.
PORTION = 32
#: Most files in one hand where only names and answers travel: Ray takes some 40 ms to hand over whatever it is.
MOST_FILES = 256
#: In how many hands the files of a processor come at least, so that all end at about the same time.
HANDS = 8
#: How often Ray does a task again whose process or node went away, before the run ends.
RETRIES = 5
ANSWERS_WITHIN = 20.0  #: s
#: Tasks in which the reading is cut at most: what a lost node costs is one of them.
MOST_BLOCKS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The model as a node of the cluster has opened it."""

    model_id: str
    preprocessing: str
    runtime: str
    labels: Mapping[str, tuple[str, ...]]
    width: int
    program: str  #: version of this program there


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An existing Ray cluster, and how its nodes open the model. A context manager that leaves it as it was."""

    address: str
    open_model: Callable[[], "Predictor"] = field(repr=False)  #: picklable
    ask_of: Callable[["Predictor"], Ask] = field(repr=False)

    def __enter__(self) -> Self:
        import ray

        try:
            _need_answer(self.address)
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"no Ray cluster answers at {self.address} ({type(error).__name__}); see `ray status` there, and give "
                "the address of its head as --ray"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()

    @property
    def _gpus(self) -> int:
        import ray

        return int(ray.cluster_resources().get("GPU", 0))

    def describe(self) -> Described:
        """Opens the model on one node. Raises InputError where that has another version of this program."""
        import ray

        asked = ray.remote(_describe).options(num_cpus=1, num_gpus=1 if self._gpus else 0).remote(self.open_model)
        with _said(self.address):
            found: Described = ray.get(asked)
        if found.program != version():
            raise InputError(
                f"the cluster at {self.address} has ecgfm-clinical {found.program}, and this is {version()}: "
                "install one version on all nodes"
            )
        return found

    def answered(self, pieces: Iterable[Piece], *, count: int, stop: Event) -> Generator[list[Answer], None, None]:
        """As `ecgfm_clinical.files.streaming.answered`, on the cluster."""
        import ray.data

        gpus, processors = self._gpus, max(1, int(ray.cluster_resources().get("CPU", 1)))
        at_once = PORTION if gpus else min(MOST_FILES, max(PORTION, count // (HANDS * processors)))
        source = iter(pieces)
        items: list[_Files] = []
        like: Piece | None = None
        while portion := list(islice(source, at_once)):
            like = replace(portion[0], path="", named=False)
            items.append({"number": len(items), "files": _packed(portion)})
        if like is None:
            return
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        portions = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS))
        if gpus:
            answers = portions.map(_Read(like), num_cpus=1, max_retries=RETRIES).map(
                _Network, fn_constructor_args=(self.open_model, self.ask_of), concurrency=gpus, num_gpus=1
            )
        else:
            answers = portions.map(
                _ReadAndNetwork,
                fn_constructor_args=(like, self.open_model, self.ask_of),
                concurrency=processors,
                num_cpus=1,
            )
        with _said(self.address):
            for row in answers.iter_rows():
                for found in by_file(pickle.loads(row["answers"])):
                    if stop.is_set():
                        return
                    _need_seen(found)
                    yield found


def _need_answer(address: str) -> None:
    """Of `host:port`: Ray itself waits for minutes where nobody answers. Raises OSError."""
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN).close()


def _packed(portion: list[Piece]) -> bytes:
    """Names of one folder are much alike."""
    return zlib.compress(json.dumps([[str(one.path), one.named] for one in portion]).encode(), 1)


class _Files(TypedDict):
    """A row that Ray hands on: a portion of files."""

    number: int
    files: bytes


class _Prepared(TypedDict):
    """The same, read."""

    number: int
    prepared: bytes


class _Answered(TypedDict):
    """The same, scored."""

    number: int
    answers: bytes


class _Read:
    """Reads a portion's files, in a process of any node."""

    def __init__(self, like: Piece) -> None:
        self._like = like

    def __call__(self, row: _Files) -> _Prepared:
        return {"number": row["number"], "prepared": pickle.dumps(list(_read(row, self._like)), protocol=5)}


class _Network:
    """Holds the model; one of them on each GPU."""

    def __init__(self, open_model: Callable[[], "Predictor"], ask_of: Callable[["Predictor"], Ask]) -> None:
        self._ask = ask_of(open_model())

    def __call__(self, row: _Prepared) -> _Answered:
        return _answered(row["number"], self._ask(pickle.loads(row["prepared"])))


class _ReadAndNetwork:
    """Holds the model and reads the files that it scores; one of them on each processor of a cluster without a GPU."""

    def __init__(
        self, like: Piece, open_model: Callable[[], "Predictor"], ask_of: Callable[["Predictor"], Ask]
    ) -> None:
        self._like = like
        self._ask = ask_of(open_model())

    def __call__(self, row: _Files) -> _Answered:
        return _answered(row["number"], self._ask(_read(row, self._like)))


def _read(row: _Files, like: Piece) -> Iterator[Prepared[Found]]:
    """A portion's files, each prepared when it is asked for."""
    for path, named in json.loads(zlib.decompress(row["files"])):
        yield from prepare_file(replace(like, path=path if is_url(path) else Path(path), named=named))


def _answered(number: int, answers: Iterable[Answer]) -> _Answered:
    return {"number": number, "answers": pickle.dumps(list(answers), protocol=5)}


def _describe(open_model: Callable[[], "Predictor"]) -> Described:
    predictor = open_model()
    return Described(
        model_id=predictor.model_id,
        preprocessing=predictor.preprocessing,
        runtime=predictor.runtime,
        labels=dict(predictor.labels),
        width=predictor.width,
        program=version(),
    )


def _need_seen(found: list[Answer]) -> None:
    """What a node does not see and we do is no fault of the archive."""
    for one in found:
        if one.code == "missing-file" and not is_url(one.found.file) and Path(one.found.file).exists():
            raise InputError(
                f"{one.found.file} is here, and a node of the cluster does not see it: mount the archive under the "
                "same path on every node, and repeat; what was scored stays"
            )


class _said:
    """What Ray cannot do any more, in words."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        import ray.exceptions

        if isinstance(error, ray.exceptions.RayError):
            raise InputError(
                f"the cluster at {self._address} could not go on ({type(error).__name__}: "
                f"{str(error).strip().splitlines()[-1][:300]}); what was scored stays: repeat once it is well again, "
                "or without --ray, where a file that kills the process that reads it is left out by itself"
            ) from error
