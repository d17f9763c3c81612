"""Keeps the victims running and dying until enough of them have died, then lets everything come to rest."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from ecgfm_clinical.campaign import hospital, victim
from ecgfm_clinical.campaign.verdict import Verdict, judge
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.testing import wait_until

TICK = 0.05
LONGEST_LIFE = 12.0  # seconds until a process that never came to its named point is killed where it stands
POWER_CUT_EVERY = 10  # every tenth death takes all processes down at once


@dataclass(slots=True)
class _Process:
    role: str
    point: str
    process: subprocess.Popen[bytes]
    dies_at: float


@dataclass(slots=True)
class Campaign:
    """One campaign. `run` does all of it."""

    folder: Path
    store_url: str
    kills: int
    seed: int = 1
    pace: float = 0.25
    tell: Callable[[int], None] = lambda _: None
    deaths: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def run(self) -> Verdict:
        """Kill, let rest, judge. Raises TimeoutError where the store does not come to rest."""
        chance = random.Random(self.seed)
        with ExitStack() as closing_down:
            receivers = {name: hospital.MoodyReceiver(chance) for name in ("ehr", "archive")}
            for receiver in receivers.values():
                receiver.start()
                closing_down.callback(receiver.stop)
            ports = {name: receiver.port for name, receiver in receivers.items()}
            ports |= {name: _free_port() for name in ("dicom", "hl7")}
            settings = hospital.write_settings(self.folder, store=self.store_url, **ports)
            store = Store.open(self.store_url, create=True)
            closing_down.callback(store.close)
            carts = hospital.Carts(ports["dicom"], ports["hl7"], pace=self.pace)
            carts.start()
            try:
                self._kill(settings, chance)
            finally:
                carts.stop()
            self._come_to_rest(settings, store, carts, receivers)
            acknowledged = [content for sent in carts.acknowledged.values() for content in sent]
            received = {name: receiver.messages for name, receiver in receivers.items()}
            verdict = judge(store, acknowledged, received, self.folder.glob("*.log"))
        return verdict

    def _kill(self, settings: Path, chance: random.Random) -> None:
        living = {role: self._start(settings, role, chance) for role in victim.STEPS}
        try:
            while self.deaths.total() < self.kills:
                Event().wait(TICK)
                for role, one in living.items():
                    if self._is_dead(one):
                        living[role] = self._start(settings, role, chance)
                if self.deaths.total() % POWER_CUT_EVERY == POWER_CUT_EVERY - 1:
                    self._power_cut(living)
        finally:
            for one in living.values():
                one.process.kill()
                one.process.wait()

    def _is_dead(self, one: _Process) -> bool:
        code = one.process.poll()
        if code is None and time.monotonic() > one.dies_at:
            one.process.kill()
            one.process.wait()
            one.point = f"{one.role}: anywhere"
            code = -signal.SIGKILL
        if code is None:
            return False
        if code == -signal.SIGKILL:
            self.deaths[one.point] += 1
            self.tell(self.deaths.total())
        else:
            self.unexpected.append(f"a {one.role} process ended by itself with {code}")
        return True

    def _power_cut(self, living: dict[str, _Process]) -> None:
        for one in living.values():
            one.process.kill()
        for one in living.values():
            one.process.wait()
            one.point = f"{one.role}: all at once"

    def _start(self, settings: Path, role: str, chance: random.Random) -> _Process:
        now = time.monotonic()
        if chance.random() < 0.3:
            return self._spawn(
                settings, role, ("-", "-", 0), f"{role}: anywhere", now + chance.uniform(1.0, LONGEST_LIFE)
            )
        step, when = chance.choice(victim.points(role))
        nth = chance.randint(1, 8)
        return self._spawn(settings, role, (step, when, nth), f"{role}: {when} {step}", now + LONGEST_LIFE)

    def _spawn(self, settings: Path, role: str, order: tuple[str, str, int], point: str, dies_at: float) -> _Process:
        words = [sys.executable, "-m", "ecgfm_clinical.campaign.victim", role, str(settings), *map(str, order)]
        with (self.folder / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        return _Process(role=role, point=point, process=process, dies_at=dies_at)

    def _come_to_rest(
        self,
        settings: Path,
        store: Store,
        carts: hospital.Carts,
        receivers: dict[str, hospital.MoodyReceiver],
    ) -> None:
        """Everybody lives and behaves from now on; refused results are sent again as an operator would."""
        from ecgfm_clinical import wiring

        for receiver in receivers.values():
            receiver.behaves = True
        living = [self._spawn(settings, role, ("-", "-", 0), role, time.monotonic() + 3600) for role in victim.STEPS]
        try:
            carts.join()
            wait_until(lambda: not store.counts().waiting, timeout=300)
            store.resend(now=wiring.utc_now(), actor="campaign", control_ids=wiring.control_id)
            wait_until(lambda: not store.backlog().destinations, timeout=600)
        finally:
            for one in living:
                one.process.terminate()
            for one in living:
                one.process.wait(60)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
