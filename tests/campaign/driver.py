"""Keeps the victims running and dying until enough of them have died, then lets everything come to rest."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event

from sqlalchemy import func, select

from ecgfm_clinical import telling, wiring
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.store import Store
from tests.campaign import hospital, standing, victim
from tests.campaign.drop import Dropping
from tests.campaign.fhir import MoodyFhirServer
from tests.campaign.lives import Lives
from tests.campaign.pacs import MoodyPacs, waits_for_a_person
from tests.campaign.pausing import Pausing, Receiver
from tests.campaign.verdict import Verdict, judge
from tests.helpers.ports import free_port

ROLES = ("connect", "score", "report")
TICK = 0.05
LONGEST_START = 120.0  # seconds until a process that never came to work is killed
READY = b'"service.started"'
POWER_CUT_EVERY = 30  # after so many deaths, all processes go down at once
#: What a campaign goes on for: on a quick machine the last process dies before a pause was seen to be obeyed.
MUST_SEE = frozenset({"arrives", "merges", "pauses"})
MOST_MORE_DEATHS = 100  # than were asked for


@dataclass(slots=True)
class _Process:
    role: str
    point: str
    process: ForkServerProcess
    log: Path
    life: float  #: seconds of work
    dies_at: float
    ready: bool = False


@dataclass(slots=True)
class Campaign:
    """One campaign. `run` does all of it."""

    folder: Path
    store_url: str
    kills: int
    seed: int = 1
    pace: float = 0.25
    longest_life: float = 6.0  #: seconds of work until one that never came to its named point is killed where it stands
    tell: Callable[[int], None] = lambda _: None
    deaths: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    acts: dict[str, int] = field(default_factory=dict)  #: of the lives that are led meanwhile
    spawned: int = 0
    next_cut: int = POWER_CUT_EVERY // 2

    def run(self) -> Verdict:
        """Kill, let rest, judge. Raises TimeoutError where the store does not come to rest."""
        chance = random.Random(self.seed)
        with ExitStack() as closing_down:
            server, pacs = MoodyFhirServer(chance), MoodyPacs(chance)
            receivers: dict[str, Receiver] = {name: hospital.MoodyReceiver(chance) for name in ("ehr", "archive")}
            receivers |= {"fhir": server, "pacs": pacs}
            for receiver in receivers.values():
                receiver.start()
                closing_down.callback(receiver.stop)
            ports = {name: receiver.port for name, receiver in receivers.items()}
            ports |= {name: free_port() for name in ("dicom", "hl7")}
            settings = hospital.write_settings(self.folder, store=self.store_url, **ports)
            store = Store.open(self.store_url, create=True, telling=telling.build_telling(read_settings(settings)))
            closing_down.callback(store.close)
            carts = hospital.Carts(ports["dicom"], ports["hl7"], pace=self.pace)
            lives = Lives(store, ports["hl7"], seed=self.seed, pace=self.pace)
            pausing = Pausing(store, receivers, seed=self.seed)
            dropping = Dropping(self.folder, pace=2 * self.pace)
            hands = (carts, lives, dropping, pausing)
            for hand in hands:
                hand.start()
            try:
                self._kill(settings, chance, lambda: _has_seen(lives, pausing))
            finally:
                for hand in hands:
                    hand.stop()
            self._come_to_rest(settings, store, (carts, lives, dropping), receivers)
            self.acts = lives.acts | pausing.acts
            acknowledged = [content for sent in carts.acknowledged.values() for content in sent]
            others = {name: one for name, one in receivers.items() if not isinstance(one, MoodyPacs)}
            received = {name: receiver.messages for name, receiver in others.items()}
            accepted = {name: receiver.accepted for name, receiver in others.items()}
            kept = [*acknowledged, *lives.acknowledged, *dropping.dropped]
            verdict = judge(store, kept, received, accepted, pacs, self.folder.glob("*.log"))
            wrong = (*_failed(store, lives), *pausing.broken, *standing.judge(store, lives, accepted, server, pacs))
        return replace(verdict, problems=(*verdict.problems, *wrong))

    def _kill(self, settings: Path, chance: random.Random, has_seen: Callable[[], bool]) -> None:
        """Two thirds of the deaths among one process a role, the rest of one process that plays all of them, and of
        this one as many more as it takes to see what a campaign must see.
        """

        def enough() -> bool:
            more = self.deaths.total() - self.kills
            return more >= MOST_MORE_DEATHS or (more >= 0 and has_seen())

        self._kill_among(ROLES, lambda: self.deaths.total() >= self.kills * 2 // 3, settings, chance)
        self._kill_among(("all",), enough, settings, chance)

    def _kill_among(
        self, roles: Sequence[str], enough: Callable[[], bool], settings: Path, chance: random.Random
    ) -> None:
        living = {role: self._start(settings, role, chance) for role in roles}
        try:
            while not enough():
                Event().wait(TICK)
                for role, one in living.items():
                    if self._is_dead(one):
                        living[role] = self._start(settings, role, chance)
                self._power_cut(living)
        finally:
            for one in living.values():
                one.process.kill()
                one.process.join()

    def _is_dead(self, one: _Process) -> bool:
        code = one.process.exitcode
        if not one.ready and READY in one.log.read_bytes():
            one.ready = True
            one.dies_at = time.monotonic() + one.life
        if code is None and time.monotonic() > one.dies_at:
            one.process.kill()
            one.process.join()
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
        """Take all processes down at once, when all are at work."""
        if len(living) == 1 or self.deaths.total() < self.next_cut or not all(one.ready for one in living.values()):
            return
        self.next_cut = self.deaths.total() + POWER_CUT_EVERY
        for one in living.values():
            one.process.kill()
        for one in living.values():
            one.process.join()
            one.point = f"{one.role}: all at once"

    def _start(self, settings: Path, role: str, chance: random.Random) -> _Process:
        if chance.random() < 0.3:
            return self._spawn(settings, role, victim.NO_ORDER, "anywhere", chance.uniform(0.0, self.longest_life))
        step, when = chance.choice(victim.points(role))
        return self._spawn(settings, role, (step, when, chance.randint(1, 8)), f"{when} {step}", self.longest_life)

    def _spawn(self, settings: Path, role: str, order: victim.Order, point: str, life: float) -> _Process:
        self.spawned += 1
        path = self.folder / f"{role}-{self.spawned:04d}.log"
        path.touch()
        process = victim.start(role, settings, order, path)
        dies_at = time.monotonic() + LONGEST_START
        return _Process(role=role, point=f"{role}: {point}", process=process, log=path, life=life, dies_at=dies_at)

    def _come_to_rest(
        self,
        settings: Path,
        store: Store,
        hands: tuple[hospital.Carts, Lives, Dropping],
        receivers: dict[str, Receiver],
    ) -> None:
        """Everybody lives and behaves from now on; an operator answers what is asked and resends what was refused."""
        for receiver in receivers.values():
            receiver.behaves = True
        living = [self._spawn(settings, role, victim.NO_ORDER, "at rest", life=0.0) for role in ROLES]
        try:
            carts, lives, dropping = hands
            carts.join()
            lives.join()
            while True:
                _until_none(lambda: dropping.left() + _jobs(store), living)
                store.results.resend(now=wiring.utc_now(), actor="campaign")
                try:
                    _until_none(lambda: _messages(store), living)
                except TimeoutError as error:
                    raise TimeoutError(f"{error}; {_where(store)}") from error
                if not (asked := store.results.holds()):
                    break
                for held in asked:
                    lives.answer(held, release=True)
            if unscored := store.questions.counts().waiting:
                self.unexpected.append(
                    f"{unscored} ECGs wait for their score, and neither a job nor a question is open"
                )
        finally:
            for one in living:
                one.process.terminate()
            for one in living:
                one.process.join(60)


def _has_seen(lives: Lives, pausing: Pausing) -> bool:
    """Whether everything was done that a campaign must see, or a hand broke, which will do nothing more."""
    seen = {act.split()[0] for act in (*lives.acts, *pausing.acts)}
    return seen >= MUST_SEE or bool(lives.broken or pausing.broken)


def _jobs(store: Store) -> int:
    """What waits for a worker, and what is owed the answer of a head that goes on again; what came to a recording that
    is held waits for the answer instead.
    """
    backlog = store.questions.backlog()
    return backlog.jobs_waiting + backlog.jobs_running + sum(store.pauses.owed().values())


def _messages(store: Store) -> int:
    """What is not acknowledged, set aside or not; but for what is held for a person, as it should be."""
    with store.database.reading() as ask:
        held = ask.connection.scalar(select(func.count()).where(waits_for_a_person())) or 0
    backlog = store.questions.backlog().destinations.values()
    return sum(one.waiting + one.running + one.dead for one in backlog) - held


def _where(store: Store) -> str:
    """Which destination the messages wait for, and what it said last."""
    told = store.questions.backlog().destinations.items()
    waiting = [f"{name}: {one.waiting} wait, {one.running} run, {one.dead} are set aside" for name, one in told]
    states = [f"{name}: {store.destinations.status(name, now=wiring.utc_now())}" for name, _ in told]
    return "; ".join((*waiting, *states))


def _until_none(left: Callable[[], int], living: Sequence[_Process], patience: float = 300.0) -> None:
    """However much there is to do. Raises TimeoutError where nothing moves for `patience` s, and says who lives."""
    least, since = left(), time.monotonic()
    while least:
        Event().wait(0.5)  # to ask takes an eighth of a core where it is asked ten times a second
        if (now := left()) != least:
            least, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            states = ", ".join(f"{one.role} {'lives' if one.process.is_alive() else 'is dead'}" for one in living)
            raise TimeoutError(f"{least} left and nothing moves for {patience:.0f} s: {states}")


def _failed(store: Store, lives: Lives) -> list[str]:
    """ECGs may fail here only because their recording was taken back before they were scored."""
    taken_back = sum(len(lives.versions(life)) for life in lives.lives.values() if life.withdrawn_once)
    failed = store.questions.counts().failed
    return [f"{failed} ECGs failed, {taken_back} were taken back at most"] if failed > taken_back else []
