"""`python -m tests.clinical.lifecycle.explore --sequences 10000 --seed 1 [--store URL]`: the long form of the machine.

Chunks with a seed of their own each, so that what was tried stands in the output whatever happens next. A finding ends
its chunk: its acts are cut down and printed, and the next chunk goes on. Exits with 1 where anything was found.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import hypothesis
import typer
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.clinical.lifecycle.machine import Lifecycle, Place
from tests.clinical.lifecycle.places import on_postgresql, on_sqlite
from tests.clinical.lifecycle.replay import Act, Recorder, cut_down, play
from tests.helpers.made_once import compile_statements_once

STEPS = 30


class Chunk:
    """Some sequences with one seed, and the first that ended wrongly."""

    def __init__(self, new_place: Callable[[], Place], *, sequences: int, seed: int) -> None:
        self.new_place = new_place
        self.sequences = sequences
        self.seed = seed
        self.tried = 0
        self.acts: list[Act] = []
        self.told = ""

    def run(self) -> None:
        """Stops at the first finding."""
        chosen = settings(
            max_examples=self.sequences,
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        try:
            run_state_machine_as_test(hypothesis.seed(self.seed)(self._machine()), settings=chosen)
        except Exception as error:  # noqa: BLE001 - also what Hypothesis itself has to say
            self.told = self.told or f"{type(error).__name__}: {error}"

    def _machine(self) -> type[Lifecycle]:
        chunk = self

        class Watched(Lifecycle):
            new_place = staticmethod(chunk.new_place)

            def __init__(self) -> None:
                super().__init__()
                chunk.tried += not chunk.told
                self.hospital = Recorder(self.hospital, chunk._keep)  # type: ignore[assignment]  # stands for it

        return Watched

    def _keep(self, acts: list[Act], told: str) -> None:
        if not self.told:
            self.acts, self.told = acts, told


def explore(
    sequences: Annotated[int, typer.Option(help="How many in all.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the first chunk; the next one has the next.")] = 1,
    chunk: Annotated[int, typer.Option(help="Sequences with one seed.")] = 500,
    store: Annotated[str, typer.Option(help="URL of an empty PostgreSQL database; SQLite if not given.")] = "",
) -> None:
    """Try random lives and say how many were tried, and what was found."""
    compile_statements_once()
    memory = Path("/dev/shm")
    found = 0
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="ecgfm-lives-") as folder:
        new_place = on_postgresql(store) if store else on_sqlite(Path(folder))
        tried = 0
        while tried < sequences:
            one = Chunk(new_place, sequences=min(chunk, sequences - tried), seed=seed)
            started = time.monotonic()
            one.run()
            tried += max(one.tried, 1)
            _say(f"seed {seed}: {one.tried} sequences in {time.monotonic() - started:.0f} s, {tried} in all")
            if one.told:
                found += 1
                _tell(one, new_place)
            seed += 1
    _say(f"{tried} sequences, {found} findings")
    raise typer.Exit(1 if found else 0)


def _tell(one: Chunk, new_place: Callable[[], Place]) -> None:
    _say(f"FOUND with seed {one.seed}: {one.told}")
    again = play(one.acts, new_place)
    _say(f"done again: {again or 'ends well'}")
    acts = cut_down(one.acts, new_place) if again else one.acts
    _say("\n".join(f"    {act}" for act in acts))
    if again:
        _say(f"cut down: {play(acts, new_place)}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(explore)
