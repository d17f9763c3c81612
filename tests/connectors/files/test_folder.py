"""The drop folder: files are taken whole, once, and end where an operator looks for them."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ecgfm_connectors.base import Disposition, PullReport, Received, Verdict
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.files.folder import FolderSource
from ecgfm_connectors.testing.aecg_writer import write_ecg
from ecgfm_connectors.testing.wfdb_writer import write_record

NOW = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
Drop = Callable[..., Path]


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    """Put a file into the folder as it would look `age` after its last write."""

    def drop(name: str, content: bytes, age: timedelta = timedelta(minutes=1)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        moment = (NOW - age).timestamp()
        os.utime(path, (moment, moment))
        return path

    return drop


def pull(
    tmp_path: Path, verdict: Verdict | None = None, *, source: FolderSource | None = None, now: datetime = NOW
) -> tuple[PullReport, list[Received]]:
    taken: list[Received] = []

    def handle(received: Received) -> Verdict:
        taken.append(received)
        return verdict or Verdict(disposition=Disposition.STAGED)

    source = source or FolderSource(name="drop", path=tmp_path)
    return source.pull(handle, cursor=None, now=now), taken


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_taken_once(tmp_path: Path, drop: Drop, ecg: Ecg) -> None:
    drop("ecg.xml", write_ecg(ecg))
    report, (received,) = pull(tmp_path)
    assert (received.transport, received.source, received.content) == ("file", "drop", write_ecg(ecg))
    assert (report.offered, len(report.verdicts), report.problems) == (1, 1, ())
    assert names(tmp_path) == ["processed/2026-04-01/ecg.xml"]
    assert pull(tmp_path)[1] == []


def test_a_growing_or_half_written_file_is_left_alone(tmp_path: Path, drop: Drop) -> None:
    drop("new.xml", b"<", age=timedelta(seconds=1))
    for name in ("upload.xml.part", "x.tmp", ".hidden.xml", "y.filepart"):
        drop(name, b"<")
    assert pull(tmp_path)[1] == []


def test_a_clock_ahead_of_ours_delays_but_does_not_stop(tmp_path: Path, drop: Drop) -> None:
    drop("future.xml", b"<x/>", age=-timedelta(hours=3))
    source = FolderSource(name="drop", path=tmp_path)
    assert pull(tmp_path, source=source)[1] == []
    assert len(pull(tmp_path, source=source, now=NOW + timedelta(seconds=3))[1]) == 1


def test_a_refused_file_keeps_its_reason(tmp_path: Path, drop: Drop) -> None:
    drop("report.pdf", b"%PDF-1.4")
    pull(tmp_path, Verdict(disposition=Disposition.REFUSED, code="not-a-recording", text="a picture"))
    assert names(tmp_path) == ["failed/2026-04-01/report.pdf", "failed/2026-04-01/report.pdf.reason.txt"]
    assert (tmp_path / "failed/2026-04-01/report.pdf.reason.txt").read_text() == "not-a-recording: a picture\n"


def test_try_later_leaves_the_file(tmp_path: Path, drop: Drop) -> None:
    drop("ecg.xml", b"<x/>")
    pull(tmp_path, Verdict(disposition=Disposition.TRY_LATER))
    assert names(tmp_path) == ["ecg.xml"]


def test_same_name_on_the_same_day_overwrites_nothing(tmp_path: Path, drop: Drop) -> None:
    for _ in range(3):
        drop("ecg.xml", b"<x/>")
        pull(tmp_path)
    assert names(tmp_path) == [f"processed/2026-04-01/{name}" for name in ("ecg-2.xml", "ecg-3.xml", "ecg.xml")]


def test_a_wfdb_record_waits_for_all_its_files(tmp_path: Path, drop: Drop, ecg: Ecg) -> None:
    files = write_record(ecg, "r1")
    drop("ward/r1.dat", files["r1.dat"])
    assert pull(tmp_path)[1] == []
    (tmp_path / "ward/r1.dat").unlink()
    drop("ward/r1.hea", files["r1.hea"])
    assert pull(tmp_path)[1] == []
    drop("ward/r1.dat", files["r1.dat"])
    assert len(pull(tmp_path)[1]) == 1
    assert names(tmp_path) == ["processed/2026-04-01/ward/r1.dat", "processed/2026-04-01/ward/r1.hea"]


def test_half_a_record_is_given_up_in_the_end(tmp_path: Path, drop: Drop, ecg: Ecg) -> None:
    drop("r1.hea", write_record(ecg, "r1")["r1.hea"], age=timedelta(hours=1))
    report, taken = pull(tmp_path)
    assert taken == []
    assert [verdict.code for verdict in report.verdicts] == ["missing-file"]
    assert names(tmp_path) == ["failed/2026-04-01/r1.hea", "failed/2026-04-01/r1.hea.reason.txt"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link.xml").symlink_to("/etc/passwd")
    assert pull(tmp_path)[1] == []


def test_check(tmp_path: Path) -> None:
    assert "readable" in FolderSource(name="drop", path=tmp_path).check()
    with pytest.raises(Misconfigured, match="missing"):
        FolderSource(name="drop", path=tmp_path / "missing").check()


def test_what_is_put_under_the_name_of_a_file_being_taken_is_another_file(tmp_path: Path, drop: Drop) -> None:
    """A sender that always writes the same name, by rename: the second ECG lands while the first is committed."""
    drop("current.dcm", b"first")
    seen: list[bytes] = []

    def handle(received: Received) -> Verdict:
        seen.append(received.content)
        if len(seen) == 1:
            drop("current.dcm", b"second")
        return Verdict(disposition=Disposition.STAGED)

    source = FolderSource(name="drop", path=tmp_path)
    for _ in range(3):
        source.pull(handle, cursor=None, now=NOW)
    assert seen == [b"first", b"second"]
    kept = [(tmp_path / name).read_bytes() for name in names(tmp_path)]
    assert sorted(kept) == [b"first", b"second"]
    assert all(name.startswith("processed/") for name in names(tmp_path))


def test_a_file_whose_sender_goes_on_writing_is_read_again(tmp_path: Path, drop: Drop) -> None:
    drop("slow.dcm", b"half")
    with (tmp_path / "slow.dcm").open("ab") as sender:
        seen: list[bytes] = []

        def handle(received: Received) -> Verdict:
            seen.append(received.content)
            if len(seen) == 1:
                sender.write(b" and whole")
                sender.flush()
            return Verdict(disposition=Disposition.STAGED)

        source = FolderSource(name="drop", path=tmp_path, stable_for=timedelta(0))
        later = datetime.now(UTC) + timedelta(hours=1)
        for _ in range(3):
            source.pull(handle, cursor=None, now=later)
    assert seen == [b"half", b"half and whole"]


def test_a_crash_while_taking_loses_nothing(tmp_path: Path, drop: Drop, ecg: Ecg) -> None:
    """The next pull begins with what was set aside, a file of the same name after it."""
    for name, content in write_record(ecg, "r1").items():
        drop(f"ward/{name}", content)
    drop("current.dcm", b"first")

    class Killed(BaseException):
        pass

    def handle(received: Received) -> Verdict:
        raise Killed

    for _ in range(2):  # dies in the middle of each of the two
        with pytest.raises(Killed):
            FolderSource(name="drop", path=tmp_path).pull(handle, cursor=None, now=NOW)
    drop("current.dcm", b"second")
    seen = [received.content for _ in range(3) for received in pull(tmp_path)[1]]
    assert len(seen) == 3
    assert seen.index(b"first") < seen.index(b"second")
    assert len(names(tmp_path)) == 4
    assert all(name.startswith("processed/") for name in names(tmp_path))


def test_what_the_store_holds_encrypted_is_not_kept_in_clear(tmp_path: Path, drop: Drop, ecg: Ecg) -> None:
    source = FolderSource(name="drop", path=tmp_path, keep=False)
    drop("ecg.xml", write_ecg(ecg))
    pull(tmp_path, source=source)
    assert names(tmp_path) == []
    drop("report.pdf", b"%PDF-1.4")
    refused = Verdict(disposition=Disposition.REFUSED, code="not-a-recording", text="a picture")
    pull(tmp_path, refused, source=source)
    assert names(tmp_path) == ["failed/2026-04-01/report.pdf.reason.txt"]


def test_what_could_not_be_handed_over_is_kept_whatever_is_wanted(tmp_path: Path, drop: Drop, ecg: Ecg) -> None:
    drop("r1.hea", write_record(ecg, "r1")["r1.hea"], age=timedelta(hours=1))
    pull(tmp_path, source=FolderSource(name="drop", path=tmp_path, keep=False))
    assert names(tmp_path) == ["failed/2026-04-01/r1.hea", "failed/2026-04-01/r1.hea.reason.txt"]


def test_a_median_beat_stops_no_other_file(tmp_path: Path, drop: Drop, ecg: Ecg) -> None:
    """Its header is refused as soon as it is read; the files beside it are taken all the same."""
    drop("median_beats.hea", b"median_beats 1 500 600\nmedian_beats.dat 16 1000/mV 16 0 0 0 0 I\n# median beat\n")
    drop("median_beats.dat", bytes(1200))
    drop("ecg.xml", write_ecg(ecg))
    report, taken = pull(tmp_path)
    assert report.problems == ()
    assert write_ecg(ecg) in [received.content for received in taken]
