"""A worker is declared dead only when its process certainly is."""

import os
import subprocess
import sys

import pytest

from ecgfm_clinical.liveness import is_gone, process_of, worker_name
from tests.helpers.fakes import wait_until

pytestmark = pytest.mark.slow


def _name(pid: int, **changes: str) -> str:
    host, namespace, _, role = worker_name("score").split(":")
    return ":".join([changes.get("host", host), changes.get("namespace", namespace), str(pid), role])


def _dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_this_process_lives_and_a_finished_one_does_not() -> None:
    assert not is_gone(worker_name("report-ehr:1"))
    assert not is_gone(_name(os.getppid()))
    assert is_gone(_name(_dead_process()))


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"namespace": "1"}])
def test_nothing_is_said_of_processes_elsewhere(changes: dict[str, str]) -> None:
    assert not is_gone(_name(_dead_process(), **changes))


@pytest.mark.parametrize("name", ["", "scorer", "a:b:c:d", "a:b:99999999999999999999:d"])
def test_nothing_is_said_of_names_that_are_not_ours(name: str) -> None:
    assert not is_gone(name)


def test_a_process_id_that_was_given_away_again_tells_of_another() -> None:
    host, namespace, process, role = worker_name("score").split(":")
    number, _, began = process.partition(".")
    assert not is_gone(worker_name("score"))
    assert is_gone(f"{host}:{namespace}:{number}.{int(began) - 1}:{role}")
    assert process_of(worker_name("score")) == str(os.getpid())


def test_a_killed_process_that_nobody_has_buried_is_gone() -> None:
    code = "from ecgfm_clinical.liveness import worker_name; print(worker_name('score'), flush=True); input()"
    zombie = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert zombie.stdout is not None
    name = zombie.stdout.readline().strip()
    assert not is_gone(name)
    zombie.kill()
    wait_until(lambda: is_gone(name))
    zombie.communicate()
    assert is_gone(name)
