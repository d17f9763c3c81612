"""Clocks, bounds, secrets and silence: faults as a hospital saw them, from outside alone."""

import ctypes
import hashlib
import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ecgfm.demo import demo_bundle
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.testing import dicom_writer, samples
from tests.helpers import waveform_writer
from tests.helpers.fakes import wait_until
from tests.helpers.installation import ecg, first, patient
from tests.helpers.outside import LOOPBACK, PATIENCE, Outside, Program

pytestmark = pytest.mark.slow(60)

Install = Callable[..., Outside]
SENT = datetime(2031, 1, 1, 8, 0, tzinfo=UTC)
DAY = 86_400
YEARS = 3650 * DAY


def of(who: str, recording: Ecg) -> Ecg:
    return replace(recording, patient=patient(who), source_id=f"1.2.3.{ord(who[0])}")


def test_01_seconds_of_skew_are_not_simultaneous_and_one_sample_is(site: Outside) -> None:
    service = site.start()
    late = waveform_writer.write_ecg(ecg(1, "LATE"), form="NA", control_id="M1", sent_at=SENT)
    for lead in ("V1", "V2", "V3", "V4", "V5", "V6"):
        late = late.replace(f"{lead}^0.005&mV^1&0&0^".encode(), f"{lead}^0.005&mV^1&0&5^".encode())
    assert site.mllp(late) == "AA"
    site.go_on()
    dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(ecg(2, "SAMPLE"))))
    dataset.WaveformSequence[0].ChannelDefinitionSequence[LEADS.index("V6")].ChannelSampleSkew = "1"
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    site.ingest(stream.getvalue())
    site.stop(service)
    site.go_on()
    assert site.told == [("LATE", "X"), ("SAMPLE", "F")]


def test_02_ten_seconds_are_two_segments_and_the_receiver_is_told(site: Outside) -> None:
    """At 333.33 and 500.05 Hz, and with 0.06 s of fill at the end. The bundle that is there keeps its preparation and
    says what its scores rest on; a renewed one takes 10 s by the clock.
    """
    filled = samples.sample_ecg(seed=3)
    samples_of_all = filled.signal.copy()
    samples_of_all[:, -30:] = np.nan
    recordings = [
        of("A", samples.sample_ecg(seed=1, sampling_rate=333.33)),
        of("B", samples.sample_ecg(seed=2, sampling_rate=500.05)),
        of("C", replace(filled, signal=samples_of_all)),
    ]
    for one in recordings:
        site.ingest(one)
    site.go_on()
    assert [re.findall(r"Rests on (\d) segment", one.decode()) for one in site.ehr.messages] == [["1"]] * 3
    found = site.document("predict", "--model", site.renewed_model(), *sorted(site.folder.glob("payload-*.dcm")))
    assert [one["segments"] for one in found] == [2, 2, 2]


def test_03_a_clock_that_jumps_ahead_deletes_nothing(install: Install, program: Program) -> None:
    if not program.clock_can_be_set:
        pytest.skip("there is no C compiler, with which the clock is set")
    site = install(more="[retention]\npayload_days = 90\nsignal_days = 90\nmessage_days = 90\n")
    site.ingest(ecg(1, "A"))
    site.go_on()
    service = site.start(ahead=YEARS)
    assert site.stop(service) == 0
    site.command("retain", ahead=YEARS)
    code, said = site.command("replay", "1")
    assert code == 0, said


def test_04_a_file_that_is_replaced_during_the_commit_is_read_too(install: Install) -> None:
    """Its sender always writes the same name. The reader is stopped until the next ECG has taken the name."""
    site = install(more=DROP)
    drop = site.folder / "drop"
    drop.mkdir()
    put(drop, ecg(1, "A"))
    with watched(drop) as changes:
        pulling = site.background("pull", "drop")
        changes.wait()
        os.kill(pulling, signal.SIGSTOP)
        put(drop, ecg(2, "B"))
        os.kill(pulling, signal.SIGCONT)
    assert site.program.wait(pulling) == 0
    site.command("pull", "drop")
    site.go_on()
    assert sorted(site.told) == [("A", "F"), ("B", "F")]


DROP = """
[[sources.folder]]
name = "drop"
path = "drop"
stable_seconds = 0
"""


def put(folder: Path, recording: Ecg) -> None:
    (folder / ".new").write_bytes(dicom_writer.write_ecg(recording))
    (folder / ".new").rename(folder / "current.dcm")


