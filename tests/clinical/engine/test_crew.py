"""A crew answers in order, whatever becomes of its processes."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgfm.feeding import Prepared
from ecgfm_clinical.engine import crew as crew_module
from ecgfm_clinical.engine import slots
from ecgfm_clinical.engine.crew import Crew
from ecgfm_clinical.errors import InputError
from tests.helpers.fakes import wait_until

pytestmark = pytest.mark.slow(11)


def all_of(several: Sequence[Any], work: Callable[[Any], list[Prepared[str]]]) -> list[Prepared[str]]:
    return [one for piece in several for one in work(piece)]


def each(work: Callable[[Any], list[Prepared[str]]]) -> Callable[[Sequence[Any]], list[Prepared[str]]]:
    """A portion's pieces one by one."""
    return partial(all_of, work=work)


def segments_for(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = np.full((number % 4, 12, 2500), number, np.float32)
    return values


def work(number: int) -> list[Prepared[str]]:
    """A piece gives as many answers as it likes; 7 gives none."""
    if number == 7:
        return []
    return [Prepared(what=f"{number}", segments=segments_for(number)), Prepared(what="more", segments=segments_for(1))]


def large(number: int) -> list[Prepared[str]]:
    """More segments than a slot holds."""
    rows = slots.SLOT_BYTES // (12 * 2500 * 4) + number
    return [Prepared(what=f"{number}", segments=np.full((rows, 12, 2500), number, np.float32))]


def killed_at_13(number: int) -> list[Prepared[str]]:
    """As if the system killed the process for its memory, each time."""
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return work(number)


def killed_once(path: str) -> list[Prepared[str]]:
    """The first process that sees this piece dies; another one can do it."""
    if path.endswith("3") and not os.path.exists(path):  # noqa: PTH110
        with open(path, "w", encoding="utf-8"):  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGKILL)
    return [Prepared(what=path, segments=segments_for(2))]


def hangs_at_13(number: int) -> list[Prepared[str]]:
    """As a file system that does not answer, a decoder in a loop; no signal to end it but SIGKILL helps."""
    if number == 13:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Event().wait(600)
    return work(number)


def hangs_once(path: str) -> list[Prepared[str]]:
    """A process that the system stopped; another one can do the piece."""
    if path.endswith("3") and not os.path.exists(path):  # noqa: PTH110
        with open(path, "w", encoding="utf-8"):  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGSTOP)
    return [Prepared(what=path, segments=segments_for(2))]


def breaks(number: int) -> list[Prepared[str]]:
    raise ZeroDivisionError


def lost(number: object, became: str) -> Sequence[Prepared[str]]:
    return [Prepared(what=f"lost {number}: {became}", segments=segments_for(0))]


def expected(numbers: range) -> list[tuple[str, bytes]]:
    return [(one.what, one.segments.tobytes()) for number in numbers for one in work(number)]


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_answers_come_in_order_with_their_segments(processes: int) -> None:
    with Crew(each(work), processes=processes, lost=lost) as crew:
        found = [(one.what, one.segments.tobytes()) for one in crew.answers(range(50))]
    assert found == expected(range(50))


def test_what_is_too_large_for_the_shared_memory_comes_too() -> None:
    with Crew(each(large), processes=2, lost=lost) as crew:
        for number, one in enumerate(crew.answers(range(3))):
            assert one.segments.shape == (16 + number, 12, 2500)
            assert (one.segments == number).all()


def test_a_piece_that_kills_its_process_is_lost_alone_and_in_its_place() -> None:
    with Crew(each(killed_at_13), processes=2, lost=lost) as crew:
        found = [(one.what, one.segments.tobytes()) for one in crew.answers(range(40))]
    assert found == [*expected(range(13)), ("lost 13: was killed", b""), *expected(range(14, 40))]


def test_a_process_that_is_killed_once_costs_nothing(tmp_path: object) -> None:
    pieces = [f"{tmp_path}/{number}" for number in range(30)]
    with Crew(each(killed_once), processes=2, lost=lost) as crew:
        found = [one.what for one in crew.answers(pieces)]
    assert found == pieces


