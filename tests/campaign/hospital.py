"""The hospital around the victims: carts that repeat until acknowledged, and receivers that misbehave at random."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.testing import cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.helpers.fakes import make_ecg
from tests.helpers.ports import LISTENERS

PATIENTS = 7  # few, so that each has many results whose order can be checked
CANARY = "CANARYBIRD"  #: family name of every patient here: it must never turn up in a log
MISBEHAVIOUR = (
    Fault.DROP_BEFORE_ACK,
    Fault.DROP_AFTER_ACK,
    Fault.RESET,
    Fault.DUPLICATE_ACK,
    Fault.FOREIGN_ACK,
    Fault.GARBAGE,
    Fault.HALF_ACK,
    Fault.WRONG_CONTROL_ID,
    Fault.AR_BUSY,
    Fault.AE,
    Fault.AR,
)
HEADS = frozenset({"reduced_lvef", "troponin", "interpretation"})  #: of the small model that scores here
REFUSALS = (Fault.AR_BUSY, Fault.AE, Fault.AR)

SETTINGS = (
    """
[site]
name = "Campaign Hospital"
authority = "TEST"
[store]
url = "{store}"
min_free_mb = 0
[model]
bundle = "tiny"
device = "cpu"
threads = 1
[scoring]
every_seconds = 0.2
batch_size = 4
lease_seconds = 30
max_attempts = 1000
"""
    + LISTENERS
    + """corrected_patient = "follow"
sender_withdrawal = "follow"
[[sources.folder]]
name = "drop"
path = "drop"
every_seconds = 0.2
stable_seconds = 0
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = {ehr}
ack_timeout_seconds = 1
[[destinations.hl7]]
name = "archive"
host = "127.0.0.1"
port = {archive}
ack_timeout_seconds = 1
[[destinations.fhir]]
name = "fhir"
url = "http://127.0.0.1:{fhir}/r4"
namespace = "https://campaign.example/ecgfm"
systems = {{ TEST = "https://campaign.example/mrn" }}
create_patients = true
timeout_seconds = 3
[[destinations.dicom]]
name = "pacs"
host = "127.0.0.1"
port = {pacs}
ae_title = "PACS"
answer_seconds = 3
without_waveform = "own-study"
"""
)


def payload(number: int) -> tuple[str, bytes]:
    """(source_id as the sender knows it, bytes) of ECG `number`; every third comes as HL7."""
    ecg = _ecg(number)
    if number % 3:
        return ecg.source_id, dicom_writer.write_ecg(ecg)
    sent_at = datetime(2031, 1, 1, tzinfo=UTC)
    return f"CAMP{number:06d}", oru_writer.write_ecg(ecg, control_id=f"CAMP{number:06d}", sent_at=sent_at)


def dicom_file(number: int) -> bytes:
    """ECG `number` as a DICOM file."""
    return dicom_writer.write_ecg(_ecg(number))


def _ecg(number: int) -> Ecg:
    patient = Patient(
        identifiers=(Identifier(authority="TEST", value=f"{CANARY}{number % PATIENTS}"),),
        family_name=CANARY,
        given_name=f"NUMBER{number}",
    )
    return make_ecg(number, patient=patient)


class Carts:
    """Two carts, one a protocol, each sending its next ECG until it is acknowledged, then the one after."""

    def __init__(self, dicom_port: int, hl7_port: int, *, pace: float) -> None:
        """`pace`: seconds between two ECGs of one cart."""
        self._ports = {"dicom": dicom_port, "hl7": hl7_port}
        self._pace = pace
        self._stop = threading.Event()
        self.acknowledged: dict[str, list[bytes]] = {"dicom": [], "hl7": []}
        self._threads = [
            threading.Thread(target=self._run, args=(kind, send))
            for kind, send in (("dicom", self._c_store), ("hl7", self._mllp))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No new ECGs; the ones under way are repeated until they are acknowledged."""
        self._stop.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self, kind: str, send: Callable[[bytes], bool]) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            if (kind == "hl7") != (number % 3 == 0):
                continue
            _, content = payload(number)
            while not send(content):
                threading.Event().wait(0.1)
            self.acknowledged[kind].append(content)
            self._stop.wait(self._pace)

    def _c_store(self, content: bytes) -> bool:
        try:
            (answer,) = cart.send([content], host="127.0.0.1", port=self._ports["dicom"], timeout=5.0)
        except ConnectorError:
            return False
        return answer.status == 0x0000

    def _mllp(self, content: bytes) -> bool:
        try:
            with MllpCart("127.0.0.1", self._ports["hl7"], timeout=5.0) as sender:
                return sender.send(content).code == "AA"
        except ConnectorError:
            return False


class MoodyReceiver(EhrReceiver):
    """Misbehaves at every fifth message or so, until it is told to behave."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.behaves = False
        self.accepted: list[bytes] = []  #: what it took, whatever it answered; not what it refused

    def _keep(self, body: bytes) -> Fault:
        fault = super()._keep(body)
        if not self.behaves and self._chance.random() <= 0.2:
            fault = self._chance.choice(MISBEHAVIOUR)
        if fault not in REFUSALS:
            self.accepted.append(body)
        return fault


def write_settings(folder: Path, *, store: str, **ports: int) -> Path:
    """A settings file and a small model in `folder`."""
    from tests.helpers.tiny_models import write_tiny_bundle

    write_tiny_bundle(folder / "tiny")
    path = folder / "settings.toml"
    path.write_text(SETTINGS.format(store=store, **ports), encoding="utf-8")
    return path
