"""Each act on a person, and each sign-in at the console, is a valid audit message that names whom it concerns."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import httpx
import pytest
import typer
from argon2 import PasswordHasher
from defusedxml.ElementTree import fromstring

from ecgfm_clinical.auditing.composing import House, compose
from ecgfm_clinical.web import signing_in
from ecgfm_clinical.web.app import build_app, build_console
from ecgfm_clinical.web.server import WebPort
from ecgfm_clinical.web.users import Role, UsersFile
from ecgfm_connectors.audit.message import write
from tests.helpers.audit_schema import faults
from tests.helpers.fakes import Clock
from tests.helpers.installation import Installation, ecg, merge

pytestmark = pytest.mark.slow(12)

HOUSE = House(site="Test Hospital", host="scorer.test", destinations={})
TURNED_ON = """
[web]
users = "web-users"
[audit.messages]
host = "localhost"
tls = { certificate = "unread", key = "unread", trusted = "unread" }
"""
WHY = ("--reason", "WHY", "--yes")
PASSWORD = "a long test password"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more=TURNED_ON)
    yield site
    site.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an audit repository reads of one message."""

    event: str
    action: str
    kind: str  #: EventTypeCode
    outcome: str
    who: str  #: UserID of the requestor
    where: str  #: its network access point
    people: tuple[str, ...]  #: patients' numbers
    about: tuple[str, ...]  #: details of objects


def told(site: Installation) -> list[Told]:
    """Everything that waits, which is taken off; each is valid."""
    waiting = site.store.audit_spool.first(limit=1000)
    site.store.audit_spool.told([one.spool_id for one in waiting], now=waiting[-1].event.at, actor="test")
    texts = [write(message) for one in waiting if (message := compose(one, HOUSE)) is not None]
    assert [found for text in texts for found in faults(text)] == []
    return [_read(fromstring(text)) for text in texts]


def _read(message: Element) -> Told:
    (event,) = message.findall("EventIdentification")
    (requestor,) = [one for one in message.findall("ActiveParticipant") if one.get("UserIsRequestor") == "true"]
    objects = message.findall("ParticipantObjectIdentification")
    return Told(
        event=_code(event.find("EventID")),
        action=event.get("EventActionCode", ""),
        kind=_code(event.find("EventTypeCode")),
        outcome=event.get("EventOutcomeIndicator", ""),
        who=requestor.get("UserID", ""),
        where=requestor.get("NetworkAccessPointID", ""),
        people=tuple(
            one.get("ParticipantObjectID", "") for one in objects if one.get("ParticipantObjectTypeCodeRole") == "1"
        ),
        about=tuple(
            f"{one.get('type')}={base64.b64decode(one.get('value', '')).decode()}"
            for one in message.iter("ParticipantObjectDetail")
        ),
    )


def _code(element: Element | None) -> str:
    return "" if element is None else element.get("originalText", "")


def record(site: Installation, *words: object, answer: str = "") -> Told:
    """What one command told."""
    code, said = site.command(*words, answer=answer)
    assert code == 0, said
    (one,) = told(site)
    assert "@" in one.who
    return one


def test_each_act_on_a_person_names_them(site: Installation) -> None:
    site.dicom(ecg(1, "SECRET1"))
    site.score()
    told(site)
    looked = record(site, "search", "--patient", answer="TESTHOSP|MR|SECRET1\n")
    assert (looked.event, looked.action, looked.people) == ("Query", "E", ("SECRET1^^^TESTHOSP",))
    nobody = record(site, "search", "--patient", answer="TESTHOSP|MR|SECRET404\n")
    assert (nobody.event, nobody.people) == ("Query", ())

    opened = record(site, "patient", "show", "--phi", answer="TESTHOSP|MR|SECRET1\n")
    assert (opened.event, opened.action, opened.people) == ("Patient Record", "R", ("SECRET1^^^TESTHOSP",))

    both = "TESTHOSP|MR|SECRET2\nTESTHOSP|MR|SECRET1\n"
    pair = ("SECRET2^^^TESTHOSP", "SECRET1^^^TESTHOSP")
    for words, answer, people in (
        (("link", "--force"), both, pair),
        (("merge", "--force"), both, pair),
        (("unmerge",), "TESTHOSP|MR|SECRET2\n", pair[:1]),
        (("object",), "TESTHOSP|MR|SECRET1\n", pair[1:]),
        (("object", "--lift"), "TESTHOSP|MR|SECRET1\n", pair[1:]),
    ):
        changed = record(site, "patient", *words, *WHY, answer=answer)
        assert (changed.event, changed.action, changed.people) == ("Patient Record", "U", people), words
    site.mllp(merge("SECRET2", "SECRET1"))
    (followed,) = told(site)
    assert (followed.people, set(followed.about)) == (pair, {"act=identity.merged"})

    withdrawn = record(site, "withdraw", 1, *WHY)
    assert (withdrawn.action, withdrawn.people) == ("U", pair[1:])


def test_an_erased_person_is_named_no_more(site: Installation) -> None:
    site.dicom(ecg(1, "SECRET1"))
    site.score()
    site.mllp(merge("SECRET2", "SECRET1"))
    assert site.command("search", "--patient", answer="TESTHOSP|MR|SECRET1\n")[0] == 0
    assert site.command("patient", "erase", *WHY, answer="TESTHOSP|MR|SECRET1\n")[0] == 0
    told_late = told(site)
    assert [one.action for one in told_late if one.event != "DICOM Instances Transferred"] == ["U", "E", "D"]
    assert {number for one in told_late for number in one.people} == {"unknown"}
    assert told_late[-1].about == ("act=patient.erased",)


