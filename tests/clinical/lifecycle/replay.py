"""Acts on a hospital, written down as they are done, done again, and cut down to those that matter.

What Hypothesis prints is a sequence of the machine's rules, and it shrinks for hours where one sequence takes a tenth
of a second. What is written down here are the acts on the hospital itself, in the words of `test_found.py`, and whole
runs of them are left out while the same assertion still fails.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.clinical.lifecycle.hospital import Hospital, Truth
from tests.clinical.lifecycle.machine import Place

ACTS = frozenset({
    "arrives", "comes_again", "two_people", "sender_withdraws", "sender_withdraws_early", "merge", "unlink", "link",
    "add_person", "operator_merges", "operator_unmerges", "withdraws", "corrects", "names_patient", "releases",
    "rejects", "sends_dead_letters_again", "scores", "worker_dies", "says_otherwise", "sends", "settle", "reopens",
    "truth", "is_restored", "ends",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One call of a method of `Hospital`; `truth` is taken as the database is copied, `is_restored` puts both back."""

    name: str
    given: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        words = [*map(repr, self.given), *(f"{name}={value!r}" for name, value in self.named)]
        return f"hospital.{self.name}({', '.join(words)})"


class Recorder:
    """A hospital that writes down what is done to it, up to the act that failed."""

    def __init__(self, hospital: Hospital, failed: Callable[[list[Act], str], None]) -> None:
        self._hospital = hospital
        self._acts: list[Act] = []
        self._failed: Callable[[list[Act], str], None] | None = failed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._hospital, name)
        if name not in ACTS:
            return found

        def done(*given: Any, **named: Any) -> Any:
            self._acts.append(Act(name=name, given=self._words(name, given), named=tuple(named.items())))
            try:
                return found(*given, **named)
            except Exception as error:
                self._tell(error)
                raise

        return done

    def _words(self, name: str, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """A question is written as its place among the open ones, a copy of the database not at all."""
        if name == "is_restored":
            return ()
        if name not in ("releases", "rejects"):
            return given
        held = [one.hold_id for one in self._hospital.open_questions()]
        return (held.index(given[0].hold_id), *given[1:])

    def _tell(self, error: Exception) -> None:
        if self._failed is not None:
            self._failed(list(self._acts), told(error))
            self._failed = None


def play(acts: list[Act], new_place: Callable[[], Place]) -> str:
    """Do the acts to a new store; the first line of the assertion that failed, empty where all held.

    An act that makes no sense any more, because another was left out, is left out too.
    """
    place = new_place()
    hospital = Hospital(place.open, control_ids=itertools.count(1))
    copy: tuple[Callable[[], None], Truth] | None = None
    try:
        for act in acts:
            if act.name == "truth":
                copy = (place.save(), hospital.truth())
            elif act.name == "is_restored":
                if copy is not None:
                    hospital.is_restored(*copy)
                copy = None
            else:
                _do(hospital, act)
        hospital.ends()
        assert not list(hospital.store.care.audit_faults())
    except Exception as error:  # noqa: BLE001 - whatever ends the sequence is what it found
        return told(error)
    finally:
        hospital.store.close()
        place.remove()
    return ""


def told(error: Exception) -> str:
    """What ended a sequence, in one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0]


def _do(hospital: Hospital, act: Act) -> None:
    given = act.given
    about = {"comes_again", "two_people", "sender_withdraws", "withdraws", "corrects", "names_patient"}
    if act.name in about | {"says_otherwise"} and given[0] not in hospital.recordings:
        return
    if act.name in ("releases", "rejects"):
        held = hospital.open_questions()
        if given[0] >= len(held):
            return
        given = (held[given[0]], *given[1:])
    getattr(hospital, act.name)(*given, **dict(act.named))


def cut_down(acts: list[Act], new_place: Callable[[], Place]) -> list[Act]:
    """Fewest acts, by leaving out ever smaller runs, that end as all of them do."""
    wrong = kind_of(play(acts, new_place))
    size = len(acts) // 2
    while size:
        at = 0
        while at < len(acts):
            fewer = acts[:at] + acts[at + size :]
            if kind_of(play(fewer, new_place)) == wrong:
                acts = fewer
            else:
                at += size
        size //= 2
    return acts


def kind_of(told: str) -> str:
    """What an assertion says, without the values in it."""
    return told.split(":  ")[0].split(" at ")[0].split(" of R")[0][:60] if told else ""
