"""Recordings of every readable kind become one checksummed shard set; what cannot be used is counted and listed."""

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from scipy.io import savemat

from ecgfm.errors import DataError, RecordingError
from ecgfm.pretraining import shard_manifest
from ecgfm.pretraining.shards import PrepareSettings, ShardSet, patient_number, prepare_shards
from ecgfm.recording_files import JoinedSource, Recording, RecordingFolder
from ecgfm.signal import LEADS, prepare

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[3] / "shared" / "corpus"


def _ecg(seed: int, samples: int = 5000, leads: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(leads, samples)).cumsum(axis=1) / 50


def _write_wfdb(
    folder: Path, name: str, signal: np.ndarray, fs: int = 500, leads: tuple[str, ...] = LEADS, unit: str = "mV"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name,
        fs=fs,
        units=[unit] * len(leads),
        sig_name=list(leads),
        p_signal=signal.T,
        fmt=["16"] * len(leads),
        write_dir=str(folder),
    )


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Seven usable recordings of four kinds and four that are not."""
    root = tmp_path / "recordings"
    _write_wfdb(root / "p1", "a", _ecg(0))
    _write_wfdb(root / "p1", "b", _ecg(1), fs=250)
    _write_wfdb(root / "p2", "eight", _ecg(2, leads=8), leads=("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))
    savemat(root / "c.mat", {"feats": _ecg(3, 4000).astype(np.float32), "curr_sample_rate": 400})
    np.savez(root / "d.npz", signal=_ecg(4), sampling_rate=500.0, patient="x")
    np.savez(root / "e.npz", signal=np.stack([_ecg(5), _ecg(6)]), sampling_rate=500.0, patient=np.array(["x", "y"]))
    constant, gap = _ecg(7), _ecg(8)
    constant[3] = 0.1
    gap[5, 17] = np.nan
    np.savez(root / "constant.npz", signal=constant, sampling_rate=500.0)
    np.savez(root / "gap.npz", signal=gap, sampling_rate=500.0)
    np.savez(root / "short.npz", signal=_ecg(9, 2499), sampling_rate=500.0)
    (root / "broken.npz").write_bytes(b"PK not a zip")
    return root


def test_every_kind_is_prepared_and_every_other_recording_is_listed_with_its_reason(
    mixed: Path, tmp_path: Path
) -> None:
    source = RecordingFolder(root=mixed, derive_limb_leads=True)
    seen: list[tuple[int, int]] = []
    made = prepare_shards(
        source,
        tmp_path / "shards",
        PrepareSettings(recordings_per_shard=4, max_unreadable=0.1),
        lambda done, total: seen.append((done, total)),
    )
    assert made.manifest.recordings == 11
    assert made.manifest.used == 7
    assert made.manifest.unreadable == 1
    assert made.manifest.excluded == {"constant-lead": 1, "nan-lead": 1, "too-short": 1}
    assert made.manifest.derived_limb_leads == 1
    assert seen[-1] == (11, 11)
    listed = {
        key: reason
        for path in (tmp_path / "shards").glob("shard-*.json")
        for kind in ("excluded", "unreadable")
        for key, reason in json.loads(path.read_text())[kind].items()
    }
    assert set(listed) == {"constant.npz", "gap.npz", "short.npz", "broken.npz"}
    made.verify()

    keys = source.keys()
    for row, entry in enumerate(made.index):
        recording = source.read(keys[entry["record"]])
        expected = prepare(recording.signal, recording.sampling_rate)[entry["segment"]]
        np.testing.assert_array_equal(made.read(row), expected)
        assert entry["patient"] == patient_number(recording.patient)


def test_eight_leads_are_left_out_unless_the_limb_leads_may_be_derived(mixed: Path, tmp_path: Path) -> None:
    made = prepare_shards(RecordingFolder(root=mixed), tmp_path / "shards", PrepareSettings(max_unreadable=0.1))
    assert made.manifest.excluded["nan-lead"] == 2
    eight = RecordingFolder(root=mixed, derive_limb_leads=True).read("p2/eight.hea")
    assert eight.derived
    np.testing.assert_allclose(eight.signal[2], eight.signal[1] - eight.signal[0])


def test_patients_come_from_the_folder_or_from_a_table(mixed: Path, tmp_path: Path) -> None:
    assert RecordingFolder(root=mixed, patients="folder").read("p1/a.hea").patient == "p1"
    table = tmp_path / "patients.csv"
    table.write_text("recording,patient\np1/a,17\nc.mat,18\n")
    source = RecordingFolder(root=mixed, patients=str(table))
    assert [source.read(key).patient for key in ("p1/a.hea", "c.mat", "p1/b.hea", "d.npz")] == ["17", "18", None, "x"]
    (tmp_path / "wrong.csv").write_text("name\n1\n")
    with pytest.raises(DataError, match="columns recording and patient"):
        RecordingFolder(root=mixed, patients=str(tmp_path / "wrong.csv")).read("p1/a.hea")


def test_hdf5_recordings_are_read_row_by_row(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="optional extra `train`")
    stored = np.stack([_ecg(0, 4096).T, _ecg(1, 4096).T]).astype(np.float32)
    with h5py.File(tmp_path / "exams.hdf5", "w") as file:
        file["tracings"] = stored
    source = RecordingFolder(root=tmp_path, hdf5_sampling_rate=400.0)
    assert source.keys() == ["exams.hdf5#0", "exams.hdf5#1"]
    recording = source.read("exams.hdf5#1")
    assert recording.sampling_rate == 400.0
    np.testing.assert_array_equal(recording.signal, stored[1].T)


def test_several_folders_are_one_source(mixed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    np.savez(other / "d.npz", signal=_ecg(40), sampling_rate=500.0)
    joined = JoinedSource(sources=(("a", RecordingFolder(root=mixed)), ("b", RecordingFolder(root=other))))
    assert len(joined.keys()) == 12
    assert joined.keys()[-1] == "b:d.npz"
    np.testing.assert_array_equal(joined.read("b:d.npz").signal, _ecg(40))
    np.testing.assert_array_equal(joined.read("a:d.npz").signal, _ecg(4))
    before = [joined.fingerprint(["a:d.npz"]), joined.fingerprint(["b:d.npz"])]
    np.savez(other / "d.npz", signal=_ecg(41, 6000), sampling_rate=500.0)
    assert joined.fingerprint(["a:d.npz"]) == before[0]
    assert joined.fingerprint(["b:d.npz"]) != before[1]


def test_an_interrupted_preparation_goes_on_where_it_stopped(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = RecordingFolder(root=mixed)
    settings = PrepareSettings(recordings_per_shard=3, max_unreadable=0.1)
    whole = prepare_shards(source, tmp_path / "whole", settings)

    class Killed(Exception):
        pass

    def stop_after_two_shards(done: int, total: int) -> None:
        if done >= 6:
            raise Killed

    with pytest.raises(Killed):
        prepare_shards(source, tmp_path / "again", settings, stop_after_two_shards)
    with pytest.raises(DataError, match="no finished shard set"):
        ShardSet.open(tmp_path / "again")

    read: list[str] = []
    original = RecordingFolder.read

    def noting(self: RecordingFolder, key: str) -> Recording:
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(RecordingFolder, "read", noting)
    resumed = prepare_shards(source, tmp_path / "again", settings)
    assert read == source.keys()[6:]
    assert resumed.digest == whole.digest
    np.testing.assert_array_equal(resumed.index, whole.index)


def test_a_changed_recording_and_a_damaged_shard_are_made_again(mixed: Path, tmp_path: Path) -> None:
    source = RecordingFolder(root=mixed)
    settings = PrepareSettings(recordings_per_shard=4, max_unreadable=0.1)
    first = prepare_shards(source, tmp_path / "shards", settings)
    np.savez(mixed / "d.npz", signal=_ecg(44), sampling_rate=500.0)
    assert prepare_shards(source, tmp_path / "shards", settings).digest != first.digest

    path = tmp_path / "shards" / "shard-00001.bin"
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        ShardSet.open(tmp_path / "shards").verify()
    prepare_shards(source, tmp_path / "shards", settings).verify()
    path.write_bytes(damaged[:-1])
    with pytest.raises(DataError, match="missing or truncated"):
        ShardSet.open(tmp_path / "shards")


def test_several_processes_write_the_same_shards_as_one(mixed: Path, tmp_path: Path) -> None:
    source = RecordingFolder(root=mixed)
    one = prepare_shards(source, tmp_path / "one", PrepareSettings(recordings_per_shard=3, max_unreadable=0.1))
    two = prepare_shards(
        source, tmp_path / "two", PrepareSettings(recordings_per_shard=3, max_unreadable=0.1, workers=2)
    )
    assert one.digest == two.digest
    np.testing.assert_array_equal(one.index, two.index)


def test_half_precision_shards_are_half_as_large_and_as_near_as_half_precision_is(mixed: Path, tmp_path: Path) -> None:
    source = RecordingFolder(root=mixed)
    full = prepare_shards(source, tmp_path / "full", PrepareSettings(max_unreadable=0.1))
    half = prepare_shards(source, tmp_path / "half", PrepareSettings(max_unreadable=0.1, dtype="float16"))
    np.testing.assert_allclose(half.read(0), full.read(0), rtol=2**-11, atol=1e-6)
    assert half.read(0).dtype == np.float32
    sizes = [(tmp_path / name / "shard-00000.bin").stat().st_size for name in ("half", "full")]
    assert sizes[0] * 2 == sizes[1]


def test_too_many_unreadable_files_stop_the_preparation(mixed: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 11 recordings cannot be read.*broken\.npz"):
        prepare_shards(RecordingFolder(root=mixed), tmp_path / "shards", PrepareSettings(max_unreadable=0.05))


def test_an_empty_folder_or_one_without_a_usable_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no"):
        prepare_shards(RecordingFolder(root=tmp_path / "empty"), tmp_path / "shards", PrepareSettings())
    with pytest.raises(DataError, match="is not a folder"):
        prepare_shards(RecordingFolder(root=tmp_path / "nowhere"), tmp_path / "shards", PrepareSettings())
    np.savez(tmp_path / "empty" / "short.npz", signal=_ecg(9, 2499), sampling_rate=500.0)
    with pytest.raises(DataError, match=r"none of 1 recordings can be used.*too-short"):
        prepare_shards(RecordingFolder(root=tmp_path / "empty"), tmp_path / "shards", PrepareSettings())


def test_shards_of_another_preprocessing_version_are_refused(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PrepareSettings(max_unreadable=0.1)
    prepare_shards(RecordingFolder(root=mixed), tmp_path / "shards", settings)
    monkeypatch.setattr(shard_manifest, "PREPROCESSING", "another/2")
    with pytest.raises(DataError, match="prepare the shards again"):
        ShardSet.open(tmp_path / "shards")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"signal": np.zeros((3, 5000)), "sampling_rate": 500.0}, r"shape \(3, 5000\)"),
        ({"signal": np.zeros((12, 5000)), "sampling_rate": 0.0}, "sampling rate"),
        ({"ecg": np.zeros((12, 5000))}, "cannot be read"),
    ],
)
def test_an_unusable_file_says_why(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", allow_pickle=False, **content)
    with pytest.raises(RecordingError, match=message):
        RecordingFolder(root=tmp_path).read("a.npz")


@pytest.mark.parametrize(
    ("folder", "recordings"), [("wfdb_ptbxl500", 300), ("wfdb_cinc2021", 20), ("mat_code15", 6), ("wfdb_ptbdb", 1)]
)
def test_public_recordings_are_read_in_place(folder: str, recordings: int) -> None:
    root = SHARED / folder
    if not root.is_dir():
        pytest.skip(f"public recordings are not on this machine: {folder}")
    source = RecordingFolder(root=root)
    keys = source.keys()
    assert len(keys) >= recordings
    for key in keys[:5]:
        recording = source.read(key)
        assert recording.signal.shape[0] == 12
        assert np.isfinite(recording.signal).all()


@pytest.mark.parametrize(("unit", "per_millivolt"), [("mV", 1.0), ("uV", 1000.0), ("V", 0.001)])
def test_amplitudes_are_millivolts_whatever_unit_the_header_states(
    unit: str, per_millivolt: float, tmp_path: Path
) -> None:
    signal = _ecg(1)
    _write_wfdb(tmp_path, "a", signal * per_millivolt, unit=unit)
    found = RecordingFolder(root=tmp_path).read("a.hea")
    assert found.in_millivolts
    np.testing.assert_allclose(found.signal, signal, atol=2e-3)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_micro_sign_is_not_lost(encoding: str, tmp_path: Path) -> None:
    """The library that reads WFDB drops it, and a millionth would become a whole."""
    signal = _ecg(1)
    _write_wfdb(tmp_path, "a", signal * 1000, unit="uV")
    header = tmp_path / "a.hea"
    header.write_bytes(header.read_text().replace("/uV", "/\N{MICRO SIGN}V").encode(encoding))
    found = RecordingFolder(root=tmp_path).read("a.hea")
    assert found.in_millivolts
    np.testing.assert_allclose(found.signal, signal, atol=2e-3)


def test_amplitudes_without_a_unit_of_voltage_serve_for_their_shape_only(tmp_path: Path) -> None:
    _write_wfdb(tmp_path, "a", _ecg(1), unit="NU")
    savemat(tmp_path / "c.mat", {"feats": _ecg(3), "curr_sample_rate": 500})
    source = RecordingFolder(root=tmp_path)
    assert [source.read(key).in_millivolts for key in ("a.hea", "c.mat")] == [False, False]
    np.testing.assert_allclose(source.read("a.hea").signal, _ecg(1), atol=2e-3)