class watched:
    """Tells when a file of a folder has been read to its end, or moved away (inotify)."""

    _READ, _MOVED = 0x10, 0x40

    def __init__(self, folder: Path) -> None:
        library = ctypes.CDLL(None)
        self._file = library.inotify_init()
        assert library.inotify_add_watch(self._file, os.fsencode(folder), self._READ | self._MOVED) >= 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def wait(self) -> None:
        while b"current.dcm" not in self._next():
            pass

    def _next(self) -> bytes:
        assert select.select([self._file], [], [], PATIENCE)[0], "nobody read the file"
        return os.read(self._file, 4096)


def test_04_nothing_readable_is_left_beside_an_encrypted_store(install: Install) -> None:
    site = install(store='key_file = "keys"', more=DROP)
    assert site.command("keys", "new")[0] == 0
    drop = site.folder / "drop"
    drop.mkdir()
    put(drop, ecg(1, "SECRETNUMBER"))
    site.command("pull", "drop")
    site.go_on()
    assert site.told == [("SECRETNUMBER", "F")]
    assert [path for path in drop.rglob("*") if path.is_file() and b"SECRETNUMBER" in path.read_bytes()] == []


def test_04_what_is_written_is_for_its_user_alone(site: Outside) -> None:
    """With the umask 022: the store that `init` makes, a backup, and result files (at most for the group as well)."""
    home = site.folder / "new"
    assert site.program.wait(site.program.start(["init", str(home)], output=site.folder / "init.out")) == 0
    (site.folder / "results").mkdir()
    results = '[[destinations.file]]\nname = "files"\npath = "results"\n'
    site.path.write_text(site.path.read_text() + results)
    assert site.command("backup", site.folder / "copy.sqlite")[0] == 0
    site.ingest(ecg(1, "A"))
    site.go_on()
    (result,) = (site.folder / "results").glob("*.hl7")
    written = [home / "staging.sqlite", site.folder / "copy.sqlite", result]
    assert [path.name for path in written if path.stat().st_mode & 0o007] == []


def test_05_an_audit_trail_whose_end_was_cut_off_is_found(site: Outside) -> None:
    """As `init` sets it up: whoever can write the database takes away the last entries."""
    home = site.folder / "new"
    site.program.wait(site.program.start(["init", str(home)], output=site.folder / "init.out"))
    site.path = home / "settings.toml"
    site.ingest(ecg(1, "A"))
    assert site.stop(site.start("report")) == 0
    assert site.command("audit", "--verify")[0] == 0
    with closing(sqlite3.connect(home / "staging.sqlite", isolation_level=None)) as store:
        store.execute("DROP TRIGGER audit_no_delete")
        last = "SELECT audit_id FROM audit a WHERE number = (SELECT max(number) FROM audit b WHERE b.strand = a.strand)"
        assert store.execute(f"DELETE FROM audit WHERE audit_id IN ({last})").rowcount >= 1
    code, said = site.command("audit", "--verify")
    assert code == 1, said


def test_05_an_audit_trail_that_was_rewritten_with_fresh_hashes_is_found(site: Outside) -> None:
    home = site.folder / "new"
    site.program.wait(site.program.start(["init", str(home)], output=site.folder / "init.out"))
    site.path = home / "settings.toml"
    site.ingest(ecg(1, "A"))
    assert site.stop(site.start("report")) == 0
    with closing(sqlite3.connect(home / "staging.sqlite", isolation_level=None)) as store:
        store.execute("DROP TRIGGER audit_no_update")
        ends: dict[str, str] = {}
        kept = "SELECT strand, number, at, action, ecg_id, detail, previous, audit_id FROM audit ORDER BY audit_id"
        for strand, number, at, action, ecg_id, detail, previous, audit_id in store.execute(kept).fetchall():
            told = [
                ends.get(strand, previous),
                strand,
                number,
                f"{at}+00:00".replace(" ", "T"),
                "nobody",
                action,
                ecg_id,
            ]
            said = json.dumps([*told, json.loads(detail)], sort_keys=True, separators=(",", ":"))
            ends[strand] = hashlib.sha256(said.encode()).hexdigest()
            values = ("nobody", told[0], ends[strand], audit_id)
            store.execute("UPDATE audit SET actor = ?, previous = ?, hash = ? WHERE audit_id = ?", values)
    code, said = site.command("audit", "--verify")
    assert code == 1, said


