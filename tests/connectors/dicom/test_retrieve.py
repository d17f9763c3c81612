"""Pulling from real archives: C-FIND, C-MOVE, C-GET and DICOMweb, with what each of them does differently."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pydicom
import pytest
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import AE, evt

from ecgfm_connectors.base import Disposition, PullReport, Received, Source, Verdict
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom.multipart import parts
from ecgfm_connectors.dicom.query import STUDY_ROOT_FIND
from ecgfm_connectors.dicom.retrieve import STUDY_ROOT_GET, STUDY_ROOT_MOVE, Archive, RetrieveSource
from ecgfm_connectors.dicom.sop_classes import ECG_SOP_CLASSES, TRANSFER_SYNTAXES
from ecgfm_connectors.dicom.web import DicomWebSource
from ecgfm_connectors.ecg import AcquiredAt, Ecg
from ecgfm_connectors.errors import Interrupted, Misconfigured, ProtocolViolation, Unreachable
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import cart
from ecgfm_connectors.testing.dicom_writer import write_ecg
from ecgfm_connectors.testing.samples import sample_ecg
from ecgfm_connectors.tls import TlsFiles
from tests.connectors.dicom.conftest import running_orthanc
from tests.helpers import report_writer
from tests.helpers.certificates import CertificateAuthority
from tests.helpers.ports import free_port

pytestmark = pytest.mark.slow

LOOPBACK = "127.0.0.1"
NOW = datetime(2026, 4, 10, 9, 0, tzinfo=UTC)


def taken_on(ecg: Ecg, at: datetime) -> Ecg:
    return replace(ecg, acquired=AcquiredAt(at=at, zone_source="offset", original=""))


def ecgs(count: int, day: datetime, first: int = 0) -> list[Ecg]:
    return [taken_on(sample_ecg(seed=first + n, seconds=2), day) for n in range(count)]


def ct_image(study: str, day: datetime) -> bytes:
    """An object of another modality, small and not an ECG."""
    dataset = pydicom.dcmread(BytesIO(write_ecg(taken_on(sample_ecg(seconds=1), day))))
    del dataset.WaveformSequence
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = study, generate_uid(), "CT"
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def fill(peer: Any, *contents: bytes) -> None:
    answers = cart.send(contents, host=LOOPBACK, port=peer.port, called=peer.ae_title)
    assert [answer.status for answer in answers] == [0] * len(contents)


def source(peer: Any, method: Literal["move", "get", "web"], **options: Any) -> Source:
    if method == "web":
        return DicomWebSource(name="archive", url=peer.web, **options)
    archive = Archive(host=LOOPBACK, port=peer.port, ae_title=peer.ae_title, timeout=30)
    port = peer.move_port if method == "move" else None
    return RetrieveSource(
        name="archive", archive=archive, method=method, receive_host=LOOPBACK, receive_port=port, **options
    )


class Inbox:
    def __init__(self, context: ReadingContext) -> None:
        self._context = context
        self.uids: list[str] = []
        self.transports: set[str] = set()
        self.disposition = Disposition.STAGED

    def __call__(self, received: Received) -> Verdict:
        (ecg,) = read(received.content, self._context).ecgs
        self.uids.append(ecg.source_id)
        self.transports.add(received.transport)
        return Verdict(disposition=self.disposition)


@pytest.fixture
def inbox(context: ReadingContext) -> Inbox:
    return Inbox(context)


def pull(of: Source, inbox: Inbox, cursor: str | None = None, now: datetime = NOW) -> PullReport:
    inbox.uids.clear()
    return of.pull(inbox, cursor=cursor, now=now)


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest) -> Any:
    """Orthanc with five ECGs in the window, one a month old, one in a study with a CT, and a CT alone."""
    peer = request.getfixturevalue("orthanc")
    inside, old = ecgs(5, NOW - timedelta(days=1)), ecgs(1, NOW - timedelta(days=30), first=20)
    mixed = ecgs(1, NOW, first=30)[0]
    mixed = replace(mixed, order=replace(mixed.order, study_uid=generate_uid()))
    fill(peer, *map(write_ecg, [*inside, *old, mixed]))
    fill(peer, ct_image(mixed.order.study_uid, NOW), ct_image(generate_uid(), NOW))
    peer_and_uids = (peer, {ecg.source_id for ecg in [*inside, mixed]})
    return peer_and_uids


@pytest.mark.peer
@pytest.mark.parametrize("method", ["move", "get", "web"])
def test_orthanc_gives_the_ecgs_of_the_window(filled: Any, inbox: Inbox, method: Literal["move", "get", "web"]) -> None:
    peer, expected = filled
    of = source(peer, method)
    assert "answered" in of.check()
    report = pull(of, inbox)
    assert set(inbox.uids) == expected
    assert report.problems == ()
    assert report.cursor == "2026-04-10"
    assert len(report.verdicts) == len(inbox.uids)
    assert inbox.transports == {"dicomweb" if method == "web" else "dicom"}


@pytest.mark.peer
@pytest.mark.parametrize("method", ["move", "get", "web"])
def test_a_second_pull_asks_only_for_what_grew(
    filled: Any, inbox: Inbox, method: Literal["move", "get", "web"]
) -> None:
    peer, _ = filled
    of = source(peer, method)
    report = pull(of, inbox)
    again = pull(of, inbox, cursor=report.cursor)
    assert (inbox.uids, again.offered, again.problems) == ([], 0, ())
    late = ecgs(1, NOW - timedelta(days=1), first=40 + ["move", "get", "web"].index(method))[0]
    fill(peer, write_ecg(late))
    pull(of, inbox, cursor=again.cursor)
    assert inbox.uids == [late.source_id]


@pytest.mark.peer
@pytest.mark.parametrize("method", ["move", "get", "web"])
def test_what_could_not_be_kept_is_asked_for_again(
    filled: Any, inbox: Inbox, method: Literal["move", "get", "web"]
) -> None:
    peer, expected = filled
    of = source(peer, method)
    inbox.disposition = Disposition.TRY_LATER
    report = pull(of, inbox, cursor="2026-04-09")
    assert report.cursor == "2026-04-09"
    assert report.problems
    inbox.disposition = Disposition.STAGED
    report = pull(of, inbox, cursor=report.cursor)
    assert expected <= set(inbox.uids)
    assert report.problems == ()


@pytest.fixture(scope="module")
def three_in_dcmqrscp(request: pytest.FixtureRequest) -> Any:
    """dcmtk's archive with three ECGs and a CT."""
    peer, wanted = request.getfixturevalue("dcmqrscp"), ecgs(3, NOW, first=50)
    fill(peer, *map(write_ecg, wanted), ct_image(generate_uid(), NOW))
    return peer, sorted(ecg.source_id for ecg in wanted)


