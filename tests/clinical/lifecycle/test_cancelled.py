"""A sender takes back a whole order (OBR-25 X) or a whole document (MDM^T11), and says no more of its recordings."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.testing import oru_writer
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow

SENT = datetime(2031, 1, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def site(installed: Installation) -> Installation:
    return installed


def segments(recording: Ecg, control_id: str) -> list[bytes]:
    """MSH, PID, PV1, ORC, OBR and the OBX with the recording, which has no number of its own."""
    written = oru_writer.write_ecg(recording, control_id=control_id, sent_at=SENT, embed="aecg")
    return [line for line in written.split(b"\r") if line]


def order(
    control_id: str, *, order_status: str = "F", status: str = "F", value: bool = True, louder: float = 1
) -> bytes:
    """ORU^R01 of the order EKG-7; OBR-25 is `order_status`, OBX-11 `status`."""
    lines = segments(_louder(ecg(3, "A", order=Order(filler="EKG-7")), louder), control_id)
    lines = [line.removesuffix(b"|F") + b"|" + order_status.encode() if line[:3] == b"OBR" else line for line in lines]
    kept = [line for line in lines if value or line[:3] != b"OBX"]
    return b"\r".join(kept).replace(b"||||||F", f"||||||{status}".encode()) + b"\r"


def _louder(recording: Ecg, gain: float) -> Ecg:
    """The same recording, measured again with another gain."""
    return replace(recording, signal=(recording.signal * np.float32(gain)).astype(np.float32))


def document(
    event: str,
    control_id: str,
    *,
    number: str = "D1",
    replaces: str = "",
    filler: str = "",
    gain: float = 1,
    value: bool = True,
) -> bytes:
    """MDM of one document without an order."""
    lines = segments(_louder(ecg(3, "A"), gain), control_id)
    header = lines[0].replace(b"ORU^R01^ORU_R01", f"MDM^{event}^MDM_T02".encode())
    txa = f"TXA|1|EK|||||||||||{replaces}||{filler}"
    txa = "|".join([*txa.split("|")[:12], number, *txa.split("|")[13:]])
    kept = [line for line in lines[1:] if line[:3] == b"PID" or (value and line[:3] == b"OBX")]
    return b"\r".join([header, *kept[:1], txa.encode(), *kept[1:]]) + b"\r"


def _tell(site: Installation, message: bytes) -> None:
    assert site.mllp(message).code == "AA"
    site.go_on()


def test_a_cancelled_order_takes_its_recording_back(site: Installation) -> None:
    _tell(site, order("1"))
    _tell(site, order("2", order_status="X", value=False))
    assert [status for _, status in site.told] == ["F", "W"]


def test_an_order_status_counts_where_the_observation_has_none(site: Installation) -> None:
    _tell(site, order("1", status=""))
    _tell(site, order("2", order_status="X", status=""))
    assert [status for _, status in site.told] == ["F", "W"]


def test_an_order_that_is_cancelled_while_its_recording_stands_is_asked(site: Installation) -> None:
    _tell(site, order("1", order_status="X"))
    assert site.told == []
    (held,) = site.document("held", "list")["questions"]
    assert held["question"] == "sender-withdrawal"


LABORATORY = (b"11524-6^EKG study^LN", b"2345-7^Glucose^LN")


def test_the_cancel_of_an_order_that_may_be_another_departments_is_asked(site: Installation) -> None:
    """One engine sends under one name for everybody, and orders are counted in each department."""
    _tell(site, order("1"))
    _tell(site, order("2", order_status="X", value=False).replace(*LABORATORY))
    assert [status for _, status in site.told] == ["F"]
    assert site.needs_a_person()


def test_a_cancelled_order_of_the_laboratory_holds_no_ecg_that_comes_under_its_number(site: Installation) -> None:
    _tell(site, order("1", order_status="X", value=False).replace(*LABORATORY))
    _tell(site, order("2"))
    assert [status for _, status in site.told] == ["F"]
    assert not site.needs_a_person()


def test_an_order_cancelled_before_its_recording_came_is_asked(site: Installation) -> None:
    _tell(site, order("1", order_status="X", value=False))
    _tell(site, order("2"))
    assert site.told == []
    assert site.needs_a_person()


@pytest.mark.parametrize("filler", ["", "F7"])
def test_a_cancelled_document_takes_its_recording_back(site: Installation, filler: str) -> None:
    _tell(site, document("T02", "1", filler=filler))
    _tell(site, document("T11", "2", filler=filler, value=False))
    assert [status for _, status in site.told] == ["F", "W"]
    assert not site.needs_a_person()
    _tell(site, document("T02", "3", filler=filler))
    assert (len(site.told), site.needs_a_person()) == (2, True), "the same again: a person is asked"


@pytest.mark.parametrize("value", [True, False], ids=["sent again", "left out"])
def test_a_cancelled_document_may_carry_its_recording_again(site: Installation, value: bool) -> None:
    _tell(site, document("T02", "1"))
    _tell(site, document("T11", "2", value=value))
    assert [status for _, status in site.told] == ["F", "W"]


def test_a_document_cancelled_before_it_came_is_asked(site: Installation) -> None:
    _tell(site, document("T11", "1", value=False))
    _tell(site, document("T02", "2"))
    assert site.told == []
    assert site.needs_a_person()


@pytest.mark.parametrize(("event", "number", "replaces"), [("T08", "D1", ""), ("T10", "D2", "D1")])
def test_a_document_that_takes_the_place_of_another_corrects_it(
    site: Installation, event: str, number: str, replaces: str
) -> None:
    _tell(site, document("T02", "1"))
    _tell(site, document(event, "2", gain=1.2, number=number, replaces=replaces))
    assert [status for _, status in site.told] == ["F", "C"]
    _tell(site, document("T11", "3", value=False, number=number, replaces=replaces))
    assert [status for _, status in site.told] == ["F", "C", "W"]


def test_a_batch_is_followed_in_its_order(site: Installation) -> None:
    """Taken back and sent anew in one file: the newest word is the last one."""
    _tell(site, order("1"))
    anew = order("3", louder=1.2)
    _tell(site, order("2", order_status="X", value=False) + anew)
    assert [status for _, status in site.told] == ["F", "W", "F"]
    _tell(site, order("4", louder=1.4) + order("5", order_status="X", value=False))
    assert [status for _, status in site.told] == ["F", "W", "F", "W"]


def test_a_cancel_that_does_not_say_of_what_is_an_error(site: Installation) -> None:
    _tell(site, document("T02", "1"))
    answer = site.mllp(document("T11", "2", number="", value=False))
    assert (answer.code, answer.error_code) == ("AE", "102")
    site.go_on()
    assert [status for _, status in site.told] == ["F"]


def test_the_cancel_of_another_patients_document_is_asked(site: Installation) -> None:
    _tell(site, document("T02", "1"))
    _tell(site, document("T11", "2", value=False).replace(b"A^^^TESTHOSP", b"B^^^TESTHOSP"))
    assert [status for _, status in site.told] == ["F"]
    assert site.needs_a_person()
