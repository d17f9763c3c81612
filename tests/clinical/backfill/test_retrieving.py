"""Days of a PACS as the source of a run: from a real archive by DICOM and DICOMweb, day by day, each of them whole."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from ecgfm_clinical.backfill.disk import Place
from ecgfm_clinical.backfill.retrieving import days_of, retrieve
from ecgfm_clinical.errors import InputError
from ecgfm_connectors.base import Disposition, Handler, PullReport, Received
from ecgfm_connectors.ecg import AcquiredAt
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.testing import cart, dicom_writer
from tests.clinical.conftest import Run
from tests.connectors.dicom.conftest import ArchivePeer, running_orthanc
from tests.helpers.fakes import make_ecg
from tests.helpers.tiny_models import write_tiny_bundle

NOW = datetime(2026, 4, 10, 9, 0, tzinfo=UTC)


class Archive:
    """Two objects a day; may fail, or be short of one."""

    def __init__(self) -> None:
        self.asked: list[date] = []
        self.fails: date | None = None
        self.short: date | None = None

    def retrieve(self, handle: Handler, *, first: date, last: date, now: datetime) -> PullReport:
        assert first == last
        self.asked.append(first)
        for number in range(2):
            if first == self.fails and number:
                raise Unreachable("ARCHIVE does not answer")
            content = f"{first} {number}".encode()
            verdict = handle(Received(transport="dicom", source="pacs", content=content, received_at=now))
            assert verdict.disposition is Disposition.STAGED
        return PullReport(cursor=None, problems=("one object is missing",) if first == self.short else ())


def names(folder: Path) -> dict[str, int]:
    return {day.name: len(list(day.iterdir())) for day in sorted(folder.iterdir()) if not day.name.startswith(".")}


@pytest.mark.parametrize("trouble", ["fails", "short"])
def test_a_day_is_there_whole_or_not_at_all_and_a_repeat_goes_on(tmp_path: Path, trouble: str) -> None:
    archive, place = Archive(), Place(tmp_path)
    days = days_of("pacs:2024-02-28..2024-03-01")
    assert days is not None
    setattr(archive, trouble, date(2024, 2, 29))
    for _ in range(2):
        with pytest.raises(InputError, match=r"pacs.*2024-02-29.*(ARCHIVE|one object).*earlier days stay"):
            retrieve(place, days, archive, clock=lambda: NOW, stop=Event(), tell=lambda _: None)
    assert archive.asked == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 2, 29)]
    setattr(archive, trouble, None)
    folder = retrieve(place, days, archive, clock=lambda: NOW, stop=Event(), tell=lambda _: None)
    assert names(folder) == {"2024-02-28": 2, "2024-02-29": 2, "2024-03-01": 2}
    archive.asked.clear()
    assert retrieve(place, days, archive, clock=lambda: NOW, stop=Event(), tell=lambda _: None) == folder
    assert archive.asked == []


def test_a_stop_ends_between_two_days(tmp_path: Path) -> None:
    archive, stop, days = Archive(), Event(), days_of("pacs:2024-02-28..2024-03-01")
    assert days is not None
    retrieve(Place(tmp_path), days, archive, clock=lambda: NOW, stop=stop, tell=lambda _: stop.set())
    assert archive.asked == [date(2024, 2, 28)]


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgfm_clinical.backfill import retrieving

    def full(path: Path, content: bytes) -> None:
        raise InputError(f"{path} cannot be written: No space left on device")

    class Kept(Archive):
        def retrieve(self, handle: Handler, *, first: date, last: date, now: datetime) -> PullReport:
            verdict = handle(Received(transport="dicom", source="pacs", content=b"x", received_at=now))
            return PullReport(cursor=None, verdicts=(verdict,), problems=("not kept",))

    monkeypatch.setattr(retrieving, "write_whole", full)
    days = days_of("pacs:2024-02-28..2024-02-28")
    assert days is not None
    with pytest.raises(InputError, match="No space left"):
        retrieve(Place(tmp_path), days, Kept(), clock=lambda: NOW, stop=Event(), tell=lambda _: None)


@pytest.mark.parametrize("source", ["pacs:2024-02-30..2024-03-01", "pacs:2024-03-02..2024-03-01"])
def test_days_that_are_none_are_refused(source: str) -> None:
    with pytest.raises(InputError, match="pacs"):
        days_of(source)


@pytest.mark.parametrize("source", ["ecgs", "s3://bucket/2024-01-01..2024-02-01", "a/b:2024-01-01..2024-02-01"])
def test_other_sources_are_no_days(source: str) -> None:
    assert days_of(source) is None


SETTINGS = """
[site]
name = "Test Hospital"
authority = "TESTHOSP"
[[sources.dicom]]
name = "get"
host = "127.0.0.1"
port = {port}
ae_title = "ORTHANC"
calling = "ECGFM"
method = "get"
cleartext = "accepted"
[[sources.dicom]]
name = "move"
host = "127.0.0.1"
port = {port}
ae_title = "ORTHANC"
calling = "ECGFM"
receive_host = "127.0.0.1"
receive_port = {move}
cleartext = "accepted"
[[sources.dicom]]
name = "elsewhere"
host = "127.0.0.1"
port = {port}
ae_title = "ORTHANC"
cleartext = "accepted"
[[sources.dicomweb]]
name = "web"
url = "{web}"
cleartext = "accepted"
"""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchivePeer]:
    """With two ECGs on each of three days."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        content = []
        for number in range(6):
            at = NOW + timedelta(days=number // 2)
            one = replace(make_ecg(number), acquired=AcquiredAt(at=at, zone_source="offset", original=""))
            content.append(dicom_writer.write_ecg(one))
        for answer in cart.send(content, host="127.0.0.1", port=peer.port, called=peer.ae_title):
            assert answer.status == 0
        yield peer


@pytest.mark.slow
@pytest.mark.peer
def test_days_of_a_real_archive_are_scored(orthanc: ArchivePeer, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    write_tiny_bundle(tmp_path / "tiny")
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS.format(port=orthanc.port, move=orthanc.move_port, web=orthanc.web), encoding="utf-8")
    given = ("--model", tmp_path / "tiny", "--device", "cpu", "--workers", 0, "--settings", settings, "--json")
    for name in ("get", "move", *(("web",) if orthanc.web else ())):
        out = tmp_path / name
        words = ("backfill", "run", f"{name}:2026-04-10..2026-04-11", "--out", out, *given)
        code, said, err = run(*words)
        assert code == 0, err
        assert json.loads(said)["outcomes"]["scored"] == 4
        assert "2026-04-11" in err
        code, said, err = run(*words)
        assert code == 0, err
        assert json.loads(said)["by_earlier_run"] == 4
        assert "Retrieving" not in err, "what is there is not asked for again"
        assert run("backfill", "verify", out)[0] == 0
    for name, says in (("elsewhere", "receive_port"), ("nobody", "no DICOM or DICOMweb source called nobody")):
        code, _, err = run("backfill", "run", f"{name}:2026-04-10..2026-04-11", "--out", tmp_path / name, *given)
        assert code == 1
        assert says in err
