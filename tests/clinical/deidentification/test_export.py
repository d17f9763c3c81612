"""A cohort leaves the house: nobody's name, number or date in any byte, equal signals, and a report of what remains."""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ecgfm import RecordingDataset
from ecgfm.recording_files import RecordingFolder
from ecgfm_clinical.deidentification import exporting
from ecgfm_clinical.deidentification.rules import Form, Rules
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.learning.cohort.archive import Archive
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.shipped import recordings
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import LEADS, AcquiredAt, Device, Ecg, Order
from ecgfm_connectors.patient import Identifier, Patient

pytestmark = pytest.mark.slow(15)

Run = Callable[..., tuple[int, str, str]]
NOW = datetime(2026, 11, 28, tzinfo=UTC)
PEOPLE = 12
KEY = b"0123456789abcdef0123456789abcdef"
#: Of every name, number, text and date of the store: none may be in any byte that leaves.
CANARIES = (b"canary", b"4711", b"2026", b"2025", b"1931", b"1955", b"testhosp", b"ecg:")


def ecg(person: int, visit: int = 0, *, age: float = 60.0, gain: float = 1.0) -> Ecg:
    """One visit of an invented person; every text in it is a canary but the one sentence that all share."""
    at = datetime(2026, 3, 1 + person, 7, 31, 17, tzinfo=UTC) - timedelta(days=100 * visit)
    born = date(1931, 5, 5) if age > 90 else (at - timedelta(days=365.25 * age)).date()
    return Ecg(
        source_id=f"1.2.3.4711.{person}.{visit}",
        format="dicom",
        patient=Patient(
            identifiers=(Identifier(authority="TESTHOSP", value=f"CANARY4711{person}"),),
            family_name="CANARYBIRD",
            given_name=f"Canaryna{person}",
            birth_date=born,
            sex="F" if person % 2 else "M",
        ),
        acquired=AcquiredAt(at=at, zone_source="offset", original=at.isoformat()),
        sampling_rate=recordings.SAMPLING_RATE,
        signal=(recordings.load(person % recordings.count()) * gain).astype(np.float32),
        stored_leads=LEADS,
        device=Device(
            manufacturer="Canary Carts" if person == 1 else "Common Carts",
            model="C4711" if person == 1 else "C1",
            serial="CANARY4711",
            institution="Canary House",
        ),
        order=Order(placer="CANARYORDER", accession="CANARYACC"),
        statements=("Sinus rhythm", f"Seen by Dr Canary {person}"),
    )


