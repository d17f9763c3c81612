"""Installations that a test drives by hand, closed afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.installation import Installation


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    opened: list[Installation] = []

    def make(**more: Any) -> Installation:
        folder = tmp_path / f"installation-{len(opened)}"
        folder.mkdir()
        opened.append(Installation(folder, **more))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def installed(install: Callable[..., Installation]) -> Installation:
    return install()
