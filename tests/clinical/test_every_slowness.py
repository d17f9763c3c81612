"""What the table of faults says of the watch, and of a channel, a process and a checkpointer that are only slow."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.alerting import channels
from ecgfm_clinical.alerting import conditions as conditions_module
from ecgfm_clinical.alerting.conditions import conditions
from ecgfm_clinical.monitoring.attention import needs_person
from ecgfm_clinical.service.presence import Presence
from ecgfm_clinical.staging import checkpointing
from ecgfm_clinical.staging.checkpointing import Checkpointer
from tests.helpers.fakes import Clock, make_ecg
from tests.helpers.installation import Installation
from tests.helpers.told import Told

pytestmark = pytest.mark.slow(8)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more="\n[alerts]\nfree_mb = 0\n")
    yield site
    site.close()


# --- the watch --------------------------------------------------------------------------------------------------------

WATCHED = """
import os, sys, threading
from ecgfm_clinical.service import watch

watch.ALARM_AFTER = {alarm}
stop, looks = threading.Event(), []

class Worker:
    name = "score"

    @property
    def health(self):
        looks.append(1)
        {fault}

looking = watch.Watch([Worker()], {{}}, stop=stop, hang_after=900, on_hang=print, every=0.01, put_off_alarm=watch.alarm)
looking.start()
threading.Event().wait(120)
"""

#: A look takes an eighth of the time after which the alarm would end the process; ten of them take longer than that.
SLOW = """
        if len(looks) > 10:
            os._exit(0)
        threading.Event().wait(0.25)
        return type("Health", (), {"alive": True, "silence": 0.0, "due": None})
"""


@pytest.mark.parametrize(
    "fault",
    ["raise KeyError('4711')", "threading.Event().wait(120)", "raise SystemExit"],
    ids=["raises", "hangs", "killed"],
)
def test_a_watch_that_fails_is_said_and_its_process_ends(tmp_path: Path, fault: str) -> None:
    ended = ended_as(tmp_path, WATCHED.format(alarm=0.5, fault=fault))
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "watched.py" in ended.stderr


def test_a_watch_that_is_slow_ends_nothing(tmp_path: Path) -> None:
    ended = ended_as(tmp_path, WATCHED.format(alarm=2, fault=SLOW.strip()))
    assert (ended.returncode, ended.stderr) == (0, "")


def ended_as(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    (folder / "watched.py").write_text(program)
    command = [sys.executable, str(folder / "watched.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


# --- a process of the service -----------------------------------------------------------------------------------------


def test_a_process_that_is_slow_is_silent_to_nobody_and_keeps_its_work(site: Installation, told: Told) -> None:
    """Its signs of life come every ten seconds; five of them may be late."""
    clock, slow = Clock(), "elsewhere:1:1:service"
    store, lease = site.store, site.settings.scoring.lease
    store.processes.lives(slow, roles="score", started_at=clock.now, now=clock.now)
    site.dicom(make_ecg())
    assert len(store.jobs.claim(worker=slow, limit=1, now=clock.now, lease=lease)) == 1
    other = Presence(
        store.processes, holder="here:1:1:service", roles=frozenset(), certificates={}, hanging=set(), clock=clock
    )
    for _ in range(3):
        clock.advance(seconds=59)
        other.tell([])
        assert needs_person(store, now=clock.now, limits=site.settings.attention).silent_processes == ()
        assert store.leases.reap_all(now=clock.now, max_attempts=3, lease=lease) == 0
        store.processes.lives(slow, roles="score", started_at=clock.now, now=clock.now)
        store.leases.prolong(slow, now=clock.now, lease=lease)
    assert not told("process.silent")
    clock.advance(seconds=61)
    other.tell([])
    assert [one["process"] for one in told("process.silent")] == [slow]


# --- the checkpointer -------------------------------------------------------------------------------------------------


def test_a_checkpointer_that_is_slow_lets_the_log_grow_and_the_alert_tells_it(
    site: Installation, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointing, "PAUSE", 0.0)
    release, begun, done, checkpoint = Event(), Event(), Event(), Checkpointer._checkpoint

    def slow(self: Checkpointer) -> None:
        begun.set()
        release.wait(120)
        checkpoint(self)
        done.set()

    monkeypatch.setattr(Checkpointer, "_checkpoint", slow)
    site.dicom(make_ecg())
    assert begun.wait(120)
    room = site.store.room()
    assert room.log, "what was committed lies in the log"

    def alerts(limit: int) -> list[str]:
        monkeypatch.setattr(conditions_module, "LONG_LOG", limit)
        found = conditions(site.settings, site.store, now=wiring.utc_now())
        return [one.name for one in found if one.name == "store-log-long"]

    assert alerts(room.log) == []
    assert alerts(room.log - 1) == ["store-log-long"]
    release.set()
    assert not told("thread.hangs"), "slow, and no fault"
    assert done.wait(120)


# --- a channel of alerts ----------------------------------------------------------------------------------------------


def test_a_channel_that_is_slow_is_waited_for_and_the_others_are_told_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "".join(f'[[alerts.command]]\nname = "{name}"\ncommand = ["{name}"]\n' for name in ("slow", "other"))
    site = Installation(tmp_path, more=f"\n[alerts]\nfree_mb = 0\n{more}")
    release, begun, heard = Event(), Event(), list[str]()

    def tell(self: channels.Command, word: Any) -> None:
        if self._command == ("slow",):
            begun.set()
            release.wait(120)
        heard.append(self._command[0])

    monkeypatch.setattr(channels.Command, "tell", tell)
    site.dicom(b"no recording")
    alerting = wiring.build_alerting(site.settings, site.store)
    assert alerting is not None
    telling = Thread(target=alerting.run)
    telling.start()
    try:
        assert begun.wait(120)
        assert heard == []
    finally:
        release.set()
        telling.join(120)
    assert heard == ["slow", "other"]
    assert site.store.alerts.failing_channels() == {}
    site.close()
