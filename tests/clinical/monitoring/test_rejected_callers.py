"""Who is turned away at a port is counted and said; what an unknown sender sent is kept, unread, within bounds."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from ecgfm_clinical import log
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.monitoring.rejected_callers import MOST_LINES, SAID_AGAIN_AFTER, RejectedCallers
from ecgfm_clinical.pipeline.strangers import MOST_OF_ONE_ADDRESS, Strangers
from ecgfm_clinical.service.service import Service
from ecgfm_connectors.base import Received
from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.rejections import REASONS, Rejection
from ecgfm_connectors.testing import cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.clinical.monitoring.test_endpoint import figures
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(12)

NOW = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    log.setup(stream)
    yield stream
    log.setup()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more="\n[monitoring]\nport = 0\n")
    # Only the HL7 port has a list of senders; the settings of the helper serve both ports.
    (hl7,) = site.settings.listeners.hl7
    listed = hl7.model_copy(update={"allowed_senders": ("CART", "NAMED|WARD")})
    (dicom,) = site.settings.listeners.dicom
    strict = dicom.model_copy(update={"allowed_callers": ("CART1",)})
    listeners = site.settings.listeners.model_copy(update={"hl7": (listed,), "dicom": (strict,)})
    site.settings = site.settings.model_copy(update={"listeners": listeners})
    yield site
    site.close()


def message(sender: str, number: int = 1) -> bytes:
    """A good ECG by a sender of this MSH-3."""
    good = oru_writer.write_ecg(ecg(number, f"SECRET{number}"), control_id=f"M{number}", sent_at=NOW)
    head, rest = good.split(b"\r", 1)
    fields = head.split(b"|")
    fields[2] = sender.encode()
    return b"|".join(fields) + b"\r" + rest


def events(written: io.StringIO, name: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in lines if line["event"] == name]


def test_a_running_service_counts_and_says_whom_it_turns_away(site: Installation, written: io.StringIO) -> None:
    service = Service(site.settings, "all", site.store)
    service.start()
    try:
        ports = service.ports
        with MllpCart("127.0.0.1", ports["hl7"]) as stranger:
            assert [stranger.send(message("STRANGER", one)).code for one in (1, 2)] == ["AR", "AR"]
        with pytest.raises(Misconfigured):
            cart.send([dicom_writer.write_ecg(ecg(3))], host="127.0.0.1", port=ports["dicom"], calling="CART2")
        told = figures(service.monitoring_port)
    finally:
        service.stop()
    counted = {
        dict(labels)["reason"]: value
        for (name, labels), value in told.items()
        if name == "ecgfm_rejected_callers_total" and value
    }
    assert counted == {"unknown-sender": 2, "calling-ae-title": 1}
    said = {
        (line["level"], line["listener"], line["reason"], line["peer"]) for line in events(written, "caller.rejected")
    }
    assert said == {
        ("warning", "hl7", "unknown-sender", "127.0.0.1"),
        ("warning", "dicom", "calling-ae-title", "CART2@127.0.0.1"),
    }
    assert "SECRET" not in written.getvalue()
    kept = site.store.payloads.set_aside(limit=10)
    assert [(one.code, one.source, one.peer) for one in kept] == [("unknown-sender", "hl7", "127.0.0.1")] * 2
    assert site.store.questions.counts().received == 0


def test_a_level_says_whether_somebody_may_have_to_look(
    site: Installation, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event was `info`, so that a filter by level showed all of a bad night or nothing."""
    site.dicom(ecg(1))
    site.dicom(b"no recording at all")
    site.score()
    site.ehr.stop()
    site.send()

    def does_not_answer(*_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(site.store.intake, "record", does_not_answer)
    site.dicom(ecg(2))
    levels = {line["event"]: line["level"] for line in map(json.loads, written.getvalue().splitlines())}
    said = {"payload.staged": "info", "payload.unreadable": "warning", "payload.turned-away": "warning"}
    said |= {"ecg.scored": "info", "message.unacknowledged": "warning"}
    assert {name: levels[name] for name in said} == said


def received(content: bytes, peer: str = "192.0.2.7") -> Received:
    return Received(transport="mllp", source="hl7", content=content, received_at=datetime.now(UTC), peer=peer)


def test_what_is_kept_of_strangers_is_no_life_of_the_source_and_counts_as_no_failed_ecg(site: Installation) -> None:
    Strangers(site.store, clock=lambda: datetime.now(UTC), meters=Meters())(received(message("STRANGER")))
    assert site.store.movement.last_received(["hl7"]) == {"hl7": None}
    assert site.store.movement.arrivals("hl7", since=NOW.replace(year=2000), until=NOW.replace(year=2100)) == []
    assert site.store.movement.refused("hl7", NOW.replace(year=2000), NOW.replace(year=2100)) == (0, 0)
    assert site.store.questions.counts().failed == 0


def test_one_address_cannot_fill_the_store(site: Installation, written: io.StringIO) -> None:
    clock = [0.0]
    strangers = Strangers(site.store, clock=lambda: NOW, meters=Meters(), monotonic=lambda: clock[0])
    for number in range(MOST_OF_ONE_ADDRESS + 3):
        assert strangers(received(b"MSH|^~\\&|X|%d\r" % number)).code == "unknown-sender"
    assert len(site.store.payloads.set_aside(limit=1000)) == MOST_OF_ONE_ADDRESS
    assert len(events(written, "payload.not-kept")) == 3
    strangers(received(b"MSH|^~\\&|Y\r", peer="192.0.2.8"))  # another caller is heard all the same
    clock[0] += 86_400
    strangers(received(b"MSH|^~\\&|Z\r"))
    assert len(site.store.payloads.set_aside(limit=1000)) == MOST_OF_ONE_ADDRESS + 2


def test_all_addresses_together_cannot_fill_the_store(site: Installation) -> None:
    strangers = Strangers(site.store, clock=lambda: NOW, meters=Meters(), most_bytes=10_000)
    for number in range(20):
        strangers(received(b"MSH|^~\\&|X|%d|" % number + b"A" * 1000 + b"\r", peer=f"192.0.2.{number}"))
    kept = site.store.payloads.set_aside(limit=1000)
    assert 3 <= len(kept) <= 5
    assert sum(one.size for one in kept) < 10_000


def test_replay_takes_up_a_stranger_only_once_the_list_names_it(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    Strangers(site.store, clock=lambda: datetime.now(UTC), meters=Meters())(received(message("STRANGER")))
    port = 'name = "hl7"\n'
    site.path.write_text(site.path.read_text().replace(port, port + 'allowed_senders = ["CART"]\n'))
    assert site.document("replay", "--refused") == {"refused": 1}
    site.path.write_text(site.path.read_text().replace('["CART"]', '["CART", "STRANGER"]'))
    assert site.document("replay", "--refused") == {"staged": 1}
    assert site.store.questions.counts().received == 1
    site.close()


def test_a_caller_that_hammers_at_a_port_fills_no_log(written: io.StringIO) -> None:
    clock = [0.0]
    meters = Meters(sources=["hl7"])
    callers = RejectedCallers(meters, monotonic=lambda: clock[0])
    one = Rejection(listener="hl7", host="192.0.2.7", reason="address-not-allowed")
    for _ in range(500):
        callers(one)
    for number in range(500):
        callers(replace(one, host=f"2001:db8::{number:x}"))
    assert len(events(written, "caller.rejected")) == MOST_LINES
    clock[0] += SAID_AGAIN_AFTER
    callers(one)
    *_, before, now = events(written, "caller.rejected")
    assert (before["times"], now["times"]) == (499, 1)
    found = meters.registry.get_sample_value(
        "ecgfm_rejected_callers_total", {"listener": "hl7", "reason": "address-not-allowed"}
    )
    assert found == 1001


def test_a_reason_that_is_no_word_of_ours_becomes_no_label() -> None:
    meters = Meters(sources=["hl7"])
    meters.rejected("hl7", "SECRET")
    meters.rejected("SECRET", REASONS[0])
    samples = [one for family in meters.registry.collect() for one in family.samples]
    assert "SECRET" not in str([one.labels for one in samples])
