"""What the hall's tests share: a clock, a store with a way to stage ECGs, a site of its own and its command line."""

import io
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ecgfm_clinical import cli, log
from ecgfm_clinical.staging.records import Telling
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.testing import dicom_writer
from tests.helpers import prepared
from tests.helpers.fakes import Clock, make_ecg
from tests.helpers.outside import Program
from tests.helpers.tiny_models import copy_tiny_bundle
from tests.helpers.told import Told

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session", autouse=True)
def quick_commits(without_power_cuts: str) -> None:
    """Every store here is opened with them."""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program in processes of its own, for what a signal or a full disk ends; it is loaded once."""
    started = Program(tmp_path_factory.mktemp("program"))
    yield started
    started.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    numbers = count(1)
    telling = Telling(
        destinations=("ehr", "archive"),
        compose=lambda draft: f"MSH|{draft.control_id}".encode(),
        control_ids=lambda: f"CONTROL{next(numbers)}",
    )
    opened = Store.open(store_url, create=True, telling=telling)
    yield opened
    opened.close()


@pytest.fixture
def stage(store: Store, clock: Clock) -> Callable[[Ecg], Verdict]:
    """Puts one ECG into the store as a listener would."""

    def put(ecg: Ecg) -> Verdict:
        received = Received(
            transport="dicom", source="cart", content=repr(ecg.source_id).encode(), received_at=clock(), peer="CART"
        )
        return store.intake.record(received, Contents(ecgs=(ecg,)), now=clock(), actor="cart")

    return put


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line; its exit code, output and error output."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ecgfm-clinical", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A new installation with a small model; the path of its settings."""
    settings = prepared.copy_installation(tmp_path / "site")
    copy_tiny_bundle(tmp_path / "site" / "tiny")
    settings.write_text(settings.read_text().replace('bundle = "demo"', 'bundle = "tiny"'))
    return settings


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "one.dcm"
    path.write_bytes(dicom_writer.write_ecg(make_ecg(1)))
    return path


@pytest.fixture
def told() -> Iterator[Told]:
    """The events of the log so far."""
    stream = io.StringIO()
    log.setup(stream)
    yield Told(stream)
    log.setup()
