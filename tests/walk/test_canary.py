"""Nothing that a full run writes names a patient: logs, standard output, error texts, the audit trail, process titles,
the database, metrics, alerts. An audit message names one by number, where the standard asks for it, and nowhere else.

Every name, number and free text here is a canary, also where it does not belong: in versions, charsets, types, file
names and in what the receiver answers. The store is encrypted, so its file is searched, too.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import tostring

import pytest
from defusedxml.ElementTree import fromstring

from ecgfm_clinical import cli
from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.testing import aecg_writer, cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault
from ecgfm_connectors.testing.mllp_cart import MllpCart
from ecgfm_connectors.tls import TlsFiles
from tests.helpers.audit_repository import AuditRepository
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.fakes import make_ecg, wait_until
from tests.helpers.fhir_server import Fault as FhirFault
from tests.helpers.fhir_server import Refusal, StrictFhirServer, outcome
from tests.helpers.ports import LISTENERS
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow(20)

CANARY = re.compile(rb"canary", re.IGNORECASE)
NOW = datetime(2031, 1, 1, tzinfo=UTC)
CANARY_SAYS = json.dumps(outcome("canary", "Patient CANARYBIRD has no such number CANARY4711")).encode()
SETTINGS = (
    """
[store]
url = "sqlite:///store.db"
key_file = "keys"
min_free_mb = 0
[model]
bundle = "tiny"
device = "cpu"
[scoring]
every_seconds = 0.2
"""
    + LISTENERS
    + """[[sources.folder]]
