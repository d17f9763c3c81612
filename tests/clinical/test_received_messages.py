"""Who asks by the number of a message that came in (MSH-10) finds what it gave, whoever else used that number."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgfm_connectors.testing import oru_writer
from tests.helpers.installation import AUTHORITY, Installation, adt, ecg

pytestmark = pytest.mark.slow(4)

SENT_AT = datetime(2031, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path)
    yield site
    site.close()


def recording(seed: int, who: str, control_id: str, *sender: str) -> bytes:
    told = (sender[0], sender[1]) if sender else ("CART", "WARD")
    return oru_writer.write_ecg(ecg(seed, who), control_id=control_id, sent_at=SENT_AT, sender=told)


def result(control_id: str, value: str = "28") -> bytes:
    segments = (
        f"MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||ORU^R01|{control_id}|P|2.5.1",
        f"PID|1||N1^^^{AUTHORITY}^MR||TESTFAMILY^ALEX||19550505|F",
        "OBR|1|P1|F1|TROP^Troponin^L|||20260301080000||||||||||||||||||F",
        f"OBX|1|NM|67151-1^Troponin T^LN||{value}|ng/L|<14||||F|||20260301081500",
    )
    return "".join(f"{one}\r" for one in segments).encode()


def test_show_and_search_find_the_ecg_that_a_message_brought(site: Installation) -> None:
    assert site.mllp(recording(1, "A", "CART-1")).code == "AA"
    assert site.mllp(recording(2, "B", "CART-2")).code == "AA"
    code, text = site.command("show", "CART-2")
    assert (code, text.split()[:2]) == (0, ["ECG", "2"])
    assert [one["ecg_id"] for one in site.document("search", "CART-2")] == [2]
    text = site.command("search", "CART-2")[1]
    assert "message of CART|WARD" in text
    assert "; ECG 2" in text
    assert "no ECG with that number" in site.command("show", "CART-3")[1]


def test_a_copy_of_a_recording_is_found_by_both_messages(site: Installation) -> None:
    site.mllp(recording(1, "A", "FIRST"))
    site.mllp(recording(1, "A", "AGAIN"))
    assert site.store.questions.counts().received == 1
    for number in ("FIRST", "AGAIN"):
        assert site.command("show", number)[1].startswith("ECG 1 "), number


def test_one_number_of_two_senders_is_never_guessed(site: Installation) -> None:
    site.mllp(recording(1, "A", "1001", "CART", "WARD3"))
    site.mllp(recording(2, "B", "1001", "MUSE", "EAST"))
    code, text = site.command("show", "1001")
    assert code == 1
    assert "2 recordings: ECGs 1, 2" in text
    assert "CART|WARD3" in text
    assert "MUSE|EAST" in text


def test_each_message_of_a_batch_brought_its_own(site: Installation, tmp_path: Path) -> None:
    batch = b"BHS|^~\\&\r" + recording(1, "A", "B-1") + recording(2, "B", "B-2") + b"BTS|2\r"
    file = tmp_path / "batch.hl7"
    file.write_bytes(batch)
    assert site.command("ingest", file)[0] == 0
    for number, ecg_id in (("B-1", 1), ("B-2", 2)):
        assert site.command("show", number)[1].startswith(f"ECG {ecg_id} "), number


def test_an_outcome_is_found_in_its_newest_version_and_a_refusal_with_its_payload(site: Installation) -> None:
    site.mllp(result("LAB-1"))
    site.mllp(result("LAB-2", "31"))
    (heard,) = site.store.search.heard("LAB-1")
    assert (heard.sender, heard.ecg_ids, heard.outcome_ids) == ("LIS|LAB", (), (2,))
    code, text = site.command("show", "LAB-1")
    assert code == 1
    assert "no ECG came by a message of this number" in text
    assert "outcome 2: `ecgfm-clinical outcomes show 2`" in text
    site.mllp(adt("A08", "PID|1", control_id="ADT-1").replace(b"ADT^A08", b"SIU^S12"))
    (kept,) = site.store.search.heard("ADT-1")
    assert kept.disposition == "refused"
    code, text = site.command("search", "ADT-1")
    assert code == 0
    assert f"payloads show {kept.payload_id}" in text


def test_an_erased_patient_is_found_by_no_message(site: Installation) -> None:
    site.mllp(recording(1, "GONE", "CART-1"))
    site.go_on()
    site.send_until(1)
    code, text = site.command("patient", "erase", "--reason", "court", "--yes", answer=f"{AUTHORITY}|MR|GONE\n")
    assert code == 0, text
    assert site.store.search.heard("CART-1") == []
    assert site.command("show", "CART-1")[0] == 1
