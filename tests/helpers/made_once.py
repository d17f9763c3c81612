"""What a worker would make anew for each test is made once: compiled statements, the tree of commands, whom a caller of
a web server believes, and what is computed of a signal alone.
"""

import functools
import hashlib
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: the keys and values of SQLAlchemy's cache, what another function takes

import certifi
import pytest
import typer.main
from numpy import float32
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect

from ecgfm_clinical.staging.compression import Packed
from ecgfm_connectors.ecg import Ecg
from tests.helpers import prepared

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.evaluability import Reason


def compile_statements_once() -> None:
    """For all engines that are made from now on in this process.

    Each test has a store, each store an engine or two, and SQLAlchemy compiles each statement for each engine anew: a
    quarter of the processor time of tests with a store. What comes out depends on the kind of database alone.
    """
    compiled: dict[Any, Any] = {}

    def engine_created(_dialect: type[DefaultDialect], engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=compiled)

    # A part of the cache's keys: two dialects of a kind are to be the same there.
    DefaultDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]
    DefaultDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
    DefaultDialect.engine_created = classmethod(engine_created)  # type: ignore[assignment]


def build_commands_once() -> None:
    """Typer builds its hundred commands, 30 ms, whenever one is run; a process outside of tests runs one."""
    typer.main.get_command = functools.cache(typer.main.get_command)


def believe_one_authority() -> None:
    """Each client of a web server would read all of the 140 that certifi or the environment names, 30 ms; no test calls
    a server of theirs.
    """
    whole = Path(certifi.where()).read_text(encoding="ascii")
    end = "-----END CERTIFICATE-----\n"
    one = prepared.own_folder() / "authority.pem"
    one.write_text(whole[: whole.index(end) + len(end)], encoding="ascii")
    all_of_them = (certifi.where(), os.environ.get("SSL_CERT_FILE", certifi.where()))
    create = ssl.create_default_context

    def created(purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **named: Any) -> ssl.SSLContext:
        if named.get("cafile") in all_of_them:
            named["cafile"] = str(one)
        return create(purpose, **named)

    ssl.create_default_context = created


def remember_signals(patch: pytest.MonkeyPatch) -> None:
    """Every training reads the same hundred signals of the clinic, judges and measures them: a third of the time of
    such tests. What comes out depends on the signal alone, so it is computed once in this process.
    """
    from ecgfm_clinical.ecg import evaluability  # tests without signals need not load scipy
    from ecgfm_clinical.learning.judging import attributes, comparators
    from ecgfm_clinical.staging import compression, loading

    patch.setattr(loading, "unpack_signal", _unpacked_once(compression.unpack_signal))
    patch.setattr(evaluability, "_signal_reasons", _reasons_once(evaluability._signal_reasons))
    for module, name in ((evaluability, "pacing_spikes"), (attributes, "heart_rate"), (comparators, "features")):
        patch.setattr(module, name, _measured_once(name, getattr(module, name)))


_remembered: dict[tuple[object, ...], Any] = {}  # Any: what each of those functions gives
_shared: set[int] = set()  #: identities of the unpacked signals, which nobody can change


def _unpacked_once(unpack: Callable[[Packed], NDArray[float32]]) -> Callable[[Packed], NDArray[float32]]:
    def unpacked(packed: Packed) -> NDArray[float32]:
        if ("unpacked", packed) not in _remembered:
            signal = unpack(packed)
            signal.flags.writeable = False  # all tests of this process share it
            _shared.add(id(signal))  # stays its own: the signal is never given up
            _remembered["unpacked", packed] = signal
        return _remembered["unpacked", packed]  # type: ignore[no-any-return]

    return unpacked


def _reasons_once(reasons: "Callable[[Ecg], Iterator[Reason]]") -> "Callable[[Ecg], tuple[Reason, ...]]":
    def judged(ecg: Ecg) -> "tuple[Reason, ...]":
        key = ("reasons", *_key(ecg.signal, ecg.sampling_rate), *(finding.code for finding in ecg.findings))
        if key not in _remembered:
            _remembered[key] = tuple(reasons(ecg))
        return _remembered[key]  # type: ignore[no-any-return]

    return judged


def _measured_once(name: str, measure: Callable[[NDArray[Any], float], Any]) -> Callable[[NDArray[Any], float], Any]:
    def measured(signal: NDArray[Any], sampling_rate: float) -> Any:
        key = (name, *_key(signal, sampling_rate))
        if key not in _remembered:
            _remembered[key] = measure(signal, sampling_rate)
        return _remembered[key]

    return measured


def _key(signal: NDArray[Any], sampling_rate: float) -> tuple[object, ...]:
    if id(signal) in _shared:
        return id(signal), sampling_rate
    content = hashlib.blake2b(signal.tobytes(), digest_size=16).digest()
    return signal.shape, signal.dtype.str, content, sampling_rate