name = "drop"
path = "drop"
every_seconds = 0.2
stable_seconds = 0
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = {ehr}
[[destinations.file]]
name = "folder"
path = "results"
[[destinations.fhir]]
name = "fhir"
url = "http://127.0.0.1:{fhir}/r4"
namespace = "https://hospital.example/ecgfm"
systems = {{ TESTHOSP = "https://hospital.example/mrn" }}
create_patients = true
[monitoring]
port = {monitoring}
[alerts]
every_seconds = 5
[[alerts.command]]
name = "told"
command = ["sh", "-c", "cat >> '{folder}/alerts.txt'"]
"""
)
AUDITED = """
[audit.messages]
host = "localhost"
port = {port}
tls = {{ certificate = "{tls.certificate}", key = "{tls.key}", trusted = "{tls.trusted}" }}
"""


def ecg(number: int) -> Ecg:
    patient = Patient(
        identifiers=(Identifier(authority="TESTHOSP", value=f"CANARY4711{number}"),),
        family_name="CANARYBIRD",
        given_name=f"Canaryna{number}",
    )
    order = Order(placer="CANARYORDER", filler="CANARYFILLER", accession="CANARYACC")
    return make_ecg(number, patient=patient, order=order, statements=("Canary rhythm",))


def messages() -> Iterator[bytes]:
    """One good message, and what becomes of it where something is damaged or in the wrong place."""
    good = oru_writer.write_ecg(ecg(1), control_id="M1", sent_at=NOW)
    yield good
    head, rest = good.split(b"\r", 1)
    fields = head.split(b"|")
    for place in (4, 8, 10, 11, 17):  # facility, type, processing id, version, charset
        changed = [*fields, *[b""] * (18 - len(fields))]
        changed[place] = b"CANARYWORD"
        changed[9] = b"M%d" % place
        yield b"|".join(changed) + b"\r" + rest
    yield good.replace(b"|ED|", b"|CANARY|")
    yield good.replace(b"^Base64^", b"^CANARY64^")
    yield good[: len(good) // 2]
    yield b"CANARYBIRD is no message"
    yield (
        b"MSH|^~\\&|A|B|C|D|20310101||ADT^A40|M40|P|2.5\r"
        b"PID|1||CANARY4711^^^TESTHOSP||CANARYBIRD\rMRG|CANARY4712^^^TESTHOSP\r"
    )
    yield b"MSH|^~\\&|A|B|C|D|20310101||ADT^A40|M41|P|2.5\rPID|1||CANARY4711\rMRG|CANARY\r"


def files() -> Iterator[tuple[str, bytes]]:
    good = aecg_writer.write_ecg(ecg(2))
    yield "CANARYBIRD_CANARY4712.xml", good
    yield "canary-cut.xml", good[: len(good) // 2]
    yield "canary-entity.xml", b'<!DOCTYPE canary [<!ENTITY canary "CANARYBIRD">]>' + good
    yield "canary-units.xml", good.replace(b'unit="uV"', b'unit="CANARY"')
    dicom = dicom_writer.write_ecg(ecg(3))
    yield "canary.dcm", dicom
    yield "canary-cut.dcm", dicom[: len(dicom) // 2]
    yield "canary.txt", b"Dear CANARYBIRD, CANARY4712"


def command(*words: str, answer: str = "") -> bytes:
    """Everything that one command writes; also its exception, were one to escape."""
    out, patch = io.StringIO(), pytest.MonkeyPatch()
    patch.setattr(sys, "argv", ["ecgfm-clinical", *words])
    patch.setattr(sys, "stdin", io.StringIO(answer))
    with patch.context(), redirect_stdout(out), redirect_stderr(out), suppress(SystemExit):
        cli.main()
    patch.undo()
    return out.getvalue().encode()


def titles() -> bytes:
    """What anyone on the machine sees of our processes: their command lines, names, and those of their threads."""
    seen = b""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (process / "cmdline").read_bytes()
            if b"ecgfm" in line:
                seen += line + (process / "comm").read_bytes()
                seen += b"".join(thread.read_bytes() for thread in process.glob("task/*/comm"))
    return seen


def metrics(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        found: bytes = answer.read()
    return found


def alerts(folder: Path) -> bytes:
    """Everything that was told by the channel."""
    told = folder / "alerts.txt"
    return told.read_bytes() if told.exists() else b""


def audit_repository(folder: Path) -> tuple[AuditRepository, TlsFiles] | None:
    """A repository and our own certificate; None where there is no openssl to make certificates."""
    if shutil.which(OPENSSL) is None:
        return None
    folder.mkdir()
    authority = CertificateAuthority(folder)
    return AuditRepository(authority.issue("server")), authority.issue("client")


def without_patient_numbers(message: bytes) -> bytes:
    """An audit message without the identifiers of its patients, which the standard asks for."""
    root = fromstring(message)
    for one in root.iter("ParticipantObjectIdentification"):
        if one.get("ParticipantObjectTypeCodeRole") == "1":
            one.set("ParticipantObjectID", "")
    return bytes(tostring(root))


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system shows no process titles in /proc")
def test_nothing_that_a_full_run_writes_names_a_patient(tmp_path: Path, free_port: Callable[[], int]) -> None:
    ports = {name: free_port() for name in ("dicom", "hl7", "monitoring")}
    ehr = EhrReceiver()
    ehr.start()
    server = StrictFhirServer()  # three results are taken, all others refused in words that name somebody
    server.behaviour = [
        FhirFault.NONE,
        FhirFault.CUT_OFF,
        FhirFault.ENTRY_FAILED,
        *[Refusal(422, body=CANARY_SAYS)] * 50,
    ]
    server.__enter__()
    ehr.plan(Fault.AE, Fault.AR_BUSY, Fault.GARBAGE, Fault.HALF_ACK, Fault.RESET)
    write_tiny_bundle(tmp_path / "tiny")
    for folder in ("drop", "results"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "settings.toml"
    repository = audit_repository(tmp_path / "tls")
    audited = AUDITED.format(port=repository[0].port, tls=repository[1]) if repository else ""
    path.write_text(SETTINGS.format(**ports, ehr=ehr.port, fhir=server.port, folder=tmp_path) + audited)
    written = [command("keys", "new", "--settings", str(path)), command("migrate", "--settings", str(path))]
    with (tmp_path / "run.log").open("wb") as log:
        words = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()", "run", "--settings", str(path)]
        service = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_until(lambda: b"service.started" in (tmp_path / "run.log").read_bytes(), timeout=120)
        for message in messages():
            with suppress(ConnectorError), MllpCart("127.0.0.1", ports["hl7"], timeout=5) as sender:
                sender.send(message)
        for number in (4, 5):
            cart.send([dicom_writer.write_ecg(ecg(number))], host="127.0.0.1", port=ports["dicom"])
        for name, content in files():
            (tmp_path / "drop" / name).write_bytes(content)
        ehr.wait_for(6, timeout=120)
        wait_until(lambda: len(server.received) >= 5, timeout=120)
        written.append(titles())
        wait_until(lambda: not any(one.is_file() for one in (tmp_path / "drop").iterdir()), timeout=120)
        looks = ("status", "status --json", "audit", "audit --verify", "check", "show 1", "show 1 --json", "retain")
        acts = ("replay 1", "replay --refused", "replay --dead", "withdraw 1 --yes", "backup {copy}")
        for line in (*looks, *acts, "show 999", "show CANARYBIRD"):
            words = [word.format(copy=tmp_path / "copy.db") for word in line.split()]
            written.append(command(*words, "--settings", str(path)))
        moved = command(
            *("correct", "2", "--wrong-patient", "--force", "--yes", "--settings", str(path)),
            answer="TESTHOSP|MR|CANARY4713\n",
        )
        again = replace(ecg(4), patient=ecg(5).patient)  # the same recording under another patient: held for a person
        cart.send([dicom_writer.write_ecg(again)], host="127.0.0.1", port=ports["dicom"])
        for line in ("held list", "held list --json", "held show 1", "held show 1 --json", "status", "status --json"):
            written.append(command(*line.split(), "--settings", str(path)))
        numbers = "TESTHOSP|MR|CANARY47114\nTESTHOSP|MR|CANARY47115\n"
        for line in (
            "show",
            "show --json",
            "merge --reason x --yes",
            "unmerge --reason x --yes",
            "link --reason x --yes",
        ):
            written.append(command("patient", *line.split(), "--settings", str(path), answer=numbers))
        written.append(command("patient", "show", "--settings", str(path), answer="CANARY4711\n"))
        typed = "TESTHOSP|MR|CANARY99\n"
        for line in ("held release 1 --reason x --wrong-patient --yes", "held release 1 --reason x --yes", "audit"):
            written.append(command(*line.split(), "--settings", str(path), answer=typed))
        written += [moved, titles(), command("show", "1", "--png", str(tmp_path / "ecg.png"), "--settings", str(path))]
        wait_until(lambda: b"payloads-need-a-look" in alerts(tmp_path))
        wait_until(lambda: b"ecgfm_store_up 1.0" in metrics(ports["monitoring"]))
        written += [metrics(ports["monitoring"]), alerts(tmp_path)]
    finally:
        service.terminate()
        service.wait(60)
        ehr.stop()
        server.__exit__()
        if repository:
            repository[0].stop()
    assert b"messages will be sent" in moved
    for said in (
        b"corrected-patient",
        b"identity.merged",
        b"identity.unmerged",
        b"identity.linked",
        b"recording.released",
    ):
        assert any(said in text for text in written), said
    assert any(b"refused by the receiver" in text for text in written)
    assert CANARY.search(b"".join(server.accepted))
    assert CANARY.search(b"".join(ehr.messages)), "the messages do name patients: the canaries sing where they should"
    if repository:
        assert {b"110104", b"110106", b"110107", b"110110"} <= {
            kind for text in repository[0].texts for kind in re.findall(rb'EventID csd-code="(\d+)"', text)
        }
        written += [without_patient_numbers(text) for text in repository[0].texts]
    files_written = [one for one in tmp_path.iterdir() if one.is_file()]
    assert {"store.db", "copy.db", "run.log"} <= {one.name for one in files_written}
    for where, text in [*enumerate(written), *((one.name, one.read_bytes()) for one in files_written)]:
        found = CANARY.search(text)
        assert not found, f"{where} says {text[max(0, found.start() - 200) : found.end() + 50]!r}"
