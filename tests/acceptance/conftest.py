"""The program under test, loaded once, and installations of it that are driven from outside."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.outside import Outside, Program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    started = Program(tmp_path_factory.mktemp("program"))
    yield started
    started.close()


@pytest.fixture
def install(program: Program, tmp_path: Path) -> Iterator[Callable[..., Outside]]:
    opened: list[Outside] = []

    def make(**more: str) -> Outside:
        folder = tmp_path / f"installation-{len(opened)}"
        folder.mkdir()
        opened.append(Outside(program, folder, **more))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def site(install: Callable[..., Outside]) -> Outside:
    return install()