def test_06_a_task_that_meets_what_nobody_foresaw_says_so_and_goes_on(site: Outside) -> None:
    """A signal whose bytes were damaged on the disk stands for it, beside one that is whole."""
    for seed, who in enumerate("AB", start=1):
        site.ingest(ecg(seed, who))
    with closing(sqlite3.connect(site.folder / "staging.sqlite", isolation_level=None)) as store:
        store.execute("UPDATE signal SET samples = x'00' WHERE ecg_id = 1")
    service = site.start("score")
    with suppress(TimeoutError):
        wait_until(lambda: site.document("status")["ecgs"]["scored"] == 1)
    told = [one["event"] for one in site.said(service) if "fail" in one["event"]]
    assert (site.document("status")["ecgs"]["scored"], bool(told)) == (1, True)


def test_06_a_predictor_that_hangs_is_taken_out(site: Outside) -> None:
    """The process ends, so that it is started anew, and what it held costs an attempt."""
    site.set("[scoring]", "hang_seconds = 5")
    site.set("[service]", "stop_seconds = 1")
    site.ingest(ecg(1, "A"))
    service = site.start("score", hangs="ecgfm.predictor:Predictor._prediction")
    assert site.ended(service, seconds=60) == 70


def test_06_a_terminal_that_is_closed_stops_a_service_in_good_order(site: Outside) -> None:
    """By SIGHUP, whoever sends it to have settings read again; nothing that was under way is left behind."""
    service = site.start()
    os.kill(service, signal.SIGHUP)
    assert site.ended(service, seconds=PATIENCE) == 0


def test_06_a_lease_below_the_signs_of_life_is_refused(install: Install) -> None:
    site = install(scoring="lease_seconds = 5")
    code, said = site.command("check")
    assert code == 1
    assert "lease_seconds" in said


def test_07_what_needs_a_person_has_one_exit_code(install: Install, program: Program) -> None:
    codes = {}
    for name, content in (("unreadable", b"Dear colleague,"), ("mismatch", None), ("unscored", None)):
        site = install()
        if content is not None:
            site.ingest(content)
        elif name == "unscored":
            site.ingest(ecg(1, "A"))
        else:
            site.ingest(ecg(1, "A"))
            site.go_on()
            site.ingest(ecg(1, "B"))
        ahead = 3 * DAY if name == "unscored" and program.clock_can_be_set else 0
        codes[name] = site.command("status", ahead=ahead)[0]
    assert codes == {"unreadable": 1, "mismatch": 1, "unscored": 1}


def test_08_an_outage_grows_nothing(site: Outside, program: Program) -> None:
    if not program.clock_can_be_set:
        pytest.skip("there is no C compiler, with which the clock is set")
    site.ehr.stop()
    for seed in range(1, 6):
        site.ingest(ecg(seed, f"P{seed}"))
    assert site.command("score")[0] == 0
    sizes = []
    for hour in range(1, 9):
        site.command("send", ahead=600 * hour)
        sizes.append(rows(site.folder / "staging.sqlite"))
    assert sizes[-1] - sizes[3] <= 4, sizes  # of four tries of five messages


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sum(store.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables)


def test_09_what_inflates_beyond_bounds_and_what_lasts_too_long_is_no_result(site: Outside) -> None:
    assert ", refused" in site.ingest(inflating(random=3 * 2**20, zeros=37 * 2**20))
    long = samples.sample_ecg(seed=2, sampling_rate=100, seconds=1200)
    site.ingest(of("LONG", long))
    site.go_on()
    assert site.told == [("LONG", "X")]
    assert "too-long" in first(site.ehr.messages[0], "OBX", 5)


def test_09_eight_megabytes_that_inflate_need_no_gigabyte(site: Outside) -> None:
    """Memory beside what an ordinary ECG needs."""
    site.ingest(ecg(1, "A"))
    ordinary = site.program.peak
    said = site.ingest(inflating(random=7 * 2**20, zeros=100 * 2**20))
    assert site.program.peak - ordinary < 200_000, said


def inflating(*, random: int, zeros: int) -> bytes:
    """An ECG as deflated DICOM, with so many bytes more."""
    bomb = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(ecg(1, "BOMB"))))
    bomb.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    bomb.add_new(0x00090010, "LO", "BOMB")
    bomb.add_new(0x00091001, "OB", np.random.default_rng(0).bytes(random) + bytes(zeros))
    stream = BytesIO()
    bomb.save_as(stream)
    return stream.getvalue()


def test_10_a_message_that_trickles_ends_its_connection(site: Outside) -> None:
    """A byte now and then is no pause; with what was settable before, a message may take an hour."""
    site.set("[[listeners.hl7]]", "message_seconds = 1")
    site.start()
    with socket.create_connection((LOOPBACK, site.hl7_port), timeout=PATIENCE) as caller:
        caller.sendall(b"\x0bMSH|")
        for _ in range(700):
            if select.select([caller], [], [], 0.1)[0]:
                break
            caller.sendall(b"A")
        else:
            pytest.fail("after 70 s, ten more than the longest pause, the connection is still open")


