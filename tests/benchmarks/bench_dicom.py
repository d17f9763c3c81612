"""DICOM speed beside its peers, alternating in one run: durable C-STORE ingest, list C-MOVE, and decoding.

pytest -s tests/benchmarks/bench_dicom.py
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pynetdicom import AE, evt

from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom.retrieve import Archive, RetrieveSource
from ecgfm_connectors.dicom.sop_classes import TWELVE_LEAD_ECG
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.ecg import AcquiredAt
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import cart
from ecgfm_connectors.testing.dicom_writer import uid_of, write_ecg
from ecgfm_connectors.testing.samples import sample_ecg

pytestmark = [pytest.mark.benchmark, pytest.mark.peer]

# The peers of the DICOM tests: Orthanc as a fixture.
_peers = importlib.util.spec_from_file_location(
    "peers", Path(__file__).parents[1] / "connectors" / "dicom" / "conftest.py"
)
assert _peers is not None
assert _peers.loader is not None
peers = importlib.util.module_from_spec(_peers)
sys.modules["peers"] = peers
_peers.loader.exec_module(peers)
orthanc = peers.orthanc

STORESCU = Path("/usr/bin/storescu")
LOOPBACK = "127.0.0.1"
FILES, ROUNDS = 60, 3
NOW = datetime(2026, 4, 10, 9, 0, tzinfo=UTC)


def two_groups(seed: int) -> bytes:
    """A 12 × 5000 recording and a second group as long: 247 kB, as the peers were measured with."""
    dataset = pydicom.dcmread(BytesIO(write_ecg(sample_ecg(seed=seed))))
    second = pydicom.dcmread(BytesIO(write_ecg(sample_ecg(seed=seed)))).WaveformSequence[0]
    second.WaveformOriginality = "DERIVED"
    dataset.WaveformSequence.append(second)
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture
def context() -> ReadingContext:
    return ReadingContext(default_authority="SITE", zone=UTC)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    for seed in range(FILES):
        (folder / f"{seed:03d}.dcm").write_bytes(two_groups(seed))
    return folder


def durable(folder: Path) -> Callable[[bytes], None]:
    """Write, fsync, rename: what a commit costs at least."""
    counter = iter(range(10**9))

    def keep(content: bytes) -> None:
        path = folder / f"{next(counter)}.dcm"
        with path.with_suffix(".part").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").rename(path)

    return keep


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[int]:
    keep = durable(tmp_path)

    def handle(received: Received) -> Verdict:
        keep(received.content)
        return Verdict(disposition=Disposition.STAGED)

    scp = StorageScp(name="x", ae_title="SCP", host=LOOPBACK, port=0, handler=handle, clock=lambda: datetime.now(UTC))
    scp.start()
    yield scp.port
    scp.stop()


@pytest.fixture
def raw_pynetdicom(tmp_path: Path) -> Iterator[int]:
    """pynetdicom writing what it gets, not durably."""
    counter = iter(range(10**9))

    def on_store(event: Any) -> int:
        (tmp_path / f"raw{next(counter)}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    entity = AE("SCP")
    entity.maximum_pdu_size = 131072
    entity.add_supported_context(TWELVE_LEAD_ECG)
    server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    assert server is not None
    yield int(server.server_address[1])
    server.shutdown()


def store_all(port: int, title: str, files: list[Path], associations: int) -> float:
    """Files a second by dcmtk's storescu."""
    environment = os.environ | {"TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "262144"}

    def send(part: list[Path]) -> None:
        command = [str(STORESCU), "-R", "-aec", title, LOOPBACK, str(port), *map(str, part)]
        subprocess.run(command, check=True, capture_output=True, env=environment)

    started = time.perf_counter()
    with ThreadPoolExecutor(associations) as pool:
        list(pool.map(send, [files[n::associations] for n in range(associations)]))
    return len(files) / (time.perf_counter() - started)


@pytest.mark.parametrize("associations", [1, 4])
def test_durable_ingest(ours: int, raw_pynetdicom: int, orthanc: Any, objects: Path, associations: int) -> None:
    if not STORESCU.exists():
        pytest.skip("dcmtk is not installed (/usr/bin/storescu)")
    files = sorted(objects.iterdir())
    scps = {"ours": (ours, "SCP"), "pynetdicom raw": (raw_pynetdicom, "SCP"), "orthanc": (orthanc.port, "ORTHANC")}
    rates: dict[str, list[float]] = {name: [] for name in scps}
    for _ in range(ROUNDS):
        for name, (port, title) in scps.items():
            rates[name].append(store_all(port, title, files, associations))
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(f"\n{associations} association(s), 247 kB: " + ", ".join(f"{k} {v:.0f}/s" for k, v in median.items()))
    for name, target in (("pynetdicom raw", 0.6), ("orthanc", 0.8)):
        print(f"  ours / {name} = {median['ours'] / median[name]:.2f} (target {target})")
    assert all(len(values) == ROUNDS for values in rates.values())


def test_list_move_end_to_end(orthanc: Any, tmp_path: Path) -> None:
    ecgs = [
        replace(sample_ecg(seed=200 + n), acquired=AcquiredAt(at=NOW, zone_source="offset", original=""))
        for n in range(FILES)
    ]
    cart.send([write_ecg(ecg) for ecg in ecgs], host=LOOPBACK, port=orthanc.port, called="ORTHANC")
    taken: list[bytes] = []

    def handle(received: Received) -> Verdict:
        taken.append(received.content)
        return Verdict(disposition=Disposition.STAGED)

    archive = Archive(host=LOOPBACK, port=orthanc.port, ae_title="ORTHANC")
    rates, own = [], []
    for _ in range(ROUNDS):
        own.append(move_all(orthanc, [uid_of(f"{ecg.source_id}/study") for ecg in ecgs], tmp_path))
        source = RetrieveSource(
            name="pull", archive=archive, receive_host=LOOPBACK, receive_port=orthanc.move_port, lookback=timedelta(1)
        )
        taken.clear()
        started = time.perf_counter()
        source.pull(handle, cursor=None, now=NOW)
        rates.append(len(taken) / (time.perf_counter() - started))
    assert len(taken) == FILES
    ratio = statistics.median(rates) / statistics.median(own)
    print(f"\nlist C-MOVE, 124 kB: ours with its C-FIND {statistics.median(rates):.0f}/s,", end=" ")
    print(f"dcmtk's movescu {statistics.median(own):.0f}/s: ratio {ratio:.2f} (target 0.5)")


def move_all(archive: Any, studies: list[str], folder: Path) -> float:
    """Objects a second by dcmtk's movescu with the same list and its own receiver: what the archive itself can do."""
    received = folder / f"moved{time.perf_counter_ns()}"
    received.mkdir()
    environment = os.environ | {"TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "262144"}
    command = ["/usr/bin/movescu", "-S", "+P", str(archive.move_port), "-od", str(received)]
    command += ["-aet", "ECGFM", "-aem", "ECGFM", "-aec", archive.ae_title, LOOPBACK, str(archive.port)]
    command += ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + "\\".join(studies)]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    rate = len(list(received.iterdir())) / (time.perf_counter() - started)
    assert len(list(received.iterdir())) == len(studies)
    return rate


def test_decode(context: ReadingContext) -> None:
    content = write_ecg(sample_ecg())

    def baseline() -> None:
        pydicom.dcmread(BytesIO(content)).waveform_array(0)

    def ours() -> None:
        read(content, context)

    times: dict[str, list[float]] = {"ours": [], "baseline": []}
    for _ in range(40):
        for name, run in (("ours", ours), ("baseline", baseline)):
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) * 1000 for name, values in times.items()}
    ratio = median["ours"] / median["baseline"]
    print(f"\ndecode 12 × 5000: ours {median['ours']:.2f} ms, dcmread + waveform_array {median['baseline']:.2f} ms")
    print(f"  ratio {ratio:.2f} (target 1.5)")
    (ecg,) = read(content, context).ecgs
    np.testing.assert_allclose(ecg.signal, sample_ecg().signal, atol=1e-6)
