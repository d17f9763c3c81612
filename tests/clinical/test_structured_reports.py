"""Structured reports of echo systems on their way into the store: by C-STORE, as a file, and from an archive."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.pipeline.ingest import Ingest
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import cart, dicom_writer
from tests.helpers import ecg_documents as others
from tests.helpers import prepared
from tests.helpers import report_writer as sr
from tests.helpers.fakes import make_ecg

pytestmark = pytest.mark.slow(3)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOPBACK = "127.0.0.1"

WITH_LVEF = sr.write(sr.report(sr.findings(sr.number("57", (sr.METHOD, sr.BIPLANE)))))
REPLACED = sr.write(sr.report(sr.findings(sr.number("35")), replaces="2.25.4711", uid="2.25.4712"))
AMBIGUOUS = sr.write(sr.report(sr.findings(sr.number("38"), sr.number("52")), uid="2.25.4713"))
VOLUMES = sr.write(sr.report(sr.findings(sr.number("142", concept=sr.LV_VOLUME, unit="ml")), uid="2.25.4714"))


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Store]:
    prepared.copy_store(tmp_path / "store.sqlite")
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}", create=True)
    yield store
    store.close()


def test_reports_by_c_store(ward: Store) -> None:
    context = ReadingContext(default_authority="HOSP", zone=ZoneInfo("Europe/Berlin"))
    handler = Ingest(ward, read=partial(read, context=context), clock=lambda: NOW)
    scp = StorageScp(name="echo", ae_title="ECGFM", host=LOOPBACK, port=0, handler=handler, clock=lambda: NOW)
    scp.start()
    try:
        answers = cart.send((WITH_LVEF, VOLUMES, REPLACED, AMBIGUOUS), host=LOOPBACK, port=scp.port)
    finally:
        scp.stop()
    assert [answer.status for answer in answers] == [0x0000] * 4
    (newest,) = ward.outcomes.newest()
    assert (newest.outcome.value, newest.outcome.status, newest.version) == (35.0, "corrected", 2)
    assert [one.outcome.value for one in ward.outcomes.versions(newest.outcome_id)] == [57.0, 35.0]
    assert {one.left_out.reason for one in ward.outcomes.left_out()} == {"lvef-ambiguous"}
    assert ward.questions.refusals() == {"no-ecg": 1}


def test_what_other_systems_say_by_c_store_where_the_listener_takes_documents(ward: Store) -> None:
    context = ReadingContext(default_authority="HOSP", zone=ZoneInfo("Europe/Berlin"))
    handler = Ingest(ward, read=partial(read, context=context), clock=lambda: NOW)
    page, report = sr.write(others.page()), sr.write(others.ecg_report())
    scp = StorageScp(
        name="pacs", ae_title="ECGFM", host=LOOPBACK, port=0, handler=handler, clock=lambda: NOW, documents=True
    )
    scp.start()
    try:
        answers = cart.send((page, report), host=LOOPBACK, port=scp.port)
    finally:
        scp.stop()
    assert [answer.status for answer in answers] == [0x0000] * 2
    assert [(one.document.kind, one.reason) for one in ward.documents.newest()] == [
        ("report", "no-ecg"),
        ("pdf", "no-ecg"),
    ]


def test_what_other_systems_say_as_files_beside_the_ecg_that_comes_later(
    run: Callable[..., tuple[int, str, str]], site: Path
) -> None:
    named = Patient(identifiers=(Identifier(authority="HOSP", value="E1"),))
    came = (
        ("ai.dcm", sr.write(others.ai_report())),
        ("page.dcm", sr.write(others.page(refers=False))),
        ("ecg.dcm", dicom_writer.write_ecg(make_ecg(1, source_id=others.ECG, patient=named))),
    )
    for name, content in came:
        (site.parent / name).write_bytes(content)
        assert run("ingest", site.parent / name, "--settings", site)[0] == 0
    code, out, _ = run("show", "1", "--settings", site)
    assert code == 0
    assert "others say report by Simulated COMPLETE UNVERIFIED FINAL" in out
    assert "amyloidosis" not in out
    _, out, _ = run("show", "1", "--phi", "--json", "--settings", site)
    (one,) = json.loads(out)["documents"]
    assert "Probability of amyloidosis: 0.87" in one["text"]
    _, out, _ = run("documents", "--left", "--settings", site)
    assert "pdf by Simulated" in out
    assert "beside none (no-ecg)" in out
    assert "ECG resting report" not in out
    _, out, _ = run("documents", "--phi", "--settings", site)
    assert "ECG resting report" in out
    with closing(wiring.open_store(read_settings(site))) as store:
        opened = [one.detail["document_id"] for one in store.care.trail() if "document_id" in one.detail]
    assert opened == [2, 1]


def test_reports_as_files(run: Callable[..., tuple[int, str, str]], site: Path) -> None:
    file = site.parent / "report.dcm"
    file.write_bytes(WITH_LVEF)
    assert run("ingest", file, "--settings", site)[0] == 0
    _, out, _ = run("outcomes", "list", "--json", "--settings", site)
    (row,) = json.loads(out)
    assert (row["value"], row["assay"], row["place"]) == (57.0, "ultrasound biplane", "ContentItem 1.1.2.1")
    assert "E1" not in out


def in_a_message(document: bytes, pid: str, name: str = "TESTPERSON^ALEX", born: str = "19550505") -> bytes:
    segments = (
        "MSH|^~\\&|ECHO|H|ECGFM|H|20260301100000+0100||ORU^R01|E1|P|2.5.1",
        f"PID|1||{pid}||{name}||{born}|F",
        "OBR|1|P1|F1|93306^Echo^CPT|||20260301081500||||||||||||||||||F",
        f"OBX|1|ED|SR^Structured report^L||ECHO^Application^dicom^Base64^{b64encode(document).decode()}||||||F",
        "",
    )
    return "\r".join(segments).encode()


def test_a_report_inside_a_message_is_its_patients() -> None:
    context = ReadingContext(default_authority="HOSP", zone=ZoneInfo("Europe/Berlin"))
    (one,) = read(in_a_message(WITH_LVEF, "E1^^^HOSP^MR"), context).outcomes
    assert (one.value, one.patient.identifiers[0].value) == (57.0, "E1")
    for pid, name, born in (
        ("E2^^^HOSP^MR", "TESTPERSON^ALEX", "19550505"),
        ("E2^^^LAB^MR", "OTHER^PERSON", "19880101"),
    ):
        with pytest.raises(Refused) as refusal:
            read(in_a_message(WITH_LVEF, pid, name, born), context)
        assert refusal.value.code == "patient-mismatch"


@pytest.mark.parametrize("status", ["W", "D", "X"])
def test_a_report_that_its_sender_takes_back_withdraws_its_measurements(status: str) -> None:
    context = ReadingContext(default_authority="HOSP", zone=ZoneInfo("Europe/Berlin"))
    sent = in_a_message(WITH_LVEF, "E1^^^HOSP^MR")
    (one,) = read(sent, context).outcomes
    (undone,) = read(sent.replace(b"||||||F\r", f"||||||{status}\r".encode()), context).outcomes
    assert (undone.source_id, undone.status) == (one.source_id, "withdrawn")