def test_10_silent_connections_of_one_address_close_no_port(site: Outside) -> None:
    site.start()
    with ExitStack() as held:
        for port, count in ((site.hl7_port, 110), (site.dicom_port, 40)):
            for _ in range(count):
                silent = held.enter_context(socket.socket())
                silent.settimeout(PATIENCE)
                silent.bind(("127.0.0.2", 0))
                silent.connect((LOOPBACK, port))
        message = waveform_writer.write_ecg(ecg(1, "A"), form="NA", control_id="M1", sent_at=SENT)
        answers = (site.mllp(message), site.c_store(ecg(2, "B")))
    assert answers == ("AA", [0])


def test_11_only_what_is_abnormal_is_flagged(site: Outside) -> None:
    for seed in range(8):
        site.ingest(ecg(seed, f"P{seed}"))
    site.go_on()
    lines = [line.split("|") for one in site.ehr.messages for line in one.decode().split("\r") if line[:4] == "OBX|"]
    sinus = [line for line in lines if "sinus rhythm" in line[3].lower() and float(line[5] or 0) > 0.9]
    assert sinus
    assert {line[8] for line in sinus} <= {"", "N"}


def test_11_the_printed_numbers_agree_with_the_flag(site: Outside) -> None:
    """A limit that lies 1e-9 above the probability."""
    site.ingest(ecg(1, "A"))
    (found,) = site.document("predict", "--model", "demo", *site.folder.glob("payload-*.dcm"))
    (probability,) = [one["probability"] for one in found["heads"] if one["head"] == "reduced_lvef"]
    bundle = site.folder / "bundle"
    shutil.copytree(demo_bundle(), bundle)
    described = json.loads((bundle / "bundle.json").read_text())
    described["heads"][0]["operating_points"]["reduced_lvef"] = probability + 1e-9
    (bundle / "bundle.json").write_text(json.dumps(described))
    site.path.write_text(site.path.read_text().replace('bundle = "demo"', f'bundle = "{bundle}"'))
    site.go_on()
    fields = first_fields(site.ehr.messages[0], "OBX")
    value, limit, flag = Decimal(fields[5]), Decimal(fields[7].lstrip("<")), fields[8]
    assert (flag, value < limit) == ("N", True), (value, limit)


def first_fields(message: bytes, name: str) -> list[str]:
    return next(one.split("|") for one in message.decode().split("\r") if one.startswith(f"{name}|"))


def test_12_what_is_open_is_named_and_networks_are_understood(install: Install) -> None:
    site = install(listener='allowed_hosts = ["127.0.0.0/8"]')
    web = '[[sources.dicomweb]]\nname = "web"\nurl = "http://user:SECRETWORD@127.0.0.1:9/dicom-web"\n'
    site.path.write_text(site.path.read_text() + web)
    site.start()
    taken = site.c_store(ecg(1, "A"))
    said = site.command("check")[1] + site.command("pull", "web")[1]
    open_site = install()
    anywhere = open_site.path.read_text().replace('host = "127.0.0.1"', 'host = "0.0.0.0"', 2)
    open_site.path.write_text(anywhere)
    finding = open_site.command("check")[1]
    assert taken == [0]
    assert "SECRETWORD" not in said
    assert "in clear" in finding, finding


def test_13_a_person_can_be_erased(site: Outside) -> None:
    site.ingest(replace(ecg(1, "ERASEME"), patient=patient("ERASEME", family_name="ERASEDFAMILY")))
    site.go_on()
    site.ehr.stop()
    answer = "TESTHOSP|MR|ERASEME\n"
    site.command("patient", "erase", "--reason", "court order", "--yes", answer=answer)
    left = [name for name in (b"ERASEME", b"ERASEDFAMILY") if any(name in content for content in files(site.folder))]
    assert left == []
    assert site.command("audit", "--verify")[0] == 0
    assert site.document("status")["ecgs"]["received"] == 1


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("staging.sqlite*")]


def test_13_a_person_can_be_kept_out_of_learning(site: Outside) -> None:
    site.ingest(ecg(1, "OBJECTS"))
    number = "TESTHOSP|MR|OBJECTS\n"
    code, said = site.command("patient", "object", "--reason", "asked for it", "--yes", answer=number)
    assert code == 0, said
    assert "kept out of learning" in site.command("patient", "show", answer=number)[1]
    assert b"OBJECTS" not in site.command("audit")[1].encode()
