"""Commands that learn, and four faults: one that hangs is told where nobody watches it, one that is slow is not."""

import faulthandler
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.alerting.conditions import conditions
from ecgfm_clinical.cli import signs
from ecgfm_clinical.cli.workshops import workshop
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.liveness import worker_name
from ecgfm_clinical.monitoring import learners
from ecgfm_clinical.monitoring.attention import FailingTask, needs_person
from ecgfm_clinical.service.service import Service
from tests.helpers.fakes import Clock, wait_until
from tests.helpers.installation import Installation

pytestmark = pytest.mark.slow(6)

HOUR = timedelta(hours=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more="\n[alerts]\nfree_mb = 0\n")
    yield site
    site.close()


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def told(site: Installation, clock: Clock) -> list[FailingTask]:
    return list(needs_person(site.store, now=clock.now, limits=site.settings.attention).failing_tasks)


def test_a_retraining_without_progress_needs_a_person_until_it_gets_on(site: Installation) -> None:
    clock, seconds, shown = Clock(), Seconds(), list[str]()

    def show(what: str, done: int, total: int) -> None:
        shown.append(what)

    with signs.leased(show, site.store, "retrain reduced_lvef", clock=clock, after=HOUR, seconds=seconds) as progress:
        clock.advance(minutes=59)
        seconds.now += 59 * 60
        progress("embedding", 1, 2)
        clock.advance(minutes=59)
        assert told(site, clock) == [], "slow, and no fault"
        clock.advance(minutes=2)
        (one,) = told(site, clock)
        assert (one.task, one.state) == ("retrain reduced_lvef", "hanging")
        found = [one for one in conditions(site.settings, site.store, now=clock.now) if one.name == "task-failing"]
        assert [one.subject for one in found] == ["retrain reduced_lvef"]
        seconds.now += 61 * 60
        progress("embedding", 2, 2)
        assert told(site, clock) == []
        clock.advance(hours=2)
        assert told(site, clock)
    assert told(site, clock) == [], "it ended"
    assert shown == ["embedding", "embedding"]


def test_one_that_raises_is_missed_by_nobody(site: Installation) -> None:
    clock = Clock()
    with (
        pytest.raises(KeyError),
        signs.leased(lambda *_: None, site.store, "retrain troponin", clock=clock, after=HOUR),
    ):
        raise KeyError
    assert site.store.coordination.leases("learning ") == []


