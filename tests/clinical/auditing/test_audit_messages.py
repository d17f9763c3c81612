"""The audit repository hears of each act in a valid message, at least once, whatever it does to connections."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring

from ecgfm_clinical import wiring
from ecgfm_clinical.auditing.sending import BATCH, AuditMessages
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.alerts import Condition
from ecgfm_connectors.errors import Misconfigured, Unreachable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.testing import aecg_writer, cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.helpers.audit_repository import AuditRepository, Fault
from tests.helpers.audit_schema import faults
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, ecg

pytestmark = [
    pytest.mark.slow(15),
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which(OPENSSL) is None, reason="the openssl program is not installed"),
]

NOW = datetime(2031, 1, 1, tzinfo=UTC)
THREE_LINES = """
[audit.messages]
host = "localhost"
tls = {{ certificate = "{certificate}", key = "{key}", trusted = "{trusted}" }}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def repository(authority: CertificateAuthority) -> Iterator[AuditRepository]:
    repository = AuditRepository(authority.issue("server"))
    yield repository
    repository.stop()


@pytest.fixture
def site(tmp_path: Path, authority: CertificateAuthority, repository: AuditRepository) -> Iterator[Installation]:
    ours = authority.issue("client")
    turned_on = THREE_LINES.format(certificate=ours.certificate, key=ours.key, trusted=ours.trusted)
    more = f"{turned_on}port = {repository.port}\n[[sources.folder]]\nname = 'drop'\npath = 'drop'\n"
    (tmp_path / "drop").mkdir()
    site = Installation(tmp_path, more=f"{more}every_seconds = 0.2\nstable_seconds = 0\n")
    yield site
    site.close()


def sender(site: Installation) -> AuditMessages:
    found = wiring.build_audit_messages(site.settings, site.store)
    assert found is not None
    return found


def kinds(repository: AuditRepository) -> list[tuple[str | None, str | None, str | None]]:
    """EventID, EventActionCode and EventTypeCode of each message."""
    return [
        (_code(event.find("EventID")), event.get("EventActionCode"), _code(event.find("EventTypeCode")))
        for text in repository.texts
        if (event := fromstring(text).find("EventIdentification")) is not None
    ]


def _code(element: Element | None) -> str | None:
    return None if element is None else element.get("originalText")