def test_a_process_that_starts_as_another_is_killed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool terminates those that it knows of, one of them in the middle of taking work, whose lock nobody gives
    back; the newcomer waited for that lock, and the pool for the newcomer, for ever.
    """
    with Crew(each(killed_at_13), processes=2, lost=lost, at_once=1) as crew:
        pool: Any = crew._pool
        same = copy(pool)  # keeps its table of processes while the pool ends
        reader = pool._call_queue._reader  # closed after the others are terminated and before any is waited for
        close = reader.close

        def starts_another() -> None:
            pool._call_queue._rlock.acquire(timeout=1)  # as one that was terminated in the middle of taking work
            same._spawn_process()
            close()

        monkeypatch.setattr(reader, "close", starts_another)
        found = [(one.what, one.segments.tobytes()) for one in crew.answers([13, *range(5)])]
    assert found == [("lost 13: was killed", b""), *expected(range(5))]


def test_a_piece_that_hangs_its_process_is_lost_alone_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """Every other ECG waited behind it for ever."""
    with Crew(each(hangs_at_13), processes=2, lost=lost, patience=5) as crew:
        found = [(one.what, one.segments.tobytes()) for one in crew.answers(range(20))]
    assert found == [*expected(range(13)), ("lost 13: gave no answer for 5 s", b""), *expected(range(14, 20))]
    assert [one.getMessage() for one in caplog.records if one.name == "ecgfm_clinical"] == [
        *(["crew.hangs"] * 2),
        "crew.lost",
    ]


def test_a_process_that_hangs_once_costs_nothing(tmp_path: Path) -> None:
    pieces = [f"{tmp_path}/{number}" for number in range(10)]
    with Crew(each(hangs_once), processes=2, lost=lost, patience=5) as crew:
        found = [one.what for one in crew.answers(pieces)]
    assert found == pieces


def test_a_crew_ends_though_a_process_hangs() -> None:
    with Crew(each(hangs_at_13), processes=1, lost=lost, at_once=1, patience=5) as crew:
        answers = crew.answers([1, 13, 2])
        assert next(answers).what == "1"


def test_a_crew_that_finds_no_shared_memory_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(crew_module, "SharedMemory", full)
    crew = Crew(each(work), processes=1, lost=lost)
    with pytest.raises(OSError, match="no space"), crew:
        raise AssertionError
    assert crew._pool is None


def killed_at_its_start_beside(flag: Path) -> None:
    if flag.exists():
        os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_are_killed_while_they_start_cost_no_piece(tmp_path: Path) -> None:
    """Out of memory from the first moment: that is told, no recording is blamed for it, and later they start again."""
    flag = tmp_path / "no-memory"
    crew = Crew(each(killed_at_13), processes=1, lost=lost, begin=partial(killed_at_its_start_beside, flag))
    flag.touch()
    with pytest.raises(InputError, match=r"while they started.*no recording was given up"), crew:
        pass
    flag.unlink()
    with crew:
        assert list(crew.answers([1]))
        flag.touch()
        with pytest.raises(InputError, match="while they started"):
            list(crew.answers([13]))
        flag.unlink()
        assert [one.what for one in crew.answers([2])] == ["2", "more"]


def test_only_a_few_pieces_are_under_way() -> None:
    taken = count()
    with Crew(each(work), processes=1, lost=lost, at_once=2) as crew:
        answers = crew.answers(next(taken) for _ in range(1000))
        next(answers)
        assert next(taken) <= 2 * (1 + crew_module.LEAST_WAITING)


def test_an_error_of_the_work_itself_is_raised() -> None:
    with Crew(each(breaks), processes=1, lost=lost) as crew, pytest.raises(ZeroDivisionError):
        list(crew.answers(range(3)))


def away_or_held(path: Path) -> list[Prepared[str]]:
    """`away` breaks everything; `held` is prepared until `release` stands beside it, and then says that it ended."""
    if path.name == "away":
        wait_until((path.parent / "begun").exists)
        raise OSError("the store is away")
    if path.name == "held":
        (path.parent / "begun").touch()
        wait_until((path.parent / "release").exists)
        (path.parent / "ended").touch()
    return [Prepared(what=path.name, segments=segments_for(1))]


def test_what_was_left_behind_has_ended_before_its_memory_is_used_again(tmp_path: Path) -> None:
    """A process that still prepares an ECG of a run that broke off would fill the memory of a later run's ECG."""
    with Crew(each(away_or_held), processes=2, lost=lost, at_once=1) as crew:
        with pytest.raises(OSError, match="away"):
            list(crew.answers([tmp_path / "away", tmp_path / "held"]))
        later = threading.Timer(0.5, (tmp_path / "release").touch)
        later.start()
        names = [one.what for one in crew.answers([tmp_path / "first", tmp_path / "second"]) if ended(tmp_path)]
        later.join()
    assert names == ["first", "second"]


def ended(folder: Path) -> bool:
    return (folder / "ended").exists()
