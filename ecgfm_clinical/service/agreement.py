"""Whether all processes of a store serve the same destinations and sources: two settings files for one store would let
results of one go to nobody at the other, in silence.

Each process keeps a lease in the store whose holder says, beside its name, what it serves: the parts of its settings by
name, each with a digest. A digest is of what the settings say of a part but for paths of files, which differ between
machines for good reasons; of a listener it is of what decides about its senders, for each machine has an address of its
own. Keys are told, never values.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ecgfm_clinical import liveness, log
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.settings.part import Sender

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store

#: How long after its last renewal a lease still counts; the service renews every ten seconds.
TERM = timedelta(seconds=60)
_LEASE = "serves "
_PULLS = "connect"  #: the role of those who ask sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one process serves."""

    roles: frozenset[str]
    parts: Mapping[str, str]  #: such as `destinations.ehr` -> digest

    def differs_from(self, other: "Served") -> frozenset[str]:
        """Keys of the settings in which two processes of one store must not differ and do.

        Every process writes messages, so that destinations must be the same for all; only those that ask sources
        need all of them, for one of them asks for all others.
        """
        both_pull = _PULLS in self.roles and _PULLS in other.roles
        return frozenset(
            key
            for key in self.parts.keys() | other.parts.keys()
            if self.parts.get(key) != other.parts.get(key)
            and (
                (key in self.parts and key in other.parts)
                or key.startswith("destinations.")
                or (both_pull and key.startswith("sources."))
            )
        )


def served(settings: Settings, roles: frozenset[str]) -> Served:
    """What a process of these settings serves."""
    parts = {f"destinations.{part.name}": _digest(part) for part in settings.destinations.all}
    parts |= {f"sources.{part.name}": _digest(part) for part in settings.sources.all}
    parts |= {f"listeners.{part.name}": _digest(part, of=Sender) for part in settings.listeners.all}
    parts |= {f"site.{name}": _digest_of(getattr(settings.site, name)) for name in ("authority", "time_zone")}
    return Served(roles=roles, parts=parts)


def _digest(part: BaseModel, of: type[BaseModel] | None = None) -> str:
    names = (of or type(part)).model_fields
    return _digest_of({name: getattr(part, name) for name in names})


def _digest_of(value: object) -> str:
    return sha256(json.dumps(_plain(value), sort_keys=True, default=repr).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """Without paths, at any depth."""
    if isinstance(value, Path):
        return "a path"
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return sorted([str(name), _plain(one)] for name, one in value.items())
    if isinstance(value, frozenset):
        return sorted(str(one) for one in value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


class Agreement:
    """What one process serves, told to the others of its store and compared with what they serve."""

    def __init__(self, store: "Store", what: Served, *, holder: str, clock: Callable[[], datetime]) -> None:
        """`holder`: this process's name."""
        self._store = store
        self._what = what
        self._holder = holder
        self._clock = clock
        self._told: dict[str, frozenset[str]] = {}  #: other process -> keys

    def look(self) -> frozenset[str]:
        """Say, or say again, what this process serves; the keys in which another living one differs, each told once
        in the log. Raises StoreUnavailable.
        """
        now = self._clock()
        announce(self._store, self._what, self._holder, now=now)
        found: dict[str, frozenset[str]] = {}
        for process, other in others(self._store, self._holder, now=now):
            found[process] = self._what.differs_from(other)
            if found[process] and self._told.get(process) != found[process]:
                log.event("settings.differ", logging.ERROR, process=process, keys=", ".join(sorted(found[process])))
        self._told = found
        return frozenset().union(*found.values())

    def end(self) -> None:
        """This process stops in good order. Raises StoreUnavailable."""
        self._store.coordination.release(_name(self._holder), _held(self._what, self._holder))


def announce(store: "Store", what: Served, process: str, *, now: datetime) -> None:
    """Say, or say again, what `process` serves. Raises StoreUnavailable."""
    store.coordination.acquire(_name(process), _held(what, process), now=now, duration=TERM)


def others(store: "Store", process: str | None, *, now: datetime) -> Iterator[tuple[str, Served]]:
    """Name and service of each other process that lives; what dead ones left is removed. Raises StoreUnavailable."""
    for lease in store.coordination.leases(_LEASE):
        host, namespace, number, told = lease.holder.split(":", 3)
        if lease.until <= now or liveness.is_gone(lease.holder):
            store.coordination.release(lease.name, lease.holder)
        elif process is None or lease.name != _name(process):
            document = json.loads(told)
            what = Served(roles=frozenset(document["roles"]), parts=document["parts"])
            yield f"{host}:{namespace}:{number}:service", what


def _held(what: Served, process: str) -> str:
    """A worker's name whose role is what it serves."""
    told = json.dumps({"roles": sorted(what.roles), "parts": dict(what.parts)}, sort_keys=True, separators=(",", ":"))
    return f"{process.rpartition(':')[0]}:{told}"


def _name(process: str) -> str:
    """A worker's name is longer than a lease's may be."""
    return f"{_LEASE}{sha256(process.encode()).hexdigest()[:32]}"
