"""What pages ask of the store, on both databases: each filter, pages by key, acts on all that match, numbers, audit."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from ecgfm_clinical.staging.schema import score
from ecgfm_clinical.web import audit, dead, ecgs, outcomes, refused
from ecgfm_clinical.web.app import build_console
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Device, Order
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import HASHER, PASSWORD, add_users
from tests.clinical.web.test_pages import _numbers
from tests.helpers import prepared
from tests.helpers.installation import Installation, ecg, number
from tests.helpers.postgresql import PostgresqlServer
from tests.helpers.web_port import serving

pytestmark = pytest.mark.slow(15)

TROPONIN = (
    "MSH|^~\\&|LAB|HOSP|ECGFM||20310101120000+0000||ORU^R01|T{n}|P|2.5.1\r"
    "PID|1||A^^^TESTHOSP^MR||TESTFAMILY\r"
    "OBR|1||L{n}|TNT^Troponin T^L|||203101011{n}0000+0000\r"
    "OBX|1|NM|67151-1^Troponin T.cardiac^LN||{value}|ng/L|<14||||{status}|||203101011{n}0000+0000\r"
)


@dataclass(frozen=True, slots=True)
class Office:
    """An operator at a console in front of a store with something of everything."""

    site: Installation
    client: httpx.Client

    def found(self, **asked: str) -> list[int]:
        """ECGs on the page that this filter shows."""
        answer = self.client.get("/ecgs", params=asked)
        assert answer.status_code == 200, answer.text
        return _numbers(answer.text)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.create_database(template=server.schema)
    else:
        prepared.copy_store(folder / "staging.sqlite")
        url = "sqlite:///staging.sqlite"
    with ExitStack() as closing:
        site = Installation(folder, url=url, more='[web]\nusers = "web-users"\n')
        closing.callback(site.close)
        add_users(folder / "web-users")
        _fill(site)
        console = build_console(site.settings, site.store, hasher=HASHER, undo_for=timedelta(0))
        address = closing.enter_context(serving(console))
        client = closing.enter_context(httpx.Client(base_url=address, headers={"Origin": address}, timeout=120))
        client.post("/sign-in", data={"name": "operator", "password": PASSWORD})
        yield Office(site, client)


def _fill(site: Installation) -> None:
    """ECGs 1 to 5: of a Philips cart; of a flat lead; positive; negative; waiting, from elsewhere. Two messages that
    the EHR refused, two payloads that nobody can read, two results that were taken and two that were left out.
    """
    site.ehr.plan(Fault.AE, Fault.AE)
    flat = ecg(2, "B", order=Order(placer="PL2", filler="FI2", accession="ACC2"))
    signal = flat.signal.copy()
    signal[7] = 0
    site.dicom(replace(ecg(1, "A"), device=Device(manufacturer="Philips", model="TC70")))
    site.dicom(replace(flat, signal=signal))
    site.dicom(ecg(3, "A"))
    site.dicom(ecg(4, "C"))
    site.go_on()
    site.send_until(4)
    with site.store.database.writing(datetime.now(UTC), "test") as tx:  # the small model has no operating points
        one = (score.c.label == "reduced_lvef", score.c.probability.is_not(None))
        for scoring_id, positive in ((3, True), (4, False)):
            values = {"threshold": 0.5, "positive": positive}
            tx.connection.execute(update(score).where(*one, score.c.scoring_id == scoring_id).values(values))
    now = datetime.now(UTC)
    elsewhere = Received(transport="file", source="50%_drop", content=b"five", received_at=now)
    site.store.intake.record(elsewhere, Contents(ecgs=(ecg(5, "D"),)), now=now, actor="test")
    for damaged in (b"no DICOM at all", b"nor this"):
        site.dicom(damaged)
    for place, (value, status) in enumerate((("20", "F"), ("40", "F"), ("clotted", "F"), ("clotted", "F"))):
        site.mllp(TROPONIN.format(n=place, value=value, status=status).encode())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"state": "scored"}, [4, 3, 1]),
        ({"state": "not_evaluable"}, [2]),
        ({"state": "waiting"}, [5]),
        ({"source": "dicom", "state": "waiting"}, []),
        ({"source": "50%_drop"}, [5]),
        ({"device": "philips"}, [1]),
        ({"device": "%"}, []),
        ({"answer": "positive"}, [3]),
        ({"answer": "negative", "head": "reduced_lvef"}, [4]),
        ({"answer": "negative", "head": "troponin"}, []),
        ({"answer": "not-evaluable", "state": "not_evaluable"}, [2]),
        ({"reason": "flat-lead"}, [2]),
        ({"reason": "flat"}, []),
        ({"number": "ACC2"}, [2]),
        ({"number": "PL2"}, [2]),
        ({"number": "FI2"}, [2]),
        ({"number": "3"}, [3]),
        ({"number": "ACC2", "state": "waiting"}, []),
        ({"since": "9000-01-01"}, []),
        ({"until": "9000-01-01", "state": "waiting"}, [5]),
        ({"since": "2000-01-01T08:00", "until": "2000-01-02"}, []),
    ],
)
def test_every_filter_of_the_ecgs(office: Office, asked: dict[str, str], expected: list[int]) -> None:
    assert office.found(**asked) == expected
    lines = list(csv.DictReader(io.StringIO(office.client.get("/ecgs.csv", params=asked).text)))
    if "number" not in asked:
        assert {int(one["ecg"]) for one in lines} == set(expected)


def test_pages_of_ecgs_follow_by_key_with_any_filter(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecgs, "PER_PAGE", 2)
    seen, address = [], "/ecgs?source=dicom"
    while address:
        page = office.client.get(address).text
        seen.append(_numbers(page))
        address = _further(page, "/ecgs")
    assert seen == [[4, 3], [2, 1]]


def test_a_patient_is_found_under_the_number_of_the_form_alone(office: Office) -> None:
    who = number("A")
    form = {"authority": who.authority, "type": who.type, "value": who.value}
    assert _numbers(office.client.post("/ecgs/of-patient", data=form).text) == [3, 1]
    assert _numbers(office.client.post("/ecgs/of-patient", data={**form, "authority": "OTHER"}).text) == []


def test_outcomes_and_what_was_left_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    store, client = office.site.store, office.client
    assert [one.outcome.value for one in store.outcomes.newest(limit=9)] == [40.0, 20.0]
    first, second = store.outcomes.left_out(limit=9)
    reason = first.left_out.reason
    assert reason == second.left_out.reason
    assert "no result became a label" not in client.get("/outcomes", params={"kind": "troponin"}).text
    other = client.get("/outcomes", params={"kind": "lvef", "reason": "no such"}).text
    assert "no result became a label" in other
    assert "nothing was left out" in other
    monkeypatch.setattr(outcomes, "PER_PAGE", 1)
    page = client.get("/outcomes", params={"kind": "troponin", "reason": reason}).text
    assert "40" in page
    older = client.get(_further(page, "/outcomes")).text
    assert '<td data-name="value">20' in older
    assert '<td data-name="value">40' not in older
    assert older.count("Older ones") == 1, "of what was left out"


def test_the_audit_is_searched_by_the_beginning_of_act_and_actor(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def acts(**asked: str) -> list[str]:
        return re.findall(r"<td[^>]*>((?:ecg|message|payload|outcome|patient)\.[\w-]+)</td>", _audit(**asked))

    def _audit(**asked: str) -> str:
        answer = office.client.get("/audit", params=asked)
        assert answer.status_code == 200
        return answer.text

    every = acts(action="ecg.")
    assert set(acts(action="ecg.scored")) == {"ecg.scored"}
    assert acts(action="ecg_") == []
    assert acts(action="%") == []
    assert 0 < len(acts(action="ecg.", ecg="2")) < len(every)
    monkeypatch.setattr(audit, "PER_PAGE", 3)
    seen, address = [], "/audit?action=ecg."
    while address:
        page = office.client.get(address).text
        seen += re.findall(r"<td[^>]*>(ecg\.[\w-]+)</td>", page)
        address = _further(page, "/audit")
    assert seen == every


def test_refused_payloads_by_code_source_time_and_key(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = office.site.store.questions.refusals()

    def found(**asked: str) -> list[int]:
        chosen = office.client.get("/refused/preview", params={"act": "seen", **asked}).text
        return [int(one) for one in re.findall(r'name="payload" value="(\d+)"', chosen)]

    assert len(found(code=code, source="dicom", since="2000-01-01")) == 2
    assert found(code=code, source="nowhere") == found(code="no such") == found(since="9000-01-01") == []
    monkeypatch.setattr(refused, "PER_PAGE", 1)
    second = office.client.get(_further(office.client.get("/refused").text, "/refused")).text
    assert code in second
    assert _further(second, "/refused") == ""
    done = office.client.post("/refused/seen", data={"payload": found(code=code), "reason": "a test"})
    assert "2 payloads need nobody now" in done.text


def test_an_act_is_done_to_all_dead_letters_that_match(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead, "SHOWN", 1)
    first = office.client.get("/dead?destination=ehr").text
    assert _further(first, "/dead")
    assert office.client.get("/dead/preview?act=again&destination=nowhere").status_code == 404
    preview = office.client.get("/dead/preview?act=again&destination=ehr").text
    chosen = re.findall(r'name="message" value="(\d+)"', preview)
    assert len(chosen) == 2
    assert "2 messages will be sent" in office.client.post("/dead/again", data={"message": chosen}).text
    office.site.send_until(6)
    assert office.site.store.questions.dead_letters() == []


def _further(page: str, path: str) -> str:
    """The address of the next page; empty where there is none."""
    found = re.search(rf'href="({path}\?[^"]*\b(?:after|before)=[^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else ""