def test_tables_that_are_taken_out_are_exports(site: Installation, tmp_path: Path) -> None:
    site.mllp(_troponin())
    told_first = site.document("outcomes", "list")
    assert len(told_first) == 1
    exported = record(site, "outcomes", "export", tmp_path / "all.csv", "--phi")
    assert (exported.event, exported.action) == ("Export", "R")
    assert exported.about == ("count=1", "phi=True")
    for words in (("list",), ("show", told_first[0]["outcome_id"])):
        opened = record(site, "outcomes", *words, "--phi")
        assert (opened.event, opened.action, opened.people) == ("Patient Record", "R", ("SECRET7^^^TESTHOSP",))
    assert site.command("outcomes", "list")[0] == 0
    assert site.store.audit_spool.untold().count == 0


def _troponin() -> bytes:
    return (
        b"MSH|^~\\&|LAB|HOSP|ECGFM||20310101120000+0000||ORU^R01|L1|P|2.5.1\r"
        b"PID|1||SECRET7^^^TESTHOSP^MR||TESTFAMILY^ADA||19600517|F\r"
        b"OBR|1||F1|6598-7^Troponin T^LN|||20310101110000+0000\r"
        b"OBX|1|NM|6598-7^Troponin T.cardiac^LN||0.05|ng/mL|<0.014|H|||F|||20310101110000+0000\r"
    )


def test_signing_in_and_out_at_the_console(site: Installation, tmp_path: Path) -> None:
    hasher, clock = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1), Clock()
    UsersFile(tmp_path / "web-users", hasher).add("ada", Role.VIEWER, PASSWORD)
    console = build_console(site.settings, site.store, clock=clock, hasher=hasher)
    site.dicom(ecg(1, "SECRET1"))
    port = WebPort(build_app(console), host="127.0.0.1", port=0, tls=None)
    port.start()
    address = f"http://127.0.0.1:{port.port}"
    try:
        with httpx.Client(base_url=address, timeout=120, headers={"Origin": address}) as browser:
            told(site)
            for user in ("ada", "MySecretPassword1"):
                assert browser.post("/sign-in", data={"name": user, "password": "wrong"}).status_code == 401
            assert browser.post("/sign-in", data={"name": "ada", "password": PASSWORD}).status_code == 303
            assert browser.post("/ecgs/1/open").status_code == 200
            assert browser.get("/ecgs.csv").status_code == 200
            browser.post("/ecgs/of-patient", data={"authority": "TESTHOSP", "type": "MR", "value": "SECRET1"})
            assert browser.post("/sign-out").status_code == 303
            assert browser.post("/sign-in", data={"name": "ada", "password": PASSWORD}).status_code == 303
            clock.advance(hours=24)
            for _ in range(2):  # nobody comes by; it is noticed all the same, and once
                signing_in.note_ran_out(console)
            tries = [browser.post("/sign-in", data={"name": "ada", "password": "wrong"}).status_code for _ in range(8)]
            assert tries == [401] * 5 + [429] * 3
    finally:
        port.stop(grace=1)
    found = told(site)
    assert [(one.event, one.kind, one.outcome, one.who) for one in found] == [
        ("User Authentication", "Login", "4", "ada"),
        ("User Authentication", "Login", "4", "unknown"),
        ("User Authentication", "Login", "0", "ada"),
        ("Patient Record", "", "0", "ada"),
        ("Query", "", "0", "ada"),  # for further ECGs of the same person, which stand on the page
        ("Export", "", "0", "ada"),
        ("Query", "", "0", "ada"),
        ("User Authentication", "Logout", "0", "ada"),
        ("User Authentication", "Login", "0", "ada"),
        ("User Authentication", "Logout", "0", "ecgfm-clinical"),
        *[("User Authentication", "Login", "4", "ada")] * 6,  # five that failed, and the first that was not tried
    ]
    assert {one.where for one in found[:3]} == {"127.0.0.1"}
    assert "MySecretPassword1" not in str(site.store.care.trail())


def test_who_may_use_the_console_is_told(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: PASSWORD)
    added, changed, removed, made, revoked = (
        record(site, *words.split())
        for words in (
            "user add ada",
            "user add ada --role operator",
            "user remove ada",
            "token add lab --role viewer",
            "token revoke lab",
        )
    )
    assert {one.event for one in (added, changed, removed, made, revoked)} == {"Security Alert"}
    assert [one.kind for one in (added, removed)] == ["Security Roles Changed", "User security Attributes Changed"]
    assert changed.about == ("Alert Description=user changed, as operator, before as viewer",)
    assert made.about == ("Alert Description=token made, as viewer",)
    assert revoked.about == ("Alert Description=token revoked",)
    assert PASSWORD not in str(site.store.care.trail())


def test_an_act_that_is_refused_tells_nobody(site: Installation) -> None:
    """The act and its message are one transaction: neither is there without the other."""
    site.dicom(ecg(1, "SECRET1"))
    told(site)
    assert site.command("patient", "erase", *WHY, answer="TESTHOSP|MR|SECRET1\n")[0] == 1  # it waits for its score
    assert site.command("patient", "merge", *WHY, answer="TESTHOSP|MR|SECRET1\nTESTHOSP|MR|SECRET1\n")[0] == 1
    assert site.store.audit_spool.untold().count == 0
    assert "patient.erased" not in {one.action for one in site.store.care.trail()}