@pytest.mark.peer
@pytest.mark.parametrize("method", ["move", "get"])
def test_dcmqrscp_which_ignores_modalities_in_study(
    three_in_dcmqrscp: Any, inbox: Inbox, method: Literal["move", "get"]
) -> None:
    peer, wanted = three_in_dcmqrscp
    report = pull(source(peer, method), inbox)
    assert report.problems == ()
    assert report.offered >= len(wanted)
    assert sorted(inbox.uids) == wanted


@pytest.mark.peer
@pytest.mark.parametrize("method", ["move", "get"])
def test_orthanc_over_mutual_tls(orthanc_over_tls: Any, inbox: Inbox, method: Literal["move", "get"]) -> None:
    peer, client = orthanc_over_tls
    wanted = ecgs(2, NOW, first=80)
    objects = [write_ecg(ecg) for ecg in wanted]
    cart.send(objects, host="localhost", port=peer.port, called=peer.ae_title, tls=client)
    archive = Archive(host="localhost", port=peer.port, ae_title=peer.ae_title, timeout=30, tls=client)
    of = RetrieveSource(
        name="tls",
        archive=archive,
        method=method,
        receive_host=LOOPBACK,
        receive_port=peer.move_port if method == "move" else None,
    )
    report = pull(of, inbox)
    assert set(inbox.uids) == {ecg.source_id for ecg in wanted}
    assert report.problems == ()
    with pytest.raises(Unreachable):
        RetrieveSource(name="plain", archive=replace(archive, tls=None)).check()


