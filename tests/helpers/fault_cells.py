"""What a cell and a row of the table of faults are (`fault_matrix`), and what many cells share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One fault in one part."""

    said: str  #: and where; what is needed by nobody is said by nobody
    within: str
    then: str  #: by whom it is tried again, started anew or taken out
    tried: tuple[str, ...]  #: `file::test`

    @property
    def text(self) -> str:
        """As the page shows it."""
        return "; ".join(filter(None, (self.said, self.within, self.then)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thread, task or process."""

    what: str  #: names of its threads, as `What is watched` of LIMITS.md has them
    raises: Cell
    hangs: Cell
    slow: Cell
    killed: Cell

    @property
    def cells(self) -> tuple[Cell, ...]:
        return (self.raises, self.hangs, self.slow, self.killed)


def cell(said: str, within: str, then: str, *tried: str) -> Cell:
    """A cell in one line."""
    return Cell(said=said, within=within, then=then, tried=tried)


WATCH = "test_watch.py::"
EVERY = "test_every_fault.py::"
SLOW = "test_every_slowness.py::"
LEARNERS = "test_learners.py::"

ENDS = "the process ends with 70, systemd or Docker starts it anew"
