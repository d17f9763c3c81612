"""People find an ECG by the number that they have in hand, and what was set aside by its reason."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ecgfm_connectors.ecg import Ecg, Order
from tests.helpers.installation import AUTHORITY, Installation, ecg, first, merge

pytestmark = pytest.mark.slow(4)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path)
    yield site
    site.close()


def ordered(one: Ecg, *, placer: str = "", filler: str = "", accession: str = "") -> Ecg:
    return replace(one, order=Order(placer=placer, filler=filler, accession=accession))


def shown(site: Installation, *words: object) -> int:
    code, text = site.command("show", *words)
    assert code == 0, text
    return int(text.split()[1])


def test_show_takes_every_number_that_people_have_in_hand(site: Installation) -> None:
    site.dicom(ecg(1, "A"))
    wanted = ordered(ecg(2, "B"), placer="PLACER-7", filler="FILLER-7", accession="ACC7")
    site.dicom(wanted)
    site.go_on()
    site.send_until(2)
    message = next(one for one in site.ehr.messages if first(one, "PID", 3).startswith("B"))
    obr_3, msh_10 = first(message, "OBR", 3), message.split(b"|")[9].decode()
    for number in ("2", wanted.source_id, obr_3, obr_3.split("^")[0], msh_10, "ACC7", "PLACER-7", "FILLER-7"):
        assert shown(site, number) == 2, number
    code, text = site.command("show", "NOBODY-KNOWS-THIS")
    assert code == 1
    assert "no ECG with that number" in text


def test_a_number_of_two_recordings_is_never_guessed(site: Installation) -> None:
    site.dicom(ordered(ecg(1, "A"), accession="SHARED"))
    site.dicom(ordered(ecg(2, "B"), accession="SHARED"))
    site.dicom(ordered(ecg(3, "C"), accession="1"))  # an accession that is the id of another ECG
    code, text = site.command("show", "SHARED")
    assert code == 1
    assert "2 recordings: ECGs 1, 2" in text
    code, text = site.command("show", "1")
    assert code == 1
    assert "2 recordings: ECGs 1, 3" in text
    assert shown(site, "1", "--id") == 1
    assert [one["ecg_id"] for one in site.document("search", "SHARED")] == [2, 1]
    site.go_on()
    site.send_until(3)
    assert site.command("withdraw", "1", "--reason", "test", "--yes")[0] == 0  # who acts names an ECG by its id


def test_a_search_for_a_patient_finds_merged_numbers_and_is_audited(site: Installation) -> None:
    site.dicom(ecg(1, "OLD"))
    site.dicom(ecg(2, "NEW"))
    site.dicom(ecg(3, "OTHER"))
    assert site.mllp(merge("OLD", "NEW")).code == "AA"
    code, text = site.command("search", "--patient", answer=f"{AUTHORITY}|MR|NEW\n")
    assert code == 0
    assert re.findall(r"ECG (\d+) ", text) == ["2", "1"]
    assert "NEW" not in text.replace("AUTHORITY|TYPE|NUMBER", "")
    code, trail = site.command("audit")
    assert "patient.searched" in trail


def test_search_by_source_state_and_time(site: Installation) -> None:
    site.dicom(ecg(1, "A"))
    site.score()
    site.dicom(ecg(2, "B"))
    assert [one["ecg_id"] for one in site.document("search", "--state", "waiting")] == [2]
    assert [one["ecg_id"] for one in site.document("search", "--source", "dicom")] == [2, 1]
    assert site.document("search", "--until", "2001-01-01") == []
    assert len(site.document("search", "--since", "2001-01-01")) == 2
    code, text = site.command("search", "--state", "lost")
    assert code == 1
    assert "waiting, scored, not_evaluable, failed" in text


def test_an_erased_patient_is_found_by_no_number(site: Installation) -> None:
    site.dicom(ordered(ecg(1, "GONE"), accession="ACC-GONE"))
    assert shown(site, "ACC-GONE") == 1
    site.go_on()
    site.send_until(1)
    code, text = site.command("patient", "erase", "--reason", "court", "--yes", answer=f"{AUTHORITY}|MR|GONE\n")
    assert code == 0, text
    assert site.document("search", "ACC-GONE") == []


def test_show_draws_the_ecg(site: Installation, tmp_path: Path) -> None:
    site.dicom(ecg(1, "A"))
    code, text = site.command("show", "1", "--png", tmp_path / "one.png", "--pdf", tmp_path / "one.pdf")
    assert code == 0, text
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_payloads_set_aside_are_listed_shown_exported_and_resolved(site: Installation, tmp_path: Path) -> None:
    rubbish = b"SECRETNAME is not a recording"
    site.dicom(rubbish)
    site.dicom(rubbish)
    (one,) = site.document("payloads", "list")
    assert (one["source"], one["disposition"], one["repeats"]) == ("dicom", "refused", 1) or one["needs_a_person"]
    code, text = site.command("payloads", "show", one["payload_id"])
    assert code == 0
    assert one["code"] in text
    assert "payloads export" in text
    for raw in ("None", "False", "payload_id", "needs_a_person", "repeated_at", "+00:00"):
        assert raw not in text, "words for people, not the keys and values of a program"
    assert re.search(r"came again +once, last 20\d\d-", text)
    assert "SECRETNAME" not in text
    out = tmp_path / "as received"
    code, text = site.command("payloads", "export", one["payload_id"], "--out", out, "--reason", "vendor asks")
    assert code == 0, text
    assert out.read_bytes() == rubbish
    assert out.stat().st_mode & 0o777 == 0o600
    assert "payload.exported" in site.command("audit")[1]
    assert site.command("payloads", "export", one["payload_id"], "--out", out, "--reason", "again")[0] == 1
    if one["needs_a_person"]:
        assert site.command("payloads", "resolve", one["payload_id"], "--reason", "seen")[0] == 0
        assert not site.document("payloads", "list")[0]["needs_a_person"]
    assert site.document("payloads", "list", "--code", "no-such-code") == []
    assert site.command("payloads", "show", 999)[0] == 1
