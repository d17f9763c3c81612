"""WFDB records: every storage format, and the slips of published sets."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files.payload import find, load, pack_record
from ecgfm_connectors.files.wfdb_header import parse_header
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import dicom_writer
from ecgfm_connectors.testing.wfdb_writer import write_ecg, write_record

ReadOne = Callable[[bytes], Ecg]
Corpus = Callable[[str], Path]
Files = dict[str, bytes]


@pytest.fixture
def files(ecg: Ecg) -> Files:
    return write_record(ecg, "r1")


def refusal(content: bytes, context: ReadingContext) -> str:
    with pytest.raises(PayloadError) as caught:
        read(content, context)
    return f"{type(caught.value).__name__} {caught.value.code}"


def edited(files: Files, old: str, new: str) -> bytes:
    header = files["r1.hea"].decode()
    assert old in header
    return pack_record(files | {"r1.hea": header.replace(old, new).encode()})


def test_everything_comes_back(ecg: Ecg, read_one: ReadOne) -> None:
    found = read_one(write_ecg(ecg))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
    assert found.patient.sex == "F"
    assert found.acquired is not None
    assert found.acquired.zone_source == "site"
    assert found.findings == ()


@pytest.mark.parametrize("name", ["r1.hea", "r1.dat", "r1"])
@pytest.mark.parametrize("kind", [Path, str])
def test_a_record_is_read_by_any_of_its_names(
    files: Files, context: ReadingContext, tmp_path: Path, name: str, kind: type[Path] | type[str]
) -> None:
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    by_path, packed = read(kind(tmp_path / name), context), read(pack_record(files), context)
    assert [ecg.source_id for ecg in by_path.ecgs] == [ecg.source_id for ecg in packed.ecgs]
    np.testing.assert_array_equal(by_path.ecgs[0].signal, packed.ecgs[0].signal)


def test_a_record_whose_name_holds_a_dot_is_read_without_its_suffix(ecg: Ecg, tmp_path: Path) -> None:
    for file, content in write_record(ecg, "ward.1").items():
        (tmp_path / file).write_bytes(content)
    assert len(read(tmp_path / "ward.1").ecgs) == 1


@pytest.mark.parametrize("missing", ["r1.hea", "r1.dat", "both"])
def test_a_record_that_is_not_whole_is_missing_a_file(files: Files, tmp_path: Path, missing: str) -> None:
    for file, content in files.items():
        if missing not in (file, "both"):
            (tmp_path / file).write_bytes(content)
    with pytest.raises(PayloadError) as caught:
        read(tmp_path / "r1")
    assert caught.value.code == "missing-file"


def test_other_files_are_read_by_path_too(ecg: Ecg, tmp_path: Path) -> None:
    (tmp_path / "ecg.dcm").write_bytes(dicom_writer.write_ecg(ecg))
    (found,) = read(tmp_path / "ecg.dcm").ecgs
    assert found.format == "dicom"
    assert {one.authority for one in found.patient.identifiers} == {"TESTHOSP"}


def test_packing_is_deterministic(files: Files, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert load(tmp_path / "r1.hea") == load(tmp_path / "r1.hea") == pack_record(dict(reversed(files.items())))


@pytest.mark.parametrize("fmt", ["16", "24", "32", "61", "80", "212"])
def test_storage_formats_against_the_wfdb_package(ecg: Ecg, read_one: ReadOne, tmp_path: Path, fmt: str) -> None:
    step = {"80": 0.05, "212": 0.005}.get(fmt, 0.005)
    digital = np.rint(ecg.signal / step).astype(np.int64)
    if fmt == "61":
        record = write_record(ecg, "r1")
        swapped = np.frombuffer(record["r1.dat"], "<i2").astype(">i2").tobytes()
        header = record["r1.hea"].replace(b" 16 1000", b" 61 1000")
        found = read_one(pack_record({"r1.hea": header, "r1.dat": swapped}))
        np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
        return
    wfdb.wrsamp(
        "r1",
        fs=500,
        units=["mV"] * 12,
        sig_name=list(LEADS),
        d_signal=digital.T,
        fmt=[fmt] * 12,
        adc_gain=[1 / step] * 12,
        baseline=[0] * 12,
        write_dir=str(tmp_path),
    )
    expected = wfdb.rdrecord(str(tmp_path / "r1")).p_signal.T
    found = read_one(load(tmp_path / "r1.hea"))
    np.testing.assert_allclose(found.signal, expected, atol=1e-6)
    assert [finding.code for finding in found.findings if finding.code == "checksum-mismatch"] == []


def tens(samples: Sequence[int], fmt: str) -> bytes:
    """Samples of ten bits as signal(5) describes formats 310 and 311, three to a group of four bytes."""
    out = bytearray()
    for one, two, three in zip(*[(value & 0x3FF for value in samples)] * 3, strict=True):
        if fmt == "311":
            out += (one | two << 10 | three << 20).to_bytes(4, "little")
        else:
            out += (one << 1 | (three & 31) << 11).to_bytes(2, "little")
            out += (two << 1 | three >> 5 << 11).to_bytes(2, "little")
    return bytes(out)


@pytest.mark.parametrize("fmt", ["310", "311", "160"])
def test_formats_of_holter_recorders_against_the_wfdb_package(
    ecg: Ecg, read_one: ReadOne, tmp_path: Path, fmt: str
) -> None:
    digital = np.rint(ecg.signal[:, :300] * 100).astype(np.int64)
    files = write_record(replace(ecg, signal=ecg.signal[:, :300]), "r1")
    flat = digital.T.reshape(-1)
    samples = (flat + 32768).astype("<u2").tobytes() if fmt == "160" else tens(flat.tolist(), fmt)
    lines = files["r1.hea"].decode().splitlines()
    for row, lead in enumerate(LEADS):
        checksum = int(digital[row].sum()) % 65536
        lines[1 + row] = f"r1.dat {fmt} 100.0(0)/mV 10 0 {digital[row, 0]} {checksum} 0 {lead}"
    files = {"r1.hea": ("\n".join(lines) + "\n").encode(), "r1.dat": samples}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = read_one(pack_record(files))
    np.testing.assert_allclose(found.signal, wfdb.rdrecord(str(tmp_path / "r1")).p_signal.T, atol=1e-6)
    np.testing.assert_allclose(found.signal, digital / 100, atol=1e-6)
    assert "checksum-mismatch" not in [finding.code for finding in found.findings]


def test_missing_samples_are_nan(ecg: Ecg, read_one: ReadOne) -> None:
    signal = ecg.signal.copy()
    signal[3, 100:200] = np.nan
    found = read_one(write_ecg(replace(ecg, signal=signal)))
    assert np.isnan(found.signal[3, 100:200]).all()
    assert np.isfinite(np.delete(found.signal, 3, axis=0)).all()


def test_damaged_samples_show_in_the_checksum(files: Files, read_one: ReadOne) -> None:
    data = bytearray(files["r1.dat"])
    data[1000] ^= 1
    found = read_one(pack_record(files | {"r1.dat": bytes(data)}))
    assert [finding.code for finding in found.findings] == ["checksum-mismatch"]


@pytest.mark.parametrize(
    "started", ["14:30:00 29/03/2026", "29-Mar-2026 14:30:00", "29/03/2026 14:30:00", "14:30:00.000 29/03/2026"]
)
def test_date_and_time_in_either_order(files: Files, read_one: ReadOne, started: str) -> None:
    found = read_one(edited(files, "14:30:00 29/03/2026", started))
    assert found.acquired is not None
    assert found.acquired.at.strftime("%Y-%m-%d %H:%M:%S") == "2026-03-29 14:30:00"
    assert [finding.code for finding in found.findings] == ([] if started.startswith("14") else ["header-malformed"])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("r1 12 500", "r1/3 12 500", "Refused wfdb-format"),
        ("r1 12 500", "r1_medians 12 500", "Refused only-derived"),
        ("r1 12 500", "set/00001_medians 12 500", "Refused only-derived"),
        ("r1 12 500", "# representative beat\nr1 12 500", "Refused only-derived"),
        ("r1 12 500", "r1 99 500", "Unreadable wfdb-header"),
        ("r1 12 500", "r1 12 0", "Unreadable wfdb-header"),
        ("r1 12 500 5000", "r1 12 500 5001", "Unreadable waveform-length"),
        ("r1.dat 16", "../r1.dat 16", "Unreadable wfdb-header"),
        ("r1.dat 16", "/etc/passwd 16", "Unreadable wfdb-header"),
        ("r1.dat 16", "other.dat 16", "Unreadable missing-file"),
        ("r1.dat 16", "r1.dat 517", "Refused wfdb-format"),
        ("r1.dat 16", "r1.dat 16x4", "Unreadable waveform-length"),
        ("1000.0(0)/mV", "0(0)/mV", "Refused no-sensitivity"),
        ("1000.0(0)/mV", "1000.0(0)/mmHg", "Refused unknown-unit"),
        (" V", " PLETH", "Refused not-12-lead"),
    ],
)
def test_refusals(files: Files, context: ReadingContext, old: str, new: str, reason: str) -> None:
    assert refusal(edited(files, old, new), context) == reason


def test_zips_that_are_no_record(context: ReadingContext, files: Files) -> None:
    assert refusal(pack_record({"a.txt": b"x"}), context) == "Refused wfdb-package"
    assert refusal(pack_record(files)[:5000], context) == "Unreadable wfdb-package"


def test_find_names_a_record_once(files: Files, tmp_path: Path) -> None:
    for name, content in (files | {"half.dcm.part": b"", ".hidden": b"", "broken.hea": b"", "broken.dat": b""}).items():
        (tmp_path / name).write_bytes(content)
    assert [path.name for path in find(tmp_path)] == ["broken.hea", "r1.hea"]


def test_a_missing_signal_file(files: Files, tmp_path: Path) -> None:
    (tmp_path / "r1.hea").write_bytes(files["r1.hea"])
    with pytest.raises(PayloadError, match="missing-file"):
        load(tmp_path / "r1.hea")


# --- real records, in place -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "wfdb_ptbxl500/biolabsel+AY_2526_practical_sessions/00001_hr.hea",
        "wfdb_ptbxl100/biolabsel+AY_2526_practical_sessions/00001_lr.hea",
        "wfdb_chapman/pSharpX+dashboard-ecg-timeseries/JS00001.hea",
        "wfdb_cinc2021/DeepPSP+torch_ecg/HR06000.hea",
        "wfdb_ptbdb/MIT-LCP+wfdb-python/s0010_re.hea",
    ],
)
def test_real_records_against_the_wfdb_package(corpus: Corpus, read_one: ReadOne, path: str) -> None:
    header = corpus(path)
    found = read_one(load(header))
    expected = wfdb.rdrecord(str(header.with_suffix(""))).p_signal.T[:12]
    np.testing.assert_allclose(found.signal, expected, atol=1e-6)
    assert [finding.code for finding in found.findings] == ["acquisition-time-missing"]


def test_frank_leads_in_a_second_file_are_left_out(corpus: Corpus, read_one: ReadOne) -> None:
    found = read_one(load(corpus("wfdb_ptbdb/MIT-LCP+wfdb-python/s0010_re.hea")))
    assert (found.stored_leads, found.signal.shape, found.sampling_rate) == (LEADS, (12, 38400), 1000.0)


def test_record_named_like_a_file_that_the_wfdb_package_refuses(corpus: Corpus, read_one: ReadOne) -> None:
    header = corpus("wfdb_cinc2020/awwong1+physionet-challenge-2020/E00009.hea")
    with pytest.raises(wfdb.io.header.HeaderSyntaxError):
        wfdb.rdheader(str(header.with_suffix("")))
    found = read_one(load(header))
    assert parse_header(header.read_bytes()).signals[0].gain == 4880
    assert np.ptp(found.signal, axis=1).max() < 1.0  # five times too small, as its header says


def test_flat_leads_stay_flat(corpus: Corpus, read_one: ReadOne) -> None:
    found = read_one(load(corpus("wfdb_cinc2021/DeepPSP+torch_ecg/JS20004.hea")))
    flat = {lead for lead, row in zip(LEADS, found.signal, strict=True) if np.ptp(row) == 0}
    assert flat == {"V2", "V4", "V6"}


def test_record_written_from_the_folder_above(files: Files, ecg: Ecg, read_one: ReadOne) -> None:
    header = files["r1.hea"].decode().replace("r1 12", "set/r1 12").replace("r1.dat", "set/r1.dat")
    np.testing.assert_allclose(read_one(pack_record(files | {"r1.hea": header.encode()})).signal, ecg.signal, atol=1e-6)


def test_comment_after_a_signal_is_no_part_of_its_lead(files: Files, ecg: Ecg, read_one: ReadOne) -> None:
    found = read_one(edited(files, " V3", " V3 # noisy"))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)


def test_several_samples_a_frame(ecg: Ecg, read_one: ReadOne, context: ReadingContext, tmp_path: Path) -> None:
    """Frames of two samples of each lead at 250 frames a second, beside a channel of one;
    as the `wfdb` package reads.
    """
    counts = np.rint(ecg.signal * 1000).astype("<i2")
    pairs = counts.reshape(12, -1, 2).transpose(1, 0, 2).reshape(-1, 24)
    table = np.concatenate([pairs, np.zeros((len(pairs), 1), "<i2")], axis=1)
    lines = [f"r.dat 16x2 1000(0)/mV 16 0 {row[0]} 0 0 {lead}" for lead, row in zip(LEADS, counts, strict=True)]
    header = "\n".join([f"r 13 250 {len(pairs)}", *lines, "r.dat 16 1000(0)/mV 16 0 0 0 0 Resp", ""])
    (tmp_path / "r.hea").write_text(header)
    (tmp_path / "r.dat").write_bytes(table.astype("<i2").tobytes())
    found = read_one(load(tmp_path / "r.hea"))
    assert found.sampling_rate == 500.0
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
    expected = wfdb.rdrecord(str(tmp_path / "r"), smooth_frames=False).e_p_signal
    np.testing.assert_allclose(found.signal, np.stack(expected[:12]), atol=1e-6)
    mixed = header.replace("16x2", "16x1", 1).encode()
    assert refusal(pack_record({"r.hea": mixed, "r.dat": table.tobytes()}), context) == "Refused mixed-rates"


def flac_record(ecg: Ecg, folder: Path, form: str, samples_per_frame: int = 1) -> Path:
    """The record in two FLAC files of six leads, as the `wfdb` package writes it."""
    step = 0.05 if form == "508" else 0.005
    digital = np.rint(ecg.signal / step).astype(np.int64)
    lines = [f"r1 12 {500 // samples_per_frame} {ecg.signal.shape[1] // samples_per_frame}"]
    for name, part in (("a", slice(0, 6)), ("b", slice(6, 12))):  # FLAC holds eight channels at most
        wfdb.wrsamp(
            name,
            fs=500 // samples_per_frame,
            units=["mV"] * 6,
            sig_name=list(LEADS[part]),
            e_d_signal=list(digital[part]),
            samps_per_frame=[samples_per_frame] * 6,
            fmt=[form] * 6,
            adc_gain=[1 / step] * 6,
            baseline=[0] * 6,
            write_dir=str(folder),
        )
        lines += (folder / f"{name}.hea").read_text().splitlines()[1:7]
    (folder / "r1.hea").write_text("\n".join([*lines, ""]))
    return folder / "r1.hea"


@pytest.mark.parametrize("samples_per_frame", [1, 2])
@pytest.mark.parametrize("form", ["508", "516", "524"])
def test_flac_against_the_wfdb_package(
    ecg: Ecg, read_one: ReadOne, tmp_path: Path, form: str, samples_per_frame: int
) -> None:
    path = flac_record(ecg, tmp_path, form, samples_per_frame)
    found = read_one(load(path))
    expected = wfdb.rdrecord(str(tmp_path / "r1"), smooth_frames=False).e_p_signal
    assert found.sampling_rate == 500.0
    np.testing.assert_allclose(found.signal, np.stack(expected), atol=1e-6)
    assert "checksum-mismatch" not in [finding.code for finding in found.findings]


@pytest.mark.parametrize("form", ["508", "516", "524"])
def test_flac_without_its_library_is_refused_by_name(
    ecg: Ecg, context: ReadingContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    content = load(flac_record(ecg, tmp_path, form))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(PayloadError, match=r"needs the extra flac: pip install 'ecgfm-clinical\[flac\]'") as caught:
        read(content, context)
    assert caught.value.code == "wfdb-format"


def test_damaged_flac(ecg: Ecg, context: ReadingContext, files: Files, tmp_path: Path) -> None:
    path = flac_record(ecg, tmp_path, "516")
    whole = {name: (tmp_path / name).read_bytes() for name in ("r1.hea", "a.dat", "b.dat")}
    assert path.name in whole
    cut = whole | {"b.dat": whole["b.dat"][:5000]}
    assert refusal(pack_record(cut), context) in ("Unreadable wfdb-flac", "Unreadable waveform-length")
    other = whole | {"b.dat": b"fLaC" + bytes(200)}
    assert refusal(pack_record(other), context) == "Unreadable wfdb-flac"
    narrower = whole | {"r1.hea": whole["r1.hea"].replace(b" 516x1 ", b" 508x1 ")}
    assert refusal(pack_record(narrower), context) == "Unreadable wfdb-flac"
    assert refusal(edited(files, " 16 1000", " 516 1000"), context) == "Unreadable wfdb-flac"  # no FLAC at all


def test_frames_without_end_are_refused(files: Files, context: ReadingContext) -> None:
    assert refusal(edited(files, "r1.dat 16 ", "r1.dat 16x999999999 "), context) == "Refused wfdb-format"