def put(store: Store, one: Ecg) -> None:
    received = Received(transport="dicom", source="cart", content=one.source_id.encode(), received_at=NOW)
    store.intake.record(received, Contents(ecgs=(one,)), now=NOW, actor="cart")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A store of twelve people: two visits of the first, one of 94 years, one who objects."""
    from ecgfm_clinical.operate.setup import write_installation

    folder = tmp_path_factory.mktemp("cohort")
    settings = read_settings(write_installation(folder / "site"))
    store = Store.open(settings.store_url, create=True)
    for person in range(PEOPLE):
        put(store, ecg(person, age=94 if person == 2 else 50.5 + person, gain=1.2345 if person == 3 else 1.0))
    put(store, ecg(0, 1, age=50.4))
    store.objections.keep(ecg(5).patient.identifiers[0], reason="asked", now=NOW, actor="tester")
    yield Workshop(settings=settings, store=store, actor="tester", clock=lambda: NOW)
    store.close()


def exported(workshop: Workshop, folder: Path, form: Form, **choices: object) -> exporting.Export:
    export = exporting.prepare(workshop, "interpretation", Rules(form=form, **{"key": KEY, **choices}))  # type: ignore[arg-type]
    exporting.write(export, folder, note=lambda: exporting.audit(workshop, export, now=NOW))
    return export


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "data" / "table.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def every_byte(folder: Path) -> bytes:
    """Of all files and their names; what is compressed is taken out of its box as well."""
    told = b""
    for path in sorted(folder.rglob("*")):
        told += str(path.relative_to(folder)).encode() + b"\n"
        if path.suffix == ".parquet":
            from pyarrow import parquet

            read = parquet.read_table(path)
            told += repr(read.drop_columns(["signal"]).to_pylist()).encode() + repr(read.schema).encode()
        if path.suffix == ".hdf5":
            import h5py

            with h5py.File(path) as file:
                for name in file:
                    told += repr((name, dict(file[name].attrs))).encode()
                    told += b"" if name in ("tracings", "labels") else repr(file[name][:]).encode()
        if path.is_file() and path.suffix != ".dat":  # of a .dat all bytes are samples, compared below
            told += path.read_bytes()
    return told.lower()


@pytest.mark.parametrize("form", ["wfdb", "hdf5", "parquet"])
def test_nothing_names_anyone_and_signals_are_equal(full: Workshop, tmp_path: Path, form: Form) -> None:
    export = exported(full, tmp_path / "out", form, device="model", site="keyed", statements="text", fewest=5)
    rows = table(tmp_path / "out")
    assert (len(rows), len({row["patient"] for row in rows})) == (PEOPLE, PEOPLE - 1)  # who objects is not in it
    told = every_byte(tmp_path / "out")
    assert [word for word in CANARIES if word in told] == []
    assert b"common carts c1" in told
    assert b"sinus rhythm" in told

    stored = {row.name: full.store.cohorts.recordings([row.key])[0].signal for row in export.released.rows}
    names = {row["recording"]: one.name for row, one in zip(rows, export.released.rows, strict=True)}
    source = RecordingFolder(root=tmp_path / "out" / "data")
    exact = 6e-7 if form == "wfdb" else 0.0  # mV: half a step of the 32-bit records
    for place, name in names.items():
        read = source.read(place)
        assert (read.sampling_rate, read.in_millivolts) == (recordings.SAMPLING_RATE, True)
        np.testing.assert_allclose(read.signal, stored[name], rtol=0, atol=exact)
    assert set(source.keys()) == set(names)

    labels = [name for name in rows[0] if name in export.labels]
    found = RecordingDataset.manifest(tmp_path / "out" / "data" / "table.csv", source.root, labels)
    assert (len(found.keys), found.left_out) == (PEOPLE, ())
    assert [float(row["Sinus rhythm"]) for row in rows] == [1.0] * PEOPLE


def test_wfdb_itself_reads_the_records_and_whole_microvolts_take_two_bytes(full: Workshop, tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    export = exported(full, tmp_path / "out", "wfdb")
    by_key = {row.key: row for row in export.released.rows}
    formats = set()
    for row in by_key.values():
        read = wfdb.rdrecord(str(tmp_path / "out" / "data" / "records" / row.name[:2] / row.name))
        signal = full.store.cohorts.recordings([row.key])[0].signal
        np.testing.assert_allclose(read.p_signal.T, signal, rtol=0, atol=6e-7)
        assert (read.sig_name, read.units, read.base_date, read.comments) == (list(LEADS), ["mV"] * 12, None, [])
        formats |= set(read.fmt)
    assert formats <= {"16", "32"}
    assert "32" in formats


def test_dates_move_by_one_number_a_person_and_the_oldest_have_none(full: Workshop, tmp_path: Path) -> None:
    rows = {row.key: row for row in exported(full, tmp_path / "out", "wfdb").released.rows}
    real = {row.key: row for row in full.store.cohorts.ecgs()}
    moved: dict[str, set[timedelta]] = {}
    for key, row in rows.items():
        at = real[key].acquired_at
        if row.age == 90:
            assert row.acquired_at is None
        else:
            assert at is not None
            assert row.acquired_at is not None
            moved.setdefault(row.patient, set()).add(row.acquired_at - at.replace(second=0))
    assert sum(row.age == 90 for row in rows.values()) == 1
    assert {len(own) for own in moved.values()} == {1}
    spans = {span for own in moved.values() for span in own}
    assert len(spans) == PEOPLE - 2
    assert all(span.days % 7 == 0 and span.days > 365 * 70 for span in spans)


def test_by_default_device_site_and_statements_stay(full: Workshop, tmp_path: Path) -> None:
    exported(full, tmp_path / "out", "wfdb", dates="dropped")
    for row in table(tmp_path / "out"):
        assert not row["device"] + row["site"] + row["codes"] + row["statements"] + row["acquired_at"]


def test_the_report_counts_who_is_alone_and_what_was_left_out_as_rare(full: Workshop, tmp_path: Path) -> None:
    told = exported(full, tmp_path / "out", "wfdb", device="model", statements="text", fewest=5).remains
    fields = {one.name: one for one in told.fields}
    assert fields["device"].withheld == 1  # the one cart that nobody else has
    assert fields["statements"].withheld == PEOPLE  # each names another doctor
    assert told.sentences == {"Sinus rhythm": PEOPLE}
    assert (told.ecgs, told.patients, told.grouped) == (PEOPLE, PEOPLE - 1, 1)
    assert told.combinations.alone == PEOPLE - 1  # everyone has another age
    assert told.unique_intervals == 1
    assert [step.excluded for step in told.flow.steps if step.code == "patient-objects"] == [1]
    written = json.loads((tmp_path / "out" / "remains.json").read_text())
    assert written["combinations"]["alone"] == PEOPLE - 1
    report = (tmp_path / "out" / "remains.md").read_text()
    assert "- 12 × Sinus rhythm" in report
    assert {row["recording"] for row in table(tmp_path / "out")} == {
        str(path.relative_to(tmp_path / "out" / "data")) for path in (tmp_path / "out" / "data").rglob("*.hea")
    }


def test_one_key_gives_the_same_files_and_another_other_pseudonyms(full: Workshop, tmp_path: Path) -> None:
    for name, key in (("a", KEY), ("b", KEY), ("c", b"f" * 32)):
        exported(full, tmp_path / name, "wfdb", key=key)
    digests = {
        name: hashlib.sha256((tmp_path / name / "data" / "table.csv").read_bytes()).hexdigest() for name in "abc"
    }
    assert digests["a"] == digests["b"] != digests["c"]
    people = [{row["patient"] for row in table(tmp_path / name)} for name in "ac"]
    assert people[0].isdisjoint(people[1])


def test_the_exported_cohort_is_an_archive_with_the_same_splits_and_labels(full: Workshop, tmp_path: Path) -> None:
    export = exported(full, tmp_path / "out", "parquet")
    archive = Archive.open(tmp_path / "out" / "data", tmp_path / "out" / "data" / "table.csv")
    found = {(row.split, row.samples, row.age) for row in archive.rows()}
    assert found == {(row.split, row.samples, row.age) for row in export.released.rows}
    one = archive.rows()[0]
    assert archive.ecg(one.key).signal.shape == (12, one.samples)


def test_who_objects_or_is_erased_meanwhile_stops_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Workshop
) -> None:
    export = exporting.prepare(full, "interpretation", Rules(key=KEY))
    rows = full.store.cohorts.ecgs()
    for changed in (
        [replace(row, objected=True) for row in rows],
        [row for row in rows if row.key != export.released.rows[0].key],
        [replace(row, patient="another") for row in rows],
    ):
        monkeypatch.setattr(type(full.store.cohorts), "ecgs", lambda *_, changed=changed, **__: changed)
        with pytest.raises(InputError, match="nothing was kept"):
            exporting.write(export, tmp_path / "out", note=lambda: pytest.fail("handed over"))
        assert list(tmp_path.iterdir()) == []


def test_the_folder_gets_its_name_when_every_byte_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Workshop
) -> None:
    """What a killed run left is no part of it; a folder with the name is whole, whenever the power goes."""
    out, hidden = tmp_path / "out", tmp_path / ".out.part"
    (hidden / "data").mkdir(parents=True)
    (hidden / "data" / "half").write_bytes(b"of an export that was killed")
    synced: list[Path] = []
    named: list[bool] = []

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        named.append(out.exists())

    monkeypatch.setattr(os, "fsync", fsync)
    exporting.write(
        exporting.prepare(full, "interpretation", Rules(key=KEY)), out, note=lambda: None, progress=lambda *_: None
    )
    before = {
        path.relative_to(hidden)
        for path, done in zip(synced, named, strict=True)
        if not done and path.is_relative_to(hidden)
    }
    assert {path.relative_to(out) for path in (*out.rglob("*"), out)} <= before
    assert (synced[-1], named[-1]) == (tmp_path, True)
    assert not (out / "data" / "half").exists()
    assert not hidden.exists()


def test_from_the_command_line(run: Run, full: Workshop, tmp_path: Path) -> None:
    site = full.settings.folder / "settings.toml"
    words = ("cohort", "export", "interpretation", "--settings", site)
    code, out, _ = run(*words, "--dry-run")
    assert (code, "Nothing was written." in out, list(tmp_path.iterdir())) == (0, True, [])
    assert run(*words)[0] == 1  # neither --out nor --dry-run
    (tmp_path / "short").write_bytes(b"x")
    assert "16 at least" in run(*words, "--out", tmp_path / "out", "--key-file", tmp_path / "short")[2]
    code, out, err = run(*words, "--out", tmp_path / "out", "--format", "hdf5", "--json")
    assert code == 0, err
    assert json.loads(out)["ecgs"] == PEOPLE
    assert "is there already" in run(*words, "--out", tmp_path / "out")[2]
    trail = run("audit", "--settings", site)[1]
    entry = next(json.loads(line) for line in trail.splitlines() if "cohort.exported" in line)
    assert f'"count": {PEOPLE}' in json.dumps(entry)
    assert not (set(tmp_path.iterdir()) - {tmp_path / "short", tmp_path / "out"})
