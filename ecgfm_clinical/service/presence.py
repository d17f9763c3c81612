"""What one process says of itself in the store, and what it hears there of the others: who fails, hangs or has died."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from ecgfm_clinical import liveness, log, wiring
from ecgfm_clinical.monitoring.certificates import expiry_of
from ecgfm_clinical.service.worker import Health
from ecgfm_clinical.staging.processes import Ailing, Processes, ProcessState

#: A task that fails so often in a row is told in `status`.
FAILURES_TOLD = 3
#: A process that was not seen this long is told no more.
GIVEN_UP_AFTER = timedelta(days=1)


class Presence:
    """One process among those of the store."""

    def __init__(
        self,
        processes: Processes,
        *,
        holder: str,
        roles: frozenset[str],
        certificates: Mapping[str, Path],
        hanging: set[str],
        clock: wiring.Clock,
        differing: Callable[[], Iterable[str]] = frozenset,
    ) -> None:
        """`holder`: this process's name. `certificates`: part -> its file. `hanging`: the tasks that hang, as they
        become known. `differing`: keys of the settings in which another living process differs.
        """
        self._processes = processes
        self._holder = holder
        self._roles = roles
        self._certificates = certificates
        self._hanging = hanging
        self._clock = clock
        self._differing = differing
        self._started_at = clock()
        self._silent: set[str] = set()
        self._ended: set[str] = set()  #: parts whose certificate has ended

    def replace(self) -> None:
        """What this process replaces, such as the container before it, is missed no longer."""
        now = self._clock()
        for one in self._processes.all():
            if self._has_roles_of(one) and one.is_silent(now):
                self._processes.ended(one.holder)

    def _has_roles_of(self, one: ProcessState) -> bool:
        return set(one.roles.split(",")) <= self._roles

    def _follows(self, one: ProcessState) -> bool:
        """Whether a silent process was this container before its restart: of that, `replace` could not yet know."""
        here = liveness.host_of(one.holder) == liveness.host_of(self._holder)
        return here and self._has_roles_of(one) and one.seen_at < self._started_at

    def tell(self, tasks: Iterable[Health]) -> None:
        """This process lives, with these tasks; the log says once of each other process that it is silent or gone."""
        now, processes = self._clock(), self._processes
        processes.lives(
            self._holder,
            roles=",".join(sorted(self._roles)),
            started_at=self._started_at,
            ailing=tuple(self._ailing(tasks)),
            now=now,
        )
        for one in processes.all():
            if one.holder == self._holder or not one.is_silent(now):
                continue
            if self._follows(one) or now - one.seen_at > GIVEN_UP_AFTER:
                processes.ended(one.holder)
            if one.holder not in self._silent:
                self._silent.add(one.holder)
                event = "process.gone" if liveness.is_gone(one.holder) else "process.silent"
                log.event(event, logging.ERROR, process=one.holder)

    def _ended_certificates(self) -> Iterator[str]:
        """Parts whose certificate has ended: each is said once, and in `status` for as long as it is so."""
        now = self._clock()
        for part, path in self._certificates.items():
            ends = expiry_of(path)
            if ends is None or ends > now:
                self._ended.discard(part)
                continue
            if part not in self._ended:
                self._ended.add(part)
                log.event("certificate.ended", logging.ERROR, part=part, at=ends.isoformat())
            yield part

    def _ailing(self, tasks: Iterable[Health]) -> Iterator[Ailing]:
        for part in self._ended_certificates():
            yield Ailing(task=f"certificate of {part}", state="failing", failures=1, error="CertificateEnded")
        for key in sorted(self._differing()):
            yield Ailing(task=f"settings {key}", state="failing", failures=1, error="OtherSettingsElsewhere")
        for health in tasks:
            state = "hanging" if health.name in self._hanging else "failing"
            if state == "hanging" or health.failures >= FAILURES_TOLD or health.is_unproven:
                yield Ailing(task=health.name, state=state, failures=health.failures, error=health.error)