@pytest.mark.peer
def test_dicomweb_over_mutual_tls(filled: Any, authority: CertificateAuthority, inbox: Inbox, tmp_path: Path) -> None:
    """socat stands before Orthanc as a hospital's gateway does, and lets in who shows a certificate of its authority.

    Debian's Orthanc 1.10.1 has HTTPS of its own, but dies of the first request over it.
    """
    if shutil.which("socat") is None:
        pytest.skip("socat is not installed (apt-get install socat)")
    peer, wanted = filled
    server, client = authority.issue("gateway"), authority.issue("client")
    with tls_gateway(server, to=urlsplit(peer.web).netloc, folder=tmp_path) as port:
        url = f"https://localhost:{port}/dicom-web"
        assert "answered" in DicomWebSource(name="tls", url=url, tls=client).check()
        report = pull(DicomWebSource(name="tls", url=url, tls=client), inbox)
        assert wanted <= set(inbox.uids)  # other tests add to the archive
        assert report.problems == ()
        stranger = CertificateAuthority(tmp_path).issue("client")
        for wrong in (
            None,  # shows no certificate
            replace(stranger, trusted=client.trusted),  # shows one of another authority
            replace(client, trusted=stranger.trusted),  # does not trust theirs
            replace(authority.issue("late", days=-1), trusted=client.trusted),  # shows one that has expired
        ):
            with pytest.raises(Unreachable):
                DicomWebSource(name="tls", url=url, tls=wrong).check()
        with pytest.raises(Unreachable):
            DicomWebSource(name="plain", url=url.replace("https:", "http:")).check()


