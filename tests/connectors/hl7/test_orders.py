"""Orders as ordering systems send them: what is kept of each, and what is none of ours."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.placed_order import OrderTable, PlacedOrder
from ecgfm_connectors.reading import read

MSH = "MSH|^~\\&|CPOE|HOSP|ECGFM|HOSP|20310506070809+0000||{kind}|M1|P|2.5.1"
PID = "PID|1||4711^^^HOSP^MR||TESTPERSON^ADA||19500405|F"
ORC = "ORC|NW|P-1^CPOE^1.2.3^ISO|F-1^MUSE||SC||^^^20310506080000+0000||20310506070800|||77^HOUSE^GREG^^^^^^NPI&2.16&ISO"
OBR = "OBR|1|P-1^CPOE^1.2.3^ISO|F-1^MUSE|93000^ECG 12 lead^C4^ECG12^EKG^99SITE||||||||||||88^WILSON~99^CUDDY||ACC-1"


def message(*segments: str, kind: str = "ORM^O01^ORM_O01") -> bytes:
    return ("\r".join((MSH.format(kind=kind), *segments)) + "\r").encode()


def order(content: bytes, context: ReadingContext) -> PlacedOrder:
    (one,) = read(content, context).orders
    return one


def test_everything_that_an_order_says_is_kept(context: ReadingContext) -> None:
    one = order(message(PID, ORC, OBR), context)
    assert (one.control, one.status) == ("NW", "SC")
    assert (one.placer, one.filler, one.accession) == ("P-1^CPOE^1.2.3^ISO", "F-1^MUSE", "ACC-1")
    assert [known.identity for known in one.patient.identifiers] == [("hosp", "MR", "4711")]
    assert one.services == (("93000", "ECG 12 lead"), ("ECG12", "EKG"))
    assert one.provider == ((("88",), ("WILSON",)), (("99",), ("CUDDY",)))
    assert one.requested_at == datetime(2031, 5, 6, 8, tzinfo=UTC)
    assert one.said_at == datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert "4711" not in repr(one)
    assert "P-1" not in repr(one)


def test_the_provider_of_orc_stands_in_with_its_subcomponents(context: ReadingContext) -> None:
    one = order(message(PID, ORC, "OBR|1|||93000^ECG^C4"), context)
    assert one.provider[0][0] == ("77",)
    assert one.provider[0][8] == ("NPI", "2.16", "ISO")


def test_omg_and_omi_are_read_as_orm_is_and_ipc_holds_the_accession_number(context: ReadingContext) -> None:
    omg = order(message(PID, ORC, "TQ1|1||||||20310506090000+0000||R", OBR, kind="OMG^O19^OMG_O19"), context)
    assert (omg.placer, omg.accession) == ("P-1^CPOE^1.2.3^ISO", "ACC-1")
    assert omg.requested_at == datetime(2031, 5, 6, 9, tzinfo=UTC)
    omi = order(message(PID, ORC, OBR, "IPC|ACC-2^RIS|RP1|1.2.3", kind="OMI^O23^OMI_O23"), context)
    assert omi.accession == "ACC-2"


@pytest.mark.parametrize(
    ("field", "accession"), [("OBR-2", "P-1"), ("OBR-3", "F-1"), ("OBR-18", "ACC-1"), ("OBR-19", "")]
)
def test_the_site_says_where_the_accession_number_stands(field: Any, accession: str, context: ReadingContext) -> None:
    told = replace(context, order_table=OrderTable(accession=field))
    assert order(message(PID, ORC, OBR), told).accession == accession


def test_a_cancellation_needs_no_obr(context: ReadingContext) -> None:
    one = order(message(PID, "ORC|CA|P-1^CPOE"), context)
    assert (one.control, one.placer, one.services) == ("CA", "P-1^CPOE", ())


def test_orders_for_something_else_are_passed_over_beside_ours(context: ReadingContext) -> None:
    told = replace(context, order_table=OrderTable(codes=("ECG12",)))
    lab = ("ORC|NW|P-2^CPOE", "OBR|2|P-2^CPOE||24323-8^Metabolic panel^LN")
    assert [one.placer for one in read(message(PID, ORC, OBR, *lab), told).orders] == ["P-1^CPOE^1.2.3^ISO"]
    with pytest.raises(Refused) as caught:
        read(message(PID, *lab), told)
    assert caught.value.code == "other-order"


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        ((PID, "ORC|NW|P-1", "RXO|1"), "other-order"),
        ((PID, "ORC|UC|P-1", OBR), "event-not-followed"),
        ((PID, "ORC||P-1", OBR), "order-incomplete"),
        ((PID, "ORC|NW", "OBR|1|||93000^ECG^C4"), "order-incomplete"),
        (("PID|1||", ORC, OBR), "order-incomplete"),
        ((PID,), "order-incomplete"),
    ],
)
def test_what_is_no_order_for_us_says_why(segments: tuple[str, ...], code: str, context: ReadingContext) -> None:
    with pytest.raises(Refused) as caught:
        read(message(*segments), context)
    assert caught.value.code == code
    assert "4711" not in str(caught.value)


def test_an_incomplete_order_beside_a_good_one_waits_for_a_person(context: ReadingContext) -> None:
    found = read(message(PID, ORC, OBR, "ORC|NW", "OBR|2|||93000^ECG^C4"), context)
    assert len(found.orders) == 1
    assert [one.code for one in found.not_taken] == ["order-incomplete"]


def test_another_event_is_not_read(context: ReadingContext) -> None:
    with pytest.raises(Refused) as caught:
        read(message(PID, ORC, OBR, kind="ORM^O02"), context)
    assert caught.value.code == "unsupported-event"
