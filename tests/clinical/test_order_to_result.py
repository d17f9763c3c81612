"""From the order to the result that answers it, by the wire alone; and a receiver that places the order itself."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecgfm_connectors.ecg import Order
from ecgfm_connectors.hl7.framing import frame
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault, acknowledge
from tests.helpers.fakes import make_ecg
from tests.helpers.installation import Installation, first, patient, pid

pytestmark = pytest.mark.slow(15)

MATCHED = '\n[orders]\nanswer = "matched"\n'


class Cpoe:
    """An ordering system; each word about an order comes a second after the one before it."""

    def __init__(self) -> None:
        self._said = itertools.count(1)

    def orm(
        self, number: str, *, control: str = "NW", who: str = "P1", placer: str = "P", accession: str = "A"
    ) -> bytes:
        """ORM^O01 about the order of this number."""
        said = next(self._said)
        numbers = f"{placer}{number}^CPOE|F{number}^MUSE"
        segments = (
            f"MSH|^~\\&|CPOE|HOSP|ECGFM||203101011200{said:02d}+0000||ORM^O01^ORM_O01|O{said}|P|2.5.1",
            pid(who),
            f"ORC|{control}|{numbers}",
            f"OBR|1|{numbers}|93000^ECG^C4{'|' * 14}{accession}{number}",
        )
        return "".join(f"{one}\r" for one in segments).encode()


#: Reason -> what the CPOE says, and the numbers that the ECG came with.
REASONS: dict[str, tuple[list[dict[str, Any]], Order]] = {
    "matched": ([{}], Order(placer="P", accession="A")),
    "no-number": ([{}], Order()),
    "no-order": ([{}], Order(accession="B")),
    "other-patient": ([{"who": "P2"}], Order(accession="A")),
    "several": ([{}, {"placer": "Q"}], Order(accession="A")),
    "two-people": ([{}, {"who": "P2"}], Order(accession="A")),
    "contradicting": ([{}], Order(placer="P", accession="B")),
    "cancelled": ([{}, {"control": "CA"}], Order(accession="A")),
    "on-hold": ([{}, {"control": "HD"}], Order(accession="A")),
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, more=MATCHED)
    yield made
    made.close()


def test_a_result_answers_its_order_or_says_why_it_answers_none(house: Installation) -> None:
    cpoe = Cpoe()
    for number, (orders, told) in enumerate(REASONS.values(), start=1):
        for one in orders:
            assert house.mllp(cpoe.orm(str(number), **one)).code == "AA"
        numbers = Order(
            placer=told.placer and f"{told.placer}{number}", accession=told.accession and f"{told.accession}{number}"
        )
        house.dicom(make_ecg(number, patient=patient("P1"), order=numbers))
    house.score()
    house.send_until(len(REASONS))
    reasons = [house.document("show", ecg_id)["orders"]["reason"] for ecg_id in range(1, len(REASONS) + 1)]
    assert reasons == list(REASONS)
    answered = [one for one in house.ehr.messages if first(one, "OBR", 2)]
    (result,) = answered
    assert first(result, "OBR", 2) == first(result, "ORC", 2) == "P1^CPOE"
    assert first(result, "OBR", 3).startswith("ECGFM-")
    assert first(result, "OBR", 18) == "A1"


class PlacingLis(EhrReceiver):
    """Takes ORU^R30 and answers ORA^R33 (HL7 2.5.1 chapter 7): MSH, MSA, ERR where it refuses, ORC."""

    def _answer(self, connection: socket.socket, body: bytes, fault: Fault) -> None:
        code = {Fault.AE: "AE", Fault.AR: "AR"}.get(fault, "AA")
        msh, *more = acknowledge(body, code, condition="204").rstrip(b"\r").split(b"\r")
        fields = msh.split(b"|")
        fields[8] = b"ORA^R33^ORA_R33"
        told = first(body, "ORC", 3).encode()
        orc = b"ORC|OK|P-9^LIS|" + told if code == "AA" else b"ORC|UA|P-8^LIS|" + told
        connection.sendall(frame(b"\r".join((b"|".join(fields), *more, orc)) + b"\r"))


@pytest.fixture
def lis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Installation]:
    monkeypatch.setattr("tests.helpers.installation.EhrReceiver", PlacingLis)
    made = Installation(tmp_path, destination='trigger = "R30"', more=MATCHED)
    yield made
    made.close()


def test_the_order_that_ora_r33_names_is_named_by_the_withdrawal(lis: Installation) -> None:
    lis.dicom(make_ecg(1, patient=patient("P1")))
    lis.score()
    lis.send_until(1)
    assert lis.command("withdraw", "1", "--reason", "wrong gain", "--yes")[0] == 0
    lis.send_until(2)
    asked, withdrawn = lis.ehr.messages
    assert (first(asked, "MSH", 8), first(asked, "ORC", 1), first(asked, "ORC", 2)) == ("ORU^R30^ORU_R30", "NW", "")
    assert first(withdrawn, "MSH", 8).startswith("ORU^R01")
    assert first(withdrawn, "OBR", 2) == "P-9^LIS"
    assert first(withdrawn, "OBX", 11) == "W"


@pytest.mark.parametrize("fault", [Fault.AE, Fault.AR])
def test_what_ora_r33_refuses_places_no_order(lis: Installation, fault: Fault) -> None:
    lis.ehr.plan(fault)
    lis.dicom(make_ecg(1, patient=patient("P1")))
    lis.score()
    lis.send()
    (message,) = lis.document("show", 1)["messages"]
    assert message["state"] == "set aside"
    assert "simulated refusal" in lis.command("show", "1", "--phi")[1]
    assert first(lis.ehr.messages[0], "MSH", 8) == "ORU^R30^ORU_R30"
    assert "P-8" not in lis.command("show", "1", "--phi")[1]