def test_one_that_is_gone_is_told_by_nobody_and_swept_away(site: Installation) -> None:
    """Its exit status has told it; of another host nobody knows, and it is told for a day."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host, namespace, _, role = worker_name("retrain troponin").split(":")
    clock = Clock()
    for holder in (f"{host}:{namespace}:{gone.pid}:{role}", "elsewhere:1:1:retrain troponin"):
        learners.gets_on(site.store, holder, now=clock.now, within=HOUR)
    clock.advance(hours=1)
    assert [one.process for one in told(site, clock)] == ["elsewhere:1:1:retrain troponin"]
    learners.sweep(site.store, now=clock.now)
    assert [one.holder for one in site.store.coordination.leases("learning ")] == ["elsewhere:1:1:retrain troponin"]
    clock.advance(days=1)
    assert told(site, clock) == []
    learners.sweep(site.store, now=clock.now)
    assert site.store.coordination.leases("learning ") == []


def test_the_command_itself_is_told_by_status_and_its_dates_are_not_moved_by_a_clock_that_jumps(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    began = clock.now
    monkeypatch.setattr(wiring, "utc_now", lambda: clock.now)
    site.path.write_text(site.path.read_text("utf-8") + "\n[attention]\nlearning_hours = 1\n", encoding="utf-8")
    with workshop(site.path, "retrain reduced_lvef") as place:
        assert site.command("status")[0] == 0
        clock.advance(minutes=61)
        code, text = site.command("status")
        assert code == 1
        assert "task retrain reduced_lvef is hanging" in text
        for days in (3650, -7300):
            clock.advance(days=days)
            assert timedelta() <= place.clock() - began < timedelta(minutes=10)
    assert site.store.coordination.leases("learning ") == []


@pytest.mark.parametrize(
    ("words", "works"),
    [
        ("retrain troponin --method linear", "workshop.Workshop.retrain"),
        ("evaluate troponin", "workshop.Workshop.evaluate"),
        ("learning-curve troponin", "workshop.Workshop.learning_curves"),
        ("model recalibrate troponin", "workshop.Workshop.recalibrate"),
        ("model shift troponin --prevalence 0.1", "shifting.shift"),
        ("drift", "drift.watch.watch"),
        ("cohort export troponin --dry-run", "workshop.Workshop.experiment"),
    ],
)
def test_every_command_that_learns_on_the_store_is_known_there(
    site: Installation, monkeypatch: pytest.MonkeyPatch, words: str, works: str
) -> None:
    known = list[str]()

    def at_work(*_: object, **__: object) -> Any:
        known.extend(lease.holder.split(":", 3)[3] for lease in site.store.coordination.leases("learning "))
        raise LearningError("seen at work")

    monkeypatch.setattr(f"ecgfm_clinical.learning.{works}", at_work)
    code, text = site.command(*words.split())
    assert (code, known) == (1, [words.split(" --")[0]]), text
    assert site.store.coordination.leases("learning ") == []


def test_a_clock_behind_the_store_teaches_nothing_and_one_ahead_is_said(
    site: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    served = clock.now
    monkeypatch.setattr(wiring, "utc_now", lambda: clock.now)
    site.store.processes.lives("h:1:1:service", roles="all", started_at=served, now=served)
    clock.advance(days=-3)
    with (
        pytest.raises(LearningError, match=r"clock says 2026-02-26 .* put the clock right"),
        workshop(site.path, "drift"),
    ):
        pytest.fail("it was dated before its own ECGs")
    assert site.store.coordination.leases("learning ") == []
    clock.advance(days=3, minutes=-30)
    with workshop(site.path, "drift"):
        assert "ahead" not in capsys.readouterr().err
    clock.advance(days=3650)
    with workshop(site.path, "drift"):
        assert "is ahead, and what is learnt now is dated wrongly" in capsys.readouterr().err


def test_a_store_that_does_not_answer_stops_nobody_from_learning(site: Installation) -> None:
    from ecgfm_clinical.errors import StoreUnavailable

    def away(*_: object, **__: object) -> Any:
        raise StoreUnavailable("it is away")

    store, seconds, shown = site.store, Seconds(), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("acquire", "release", "leases"):
            patch.setattr(store.coordination, name, away)
        with signs.leased(
            lambda what, *_: shown.append(what), store, "retrain x", clock=Clock(), after=HOUR, seconds=seconds
        ) as progress:
            seconds.now += 60
            progress("embedding", 1, 2)
    assert shown == ["embedding"]


def test_of_several_processes_that_train_together_only_the_first_tells(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others show no progress and would be told for ever."""
    monkeypatch.setenv("RANK", "1")
    with signs.leased(lambda *_: None, site.store, "retrain x", clock=wiring.utc_now, after=HOUR):
        assert site.store.coordination.leases("learning ") == []


def test_a_service_goes_on_beside_it_and_sweeps_what_was_killed(site: Installation, told: Any) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host, namespace, _, role = worker_name("retrain troponin").split(":")
    learners.gets_on(site.store, f"{host}:{namespace}:{gone.pid}:{role}", now=wiring.utc_now(), within=HOUR)
    with signs.leased(lambda *_: None, site.store, "retrain x", clock=wiring.utc_now, after=HOUR):
        service = Service(site.settings, "connect", site.store)
        service.start()
        try:
            wait_until(lambda: len(site.store.coordination.leases("learning ")) == 1)
        finally:
            service.stop()
    assert not [one for one in told() if one["event"].startswith("task.")]


def test_standard_error_says_where_a_command_hangs_and_the_command_is_not_ended(tmp_path: Path) -> None:
    program = tmp_path / "stuck.py"
    program.write_text(
        "import threading\n"
        "from datetime import timedelta\n"
        "from ecgfm_clinical.cli.signs import alarmed\n"
        "with alarmed(timedelta(seconds=0.3)) as gets_on:\n"
        "    gets_on()\n"
        "    threading.Event().wait(120)\n"
    )
    with subprocess.Popen([sys.executable, str(program)], stderr=subprocess.PIPE, text=True) as hangs:
        assert hangs.stderr is not None
        said = 0
        while said < 2:  # it is said again and again
            line = hangs.stderr.readline()
            assert line, "it ended"
            said += "stuck.py" in line
        assert hangs.poll() is None
        hangs.kill()


def test_the_alarm_of_a_command_that_gets_on_is_put_off_and_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acts = list[str]()
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: acts.append("put off"))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: acts.append("taken away"))
    with signs.alarmed(timedelta(seconds=1e-6)) as gets_on:
        gets_on()
    assert acts == ["put off", "put off", "taken away"]