def test_without_the_table_nothing_waits(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    site.dicom(ecg(1, "SECRET1"))
    assert wiring.build_audit_messages(site.settings, site.store) is None
    assert site.store.audit_spool.untold().count == 0
    assert site.document("status")["audit_messages"] is None
    site.close()


def test_a_running_service_tells_each_act(site: Installation, repository: AuditRepository, tmp_path: Path) -> None:
    repository.plan(Fault.HALF, Fault.CLOSE_WITHOUT_NOTIFY)
    (hl7,) = site.settings.listeners.hl7
    listeners = site.settings.listeners.model_copy(
        update={"hl7": (hl7.model_copy(update={"allowed_senders": ("ECGFM-TEST",)}),)}
    )
    strict = site.settings.model_copy(update={"listeners": listeners})
    service = Service(strict, "all", site.store)
    service.start()
    try:
        named = Patient(identifiers=ecg(2, "SECRET2").patient.identifiers, family_name="CANARYBIRD", given_name="ADA")
        cart.send([dicom_writer.write_ecg(ecg(2, patient=named))], host="127.0.0.1", port=service.ports["dicom"])
        with MllpCart("127.0.0.1", service.ports["hl7"]) as stranger:
            assert stranger.send(oru_writer.write_ecg(ecg(9, "SECRET9"), control_id="X", sent_at=NOW)).code == "AR"
        (tmp_path / "drop" / "SECRET3.xml").write_bytes(aecg_writer.write_ecg(ecg(3, "SECRET3")))
        wait_until(lambda: len(site.ehr.messages) >= 2)
        assert site.command("show", 1, "--phi")[0] == 0
        file = tmp_path / "export.dcm"
        assert site.command("payloads", "export", 1, "--out", file, "--reason", "x")[0] == 0
        broken = Condition(name="audit-broken", severity="critical", text="x")
        never = timedelta(days=1)
        site.store.alerts.look([broken], routes=(), clear_after=never, escalate_after=never, now=NOW, actor="alerts")
        wait_until(lambda: ("Security Alert", "E", "Node Authentication") in kinds(repository))
        wait_until(lambda: not site.store.audit_spool.untold().count)
    finally:
        service.stop()
    assert set(kinds(repository)) == {
        ("Application Activity", "E", "Application Start"),
        ("Application Activity", "E", "Application Stop"),
        ("DICOM Instances Transferred", "C", None),
        ("Import", "C", None),
        ("Patient Record", "R", None),
        ("Export", "R", None),
        ("Security Alert", "E", "Node Authentication"),
        ("Security Alert", "E", "Audit trail does not hold together"),
    }
    assert [found for text in repository.texts for found in faults(text)] == []
    assert site.store.audit_spool.untold().count == 0
    for text in repository.texts:
        assert b"CANARY" not in text
        patients = [
            one.get("ParticipantObjectID")
            for one in fromstring(text).iter("ParticipantObjectIdentification")
            if one.get("ParticipantObjectTypeCodeRole") == "1"
        ]
        assert text.count(b"SECRET") == len(patients), "a number stands where the standard asks for it, only"
    _look_at_the_instances(repository)


def _look_at_the_instances(repository: AuditRepository) -> None:
    text = next(one for one in repository.texts if b"110104" in one)
    source, destination = fromstring(text).findall("ActiveParticipant")
    assert source.get("AlternativeUserID", "").startswith("AETITLES=")
    assert (source.get("NetworkAccessPointID"), source.get("UserIsRequestor")) == ("127.0.0.1", "true")
    assert destination.get("AlternativeUserID") == "AETITLES=ECGFM"
    study, patient = fromstring(text).findall("ParticipantObjectIdentification")
    assert study.find("ParticipantObjectDescription/SOPClass/Instance") is not None
    assert patient.get("ParticipantObjectID") == "SECRET2^^^TESTHOSP"
    alert = next(one for one in repository.texts if b"110126" in one)
    detail = fromstring(alert).find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail is not None
    assert base64.b64decode(detail.get("value", "")) == b"unknown-sender at listener hl7"


def test_what_hl7_brings_and_a_person_corrects_is_a_patient_record(
    site: Installation, repository: AuditRepository
) -> None:
    site.mllp(oru_writer.write_ecg(ecg(1, "SECRET1"), control_id="M1", sent_at=NOW))
    code, _ = site.command("correct", 1, "--wrong-patient", "--force", "--yes", answer="TESTHOSP|MR|SECRET2\n")
    assert code == 0
    sender(site).run()
    assert kinds(repository) == [("Patient Record", "C", None), ("Patient Record", "U", None)]
    assert [found for text in repository.texts for found in faults(text)] == []


def test_an_act_and_its_message_are_one_transaction(site: Installation) -> None:
    with suppress(InterruptedError), site.store.database.writing(NOW, "somebody") as tx:
        tx.note("caller.rejected", listener="hl7", reason="unknown-sender", peer="192.0.2.7")
        raise InterruptedError
    assert site.store.audit_spool.untold().count == 0
    with site.store.database.writing(NOW, "somebody") as tx:
        tx.note("caller.rejected", listener="hl7", reason="unknown-sender", peer="192.0.2.7")
        tx.note("store.compressed")  # is told to nobody
    untold = site.store.audit_spool.untold()
    assert (untold.count, untold.oldest) == (1, NOW)


def test_while_the_repository_is_away_everything_waits_in_order(
    site: Installation, repository: AuditRepository
) -> None:
    for number in range(BATCH + 20):
        detail = {"listener": "hl7", "reason": "unknown-sender", "peer": f"192.0.2.{number}"}
        site.store.audit_spool.note("caller.rejected", now=NOW, actor="somebody", detail=detail)
    repository.plan(Fault.RESET_AT_ONCE, Fault.HALF)
    sending = sender(site)
    for _ in range(2):
        with pytest.raises(Unreachable):
            sending.run()
    waiting = site.document("status")["audit_messages"]
    assert waiting["waiting"] == BATCH + 20
    assert waiting["oldest_seconds"] is not None
    assert f"{BATCH + 20} wait for the audit repository" in site.command("status")[1]
    del repository.messages[:]
    assert [sending.run() for _ in range(3)] == [BATCH, 20, 0]
    told = [fromstring(text).findall("ActiveParticipant")[1].get("UserID") for text in repository.texts]
    assert told == [f"192.0.2.{number}" for number in range(BATCH + 20)]


def test_one_process_sends_at_a_time(site: Installation, repository: AuditRepository) -> None:
    site.dicom(ecg(1, "SECRET1"))
    assert site.store.coordination.acquire(
        "audit messages", "another", now=wiring.utc_now(), duration=timedelta(minutes=1)
    )
    assert sender(site).run() == 0
    assert repository.messages == []


def test_check_tries_the_repository(site: Installation, repository: AuditRepository) -> None:
    assert "audit messages" in site.command("check")[1]
    repository.stop()
    code, said = site.command("check")
    assert code == 1
    assert "does not answer" in said


def test_three_lines_turn_it_on(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(THREE_LINES.format(certificate="us.crt", key="us.key", trusted="ca.crt"))
    read = read_settings(path)
    assert len(THREE_LINES.strip().splitlines()) == 3
    assert read.audit.messages is not None
    assert read.audit.messages.port == 6514
    assert read.certificates() == {"audit messages": tmp_path / "us.crt"}
    repository = wiring.build_audit_repository(read)
    assert repository is not None
    with pytest.raises(Misconfigured, match="TLS files"):
        repository.check()