@contextmanager
def tls_gateway(tls: TlsFiles, *, to: str, folder: Path) -> Iterator[int]:
    """Mutual TLS in front of the plain address `to`; gives its port."""
    own = folder / "gateway.pem"
    own.write_text(tls.key.read_text() + tls.certificate.read_text())
    port = free_port()
    listen = f"OPENSSL-LISTEN:{port},bind={LOOPBACK},reuseaddr,fork,cert={own},cafile={tls.trusted},verify=1"
    process = subprocess.Popen(["socat", listen, f"TCP:{to}"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection((LOOPBACK, port), timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.peer
def test_a_destination_the_archive_does_not_know(orthanc: Any, inbox: Inbox) -> None:
    fill(orthanc, write_ecg(ecgs(1, NOW, first=70)[0]))
    archive = Archive(host=LOOPBACK, port=orthanc.port, ae_title="ORTHANC", calling="STRANGER", timeout=30)
    report = pull(RetrieveSource(name="archive", archive=archive, receive_host=LOOPBACK, receive_port=0), inbox)
    assert report.problems  # Orthanc says 0xC000 where the standard has 0xA801
    assert report.cursor is None


@contextmanager
def forgetful_archive(ecg: bytes, port: int) -> Iterator[Any]:
    """A Query/Retrieve SCP that lists one study, and answers the first C-GET with success and no object."""
    dataset = pydicom.dcmread(BytesIO(ecg))
    requests: list[Any] = []

    def on_find(event: Any) -> Iterator[tuple[int, pydicom.Dataset | None]]:
        answer = pydicom.Dataset()
        answer.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        answer.StudyInstanceUID, answer.StudyDate = dataset.StudyInstanceUID, dataset.StudyDate
        answer.ModalitiesInStudy, answer.NumberOfStudyRelatedInstances = "ECG", 1
        answer.SeriesInstanceUID, answer.Modality = dataset.SeriesInstanceUID, "ECG"
        yield 0xFF00, answer

    def on_get(event: Any) -> Iterator[Any]:
        requests.append(event.identifier)
        if len(requests) <= 2:  # the study, then its series
            yield 0
        else:
            yield 1
            yield 0xFF00, dataset

    entity = AE(ae_title="FORGETS")
    entity.add_supported_context(STUDY_ROOT_FIND)
    entity.add_supported_context(STUDY_ROOT_GET)
    for uid in ECG_SOP_CLASSES:
        entity.add_supported_context(uid, list(TRANSFER_SYNTAXES), scu_role=True, scp_role=True)
    server = entity.start_server(
        (LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find), (evt.EVT_C_GET, on_get)]
    )
    try:
        yield server
    finally:
        server.shutdown()  # type: ignore[union-attr]  # start_server gives a server where it does not block


def test_success_without_an_object_is_said_and_asked_again(free_port: Any, inbox: Inbox) -> None:
    ecg, port = ecgs(1, NOW, first=90)[0], free_port()
    with forgetful_archive(write_ecg(ecg), port):
        archive = Archive(host=LOOPBACK, port=port, ae_title="FORGETS", timeout=30)
        of = RetrieveSource(name="archive", archive=archive, method="get")
        report = pull(of, inbox)
        assert (inbox.uids, report.offered, report.cursor) == ([], 1, None)
        assert "did not deliver" in report.problems[0]
        report = pull(of, inbox)
        assert (inbox.uids, report.problems) == ([ecg.source_id], ())


@dataclass(slots=True, kw_only=True)
class Cancelling:
    """What an archive that moves three ECGs of one study does, and what it was asked."""

    after: int | None  #: how many objects it moves until somebody at its side cancels
    moves: int = 0  #: that it was asked for


@contextmanager
def moving_archive(contents: Sequence[bytes], port: int, receiver: int, does: Cancelling) -> Iterator[None]:
    """A Query/Retrieve SCP with one study."""
    datasets = [pydicom.dcmread(BytesIO(one)) for one in contents]

    def on_find(event: Any) -> Iterator[tuple[int, pydicom.Dataset | None]]:
        answer = pydicom.Dataset()
        answer.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        answer.StudyInstanceUID, answer.StudyDate = datasets[0].StudyInstanceUID, datasets[0].StudyDate
        answer.ModalitiesInStudy, answer.NumberOfStudyRelatedInstances = "ECG", len(datasets)
        answer.SeriesInstanceUID, answer.Modality = datasets[0].SeriesInstanceUID, "ECG"
        yield 0xFF00, answer

    def on_move(event: Any) -> Iterator[Any]:
        does.moves += 1
        yield LOOPBACK, receiver
        yield len(datasets)
        for number, dataset in enumerate(datasets):
            if event.is_cancelled or number == does.after:
                yield 0xFE00, None
                return
            yield 0xFF00, dataset

    entity = AE(ae_title="MOVES")
    entity.add_supported_context(STUDY_ROOT_FIND)
    entity.add_supported_context(STUDY_ROOT_MOVE)
    for uid in ECG_SOP_CLASSES:
        entity.add_requested_context(uid)
    server = entity.start_server(
        (LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find), (evt.EVT_C_MOVE, on_move)]
    )
    try:
        yield
    finally:
        server.shutdown()  # type: ignore[union-attr]  # start_server gives a server where it does not block


def one_study() -> list[Ecg]:
    study = generate_uid()
    return [replace(ecg, order=replace(ecg.order, study_uid=study)) for ecg in ecgs(3, NOW, first=60)]


def test_a_move_that_is_cancelled_at_the_archive_is_said_and_asked_for_again(free_port: Any, inbox: Inbox) -> None:
    study, port, receiver = one_study(), free_port(), free_port()
    does = Cancelling(after=1)
    with moving_archive([*map(write_ecg, study)], port, receiver, does):
        archive = Archive(host=LOOPBACK, port=port, ae_title="MOVES", timeout=60)
        of = RetrieveSource(name="archive", archive=archive, receive_host=LOOPBACK, receive_port=receiver)
        report = pull(of, inbox)
        assert "0xFE00" in report.problems[0]
        assert report.cursor is None
        assert set(inbox.uids) == {study[0].source_id}
        does.after = None
        report = pull(of, inbox)
        assert report.problems == ()
        assert set(inbox.uids) == {ecg.source_id for ecg in study}


def test_a_pull_that_is_interrupted_cancels_the_move_and_asks_for_nothing_more(free_port: Any) -> None:
    """A stop in the middle of a C-MOVE had each study asked for again by itself, and each object sent in vain."""
    contents, port, receiver = [*map(write_ecg, one_study())], free_port(), free_port()
    does, asked = Cancelling(after=None), list[Received]()

    def stops(received: Received) -> Verdict:
        asked.append(received)
        raise Interrupted

    with moving_archive(contents, port, receiver, does):
        archive = Archive(host=LOOPBACK, port=port, ae_title="MOVES", timeout=60)
        of = RetrieveSource(name="archive", archive=archive, receive_host=LOOPBACK, receive_port=receiver)
        with pytest.raises(Interrupted):
            of.pull(stops, cursor=None, now=NOW)
    assert (len(asked), does.moves) == (1, 1)


def test_nobody_there(free_port: Any) -> None:
    archive = Archive(host=LOOPBACK, port=free_port(), ae_title="NOBODY", timeout=5)
    with pytest.raises(Unreachable):
        RetrieveSource(name="archive", archive=archive).check()
    with pytest.raises(Unreachable):
        DicomWebSource(name="archive", url=f"http://{LOOPBACK}:{free_port()}/dicom-web").check()


@pytest.mark.peer
def test_a_wrong_url(orthanc: Any) -> None:
    with pytest.raises(Misconfigured):
        DicomWebSource(name="archive", url=orthanc.web.replace("dicom-web", "wrong")).check()


FRAME = b"--b\r\nContent-Type: application/dicom\r\n\r\nONE\r\n--b\r\n\r\nTWO\r\n--b--\r\n"


def test_multipart() -> None:
    assert parts(FRAME, 'multipart/related; type="application/dicom"; boundary="b"') == [b"ONE", b"TWO"]
    assert parts(b"preamble\r\n" + FRAME, "multipart/related; boundary=b") == [b"ONE", b"TWO"]
    assert parts(b"DICM", "application/dicom") == [b"DICM"]
    for broken, kind in ((FRAME[:-5], "multipart/related; boundary=b"), (FRAME, "multipart/related")):
        with pytest.raises(ProtocolViolation):
            parts(broken, kind)


@pytest.mark.peer
@pytest.mark.parametrize("method", ["move", "get", "web"])
def test_structured_reports_are_pulled_by_their_own_modality(
    tmp_path: Path, context: ReadingContext, method: Literal["move", "get", "web"]
) -> None:
    document = report_writer.report(report_writer.findings(report_writer.number("57")))
    document.StudyDate = f"{NOW:%Y%m%d}"
    values: set[float] = set()

    def inbox(received: Received) -> Verdict:
        values.update(one.value for one in read(received.content, context).outcomes)
        return Verdict(disposition=Disposition.STAGED)

    with running_orthanc(tmp_path) as peer:
        fill(peer, report_writer.write(document), ct_image(document.StudyInstanceUID, NOW))
        report = source(peer, method, modality="SR").pull(inbox, cursor=None, now=NOW)
    assert values == {57.0}
    assert report.problems == ()
