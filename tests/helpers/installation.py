"""A whole installation on loopback that a test drives by hand:
bytes in, the EHR's mail out, an operator between them.
"""

import io
import json
import sys
from collections.abc import Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical import cli, scorers, wiring
from ecgfm_clinical.settings import read_settings
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Ack
from ecgfm_connectors.testing import dicom_writer
from ecgfm_connectors.testing.ehr import EhrReceiver
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.helpers import prepared
from tests.helpers.fakes import make_ecg, wait_until
from tests.helpers.tiny_models import copy_tiny_bundle

AUTHORITY = "TESTHOSP"
FILE = "sqlite:///staging.sqlite"
_SETTINGS = """
[site]
name = "Test Hospital"
authority = "TESTHOSP"
[store]
url = "{url}"
min_free_mb = 0
[model]
bundle = "tiny"
device = "cpu"
threads = 1
[[listeners.hl7]]
name = "hl7"
host = "127.0.0.1"
port = 0
{listener}
[[listeners.dicom]]
name = "dicom"
host = "127.0.0.1"
port = 0
{listener}
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = {ehr}
{destination}
"""


class Installation:
    """Settings, store, MLLP listener, scorer, sender and a receiver. Scores and sends only when told to."""

    def __init__(
        self, folder: Path, *, listener: str = "", destination: str = "", more: str = "", url: str = FILE
    ) -> None:
        """`url`: of a database with a store's schema; a file in the folder if not given."""
        self.ehr = EhrReceiver()
        self.ehr.start()
        copy_tiny_bundle(folder / "tiny")
        self.path = folder / "settings.toml"
        written = _SETTINGS.format(url=url, listener=listener, destination=destination, ehr=self.ehr.port)
        self.path.write_text(written + more, encoding="utf-8")
        self.settings = read_settings(self.path)
        if url == FILE:
            prepared.copy_store(folder / "staging.sqlite")
        self.store = wiring.open_store(self.settings)
        self._mllp = next(
            one for one in wiring.build_listeners(self.settings, self.store) if "Mllp" in type(one).__name__
        )
        self._mllp.start()
        self._scorer = scorers.build_live_scorer(self.settings, self.store)

    def close(self) -> None:
        self._mllp.stop()
        self.store.close()
        self.ehr.stop()

    def mllp(self, message: bytes) -> Ack:
        """One message over the listener; the acknowledgement."""
        with MllpCart("127.0.0.1", self._mllp.port) as cart:
            return cart.send(message)

    def dicom(self, content: Ecg | bytes, *, transport: Any = "dicom") -> Verdict:
        """One DICOM object as the C-STORE listener hands it on."""
        content = dicom_writer.write_ecg(content) if isinstance(content, Ecg) else content
        received = Received(transport=transport, source="dicom", content=content, received_at=datetime.now(UTC))
        return wiring.build_ingest(self.settings, self.store, "dicom")(received)

    def score(self) -> None:
        while self._scorer.run_batch():
            pass

    def send(self) -> None:
        """Everything that is due now."""
        for reporter in wiring.build_reporters(self.settings, self.store):
            with closing(reporter):
                while reporter.run_batch():
                    pass

    def send_until(self, count: int) -> None:
        """Until the receiver has got so many messages, repeats included."""

        def got() -> bool:
            self.send()
            return len(self.ehr.messages) >= count

        wait_until(got)

    def go_on(self) -> None:
        self.score()
        self.send()

    @property
    def told(self) -> list[tuple[str, str]]:
        """What the receiver heard, in order: the first number in PID-3 and OBX-11 of the first observation."""
        return [(first(one, "PID", 3).split("^")[0], first(one, "OBX", 11)) for one in self.ehr.messages]

    def command(self, *words: object, answer: str = "") -> tuple[int, str]:
        """One command line with what is typed on standard input; its exit code and everything it wrote."""
        out, patch = io.StringIO(), pytest.MonkeyPatch()
        line = ["ecgfm-clinical", *map(str, words), "--settings", str(self.path)]
        patch.setattr(sys, "argv", line)
        patch.setattr(sys, "stdin", io.StringIO(answer))
        with patch.context(), redirect_stdout(out), redirect_stderr(out):
            try:
                cli.main()
                code: int | str | None = 0
            except SystemExit as ended:
                code = ended.code
        patch.undo()
        return (code if isinstance(code, int) else 0 if code is None else 1), out.getvalue()

    def document(self, *words: object) -> Any:
        """What a command writes with --json."""
        return json.loads(self.command(*words, "--json")[1])

    def needs_a_person(self) -> bool:
        return bool(self.document("status")["needs_attention"])


def first(message: bytes, segment: str, field: int) -> str:
    """One field of the first segment of this name, as it is written."""
    lines = message.decode("utf-8", "replace").split("\r")
    fields = next((line.split("|") for line in lines if line.startswith(segment + "|")), [])
    return fields[field] if field < len(fields) else ""


def number(value: str, *, authority: str = AUTHORITY, type: str = "MR") -> Identifier:
    return Identifier(authority=authority, type=type, value=value)


def patient(*numbers: str | Identifier, **more: Any) -> Patient:
    """An invented person under numbers of this hospital."""
    known = tuple(one if isinstance(one, Identifier) else number(one) for one in numbers)
    return Patient(identifiers=known, **({"family_name": "TESTFAMILY", "sex": "F"} | more))


def ecg(seed: int, *numbers: str | Identifier, **changes: Any) -> Ecg:
    """A recording of the person with these numbers."""
    given = {"patient": patient(*numbers)} if numbers else {}
    return make_ecg(seed, **(given | changes))


def adt(event: str, *segments: str, control_id: str = "", version: str = "2.5.1") -> bytes:
    """An ADT message; the segments after EVN as they are."""
    control_id = control_id or f"{event}-{abs(hash(segments)) % 10**10}"
    lines = [f"MSH|^~\\&|ADT|HOSP|ECGFM||20310101120000+0000||ADT^{event}|{control_id}|P|{version}", f"EVN|{event}"]
    return "".join(f"{line}\r" for line in (*lines, *segments)).encode()


def pid(*numbers: str, name: str = "TESTFAMILY^ADA", born: str = "19600517", sex: str = "F") -> str:
    """PID with these numbers of the hospital, or with whole CX values."""
    return f"PID|1||{cx(numbers)}||{name}||{born}|{sex}"


def cx(numbers: Sequence[str]) -> str:
    return "~".join(one if "^" in one else f"{one}^^^{AUTHORITY}^MR" for one in numbers)


def merge(retired: str, surviving: str, *, event: str = "A40") -> bytes:
    return adt(event, pid(surviving), f"MRG|{cx([retired])}", control_id=f"{event}{retired}{surviving}"[:20])
