"""The demo hospital runs end to end over real sockets, and what it shows is what the store holds."""

import json
import os
import re
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from ecgfm_clinical import wiring
from ecgfm_clinical.cli import app
from ecgfm_clinical.demo import summary
from ecgfm_clinical.demo.deliveries import Delivery, own, ward
from ecgfm_clinical.demo.hospital import DemoFailed, Hospital
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.records import Counts
from tests.helpers.outside import Program
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow(14)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHOWN = ("DEMO^Patient 03", "DEMO^Patient 05", "DEMO^Patient 08", "DEMO^Patient 09", "DEMO^Patient 25")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A demo that goes on until it is told to stop."""

    process: int
    told: bytes  #: so far
    descriptor: int  #: of what it and its processes write
    options: tuple[str, ...]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[Delivery]:
    """One of each route, one lead off, one child, and a file that is no ECG."""
    junk = tmp_path_factory.mktemp("junk")
    (junk / "notes.txt").write_bytes(b"no ECG at all")
    return [one for one in ward(NOW) if one.patient in SHOWN] + own(junk, NOW)


@pytest.fixture(scope="module")
def hospital(bundle: Path, sent: list[Delivery], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with Hospital(tmp_path_factory.mktemp("demo"), bundle=str(bundle)) as running:
        running.deliver(sent)
        *_, last = running.progress(patience=120)
        assert last.open == 0
        yield running


def test_everything_sent_is_accounted_for(hospital: Hospital, sent: list[Delivery]) -> None:
    assert hospital.store.questions.counts() == Counts(received=6, scored=3, not_evaluable=2, failed=1, waiting=0)
    told = {one.delivery.patient: one.text for one in hospital.answers if one.delivery in sent}
    assert set(told) == {one.patient for one in sent}
    assert set(told.values()) == {"0x0000", "AA", "taken"}


def test_each_ecg_has_a_row_with_its_result_and_its_acknowledgement(hospital: Hospital, sent: list[Delivery]) -> None:
    rows = {row.patient: row for row in summary.rows(hospital, sent)}
    assert set(rows) == {*SHOWN, "notes.txt"}
    assert rows["DEMO^Patient 03"].source == "C-STORE 0x0000"
    assert rows["DEMO^Patient 05"].source == "MLLP AA"
    assert rows["DEMO^Patient 09"].source == "folder taken"
    assert rows["DEMO^Patient 08"].reasons == ("flat-lead",)
    assert rows["DEMO^Patient 25"].reasons == ("age-below-range",)
    assert rows["notes.txt"].reasons[0].startswith("unknown-format")
    for name in SHOWN:
        assert rows[name].acknowledged == "AA"
    assert None not in rows["DEMO^Patient 03"].probabilities.values()


def test_results_that_reach_the_ehr_say_that_they_are_a_test(hospital: Hospital) -> None:
    assert len(hospital.ehr.messages) == len(SHOWN)
    for body in hospital.ehr.messages:
        segments = body.decode().split("\r")
        assert segments[0].split("|")[10] == "T"
        assert any("NOT FOR CLINICAL USE" in one for one in segments if one.startswith("NTE"))
        assert segments[1].split("|")[3].startswith("DEMO-")


def test_the_schedule_pulled_the_folder_and_kept_its_reason(hospital: Hospital) -> None:
    assert not [path for path in hospital.drop.iterdir() if path.is_file()]
    assert len(list((hospital.drop / "processed").rglob("*.xml"))) == 1
    [reason] = (hospital.drop / "failed").rglob("*.reason.txt")
    assert reason.read_text().startswith("unknown-format")


def test_the_table_shows_every_row(hospital: Hospital, sent: list[Delivery]) -> None:
    found = summary.rows(hospital, sent)
    assert summary.table(found).row_count == len(found) == 6
    chosen = summary.chosen(found)
    assert chosen is not None
    assert chosen.state == "scored"


def test_an_earlier_demo_is_not_overwritten(hospital: Hospital) -> None:
    before = hospital.settings_path.read_text()
    with pytest.raises(InputError, match="name another folder"), Hospital(hospital.folder):
        pass
    assert hospital.settings_path.read_text() == before


def test_a_sender_that_reaches_nobody_says_so_and_goes_on(
    hospital: Hospital, sent: list[Delivery], monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    nobody = hospital.service.ports | {"dicom-cart": free_port(), "hl7-cart": free_port()}
    monkeypatch.setattr(type(hospital.service), "ports", property(lambda _: nobody))
    two = [replace(sent[0], route="C-STORE"), replace(sent[1], route="MLLP")]
    hospital._by_dicom(two[:1])
    hospital._by_mllp(two[1:])
    told = {one.delivery.route: one.text for one in hospital.answers if one.delivery in two}
    assert told.keys() == {"C-STORE", "MLLP"}
    assert all(text.startswith("not sent: ") for text in told.values())


def test_a_demo_in_which_nothing_moves_says_so_and_a_slow_one_goes_on(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hospital, "finished", lambda: False)
    times = iter((0.0, 0.0, 0.0, 299.0, 301.0))
    looks = hospital.progress(300, clock=lambda: next(times))
    assert len([next(looks) for _ in range(3)]) == 3
    with pytest.raises(DemoFailed, match="nothing has moved for 300 s"):
        list(looks)


def test_the_command_tells_programs_the_same(bundle: Path, sent: list[Delivery], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for one in sent:
        if one.route == "C-STORE":
            (folder / one.file_name).write_bytes(one.content)
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["demo", "--json", "--ecgs", str(folder), "--out", str(out), "--model", str(bundle)]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["counts"] == {"received": 2, "scored": 1, "not_evaluable": 1, "failed": 0, "waiting": 0}
    assert told["acknowledged"] == told["ehr_received"] == 2
    assert told["oru"].startswith("MSH|")
    assert Path(told["picture"]).read_bytes()[:4] == b"\x89PNG"
    assert Path(told["store"]).is_file()
    for line in (out / "events.jsonl").read_text().splitlines():
        assert "DEMO-0" not in line


@pytest.fixture
def kept(program: Program, bundle: Path, sent: list[Delivery], tmp_path: Path) -> Iterator[Kept]:
    """`demo --keep` with one ECG, in a process of its own that has reached "Still running"."""
    (tmp_path / "one.dcm").write_bytes(next(one for one in sent if one.route == "C-STORE").content)
    options = ("--ecgs", str(tmp_path / "one.dcm"), "--out", str(tmp_path / "out"), "--model", str(bundle))
    os.mkfifo(tmp_path / "said")  # its end is seen once every process that can write to it has ended
    descriptor = os.open(tmp_path / "said", os.O_RDONLY | os.O_NONBLOCK)
    process = program.start(("demo", "--keep", *options), output=tmp_path / "said")
    try:
        yield Kept(process=process, told=_until(descriptor, b"Still running"), descriptor=descriptor, options=options)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        os.close(descriptor)


def test_keep_runs_until_it_is_told_to_stop(kept: Kept, program: Program) -> None:
    link = re.findall(rb"http://127\.0\.0\.1:\d+/sign-in/once\?token=[\w-]+", kept.told)[0].decode()
    with httpx.Client(follow_redirects=True, timeout=120) as client:
        assert "1 received = 1 scored" in client.get(link).text
    assert "used already" in httpx.get(link, timeout=120).text
    os.kill(kept.process, signal.SIGTERM)
    assert program.wait(kept.process) == 0


def test_one_that_is_killed_takes_its_processes_along_and_keeps_what_it_made(
    kept: Kept, program: Program, tmp_path: Path
) -> None:
    os.kill(kept.process, signal.SIGKILL)
    assert program.wait(kept.process) == -signal.SIGKILL
    os.set_blocking(kept.descriptor, True)
    while os.read(kept.descriptor, 65536):
        pass  # until the last of its processes has closed it
    with closing(wiring.open_store(read_settings(tmp_path / "out" / "settings.toml"))) as store:
        assert store.questions.counts() == Counts(received=1, scored=1, not_evaluable=0, failed=0, waiting=0)
    again = CliRunner().invoke(app, ["demo", *kept.options])
    assert isinstance(again.exception, InputError), again.output


def _until(descriptor: int, words: bytes, timeout: float = 120.0) -> bytes:
    """What is written until `words` are; fails where they are not before the end of the stream or the timeout."""
    seen, deadline = b"", time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while words not in seen and time.monotonic() < deadline:
            if selector.select(1.0):
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    break
                seen += chunk
    assert words in seen
    return seen
