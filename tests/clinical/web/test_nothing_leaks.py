"""What the console must never do, whatever is asked of it: fail, or tell who somebody is where that is hidden."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ecgfm_clinical import log
from ecgfm_clinical.web import api
from ecgfm_clinical.web.pages import PAGES
from ecgfm_clinical.web.tokens import TokensFile
from ecgfm_clinical.web.users import Role
from ecgfm_connectors.ecg import Order
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.testing import oru_writer
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web import fuzzing
from tests.clinical.web.conftest import Browser, add_users
from tests.helpers.fakes import make_ecg
from tests.helpers.installation import Installation

pytestmark = pytest.mark.slow(20)


@pytest.fixture
def site(store_url: str, tmp_path: Path) -> Iterator[Installation]:
    """On both databases: every page is asked for here."""
    made = Installation(tmp_path, more='[web]\nusers = "web-users"\n', url=store_url)
    add_users(tmp_path / "web-users")
    yield made
    made.close()


def test_no_request_is_answered_by_a_fault(store_url: str, tmp_path: Path) -> None:
    """A short form of what `python -m tests.clinical.web.fuzzing` does 100 000 times."""
    with fuzzing.console(tmp_path, store_url) as (address, token, _):
        found = fuzzing.tried(address, token, requests=300, seed=20)
    assert found.faults == ()
    assert {200, 400, 404} <= set(found.codes)
    assert found.codes[200] > 30  # most of what was asked got behind the door


#: Microseconds of a time, decimals of a probability, checksums: no date is written like this, and by chance one of the
#: many that the pages show holds the four digits of a year, other ones in each run and on each processor.
NO_YEAR = re.compile(r"(?<=:[0-5]\d)\.\d{6}\b|\b0\.\d{5,}|\b[0-9a-f]{64}\b")
WHO = Patient(
    identifiers=(Identifier(authority="TESTHOSP", value="CANARY4711", type="MR"),),
    birth_date=date(1931, 12, 29),
    sex="F",
    family_name="CANARYFAMILY",
    given_name="CANARYGIVEN",
)


@pytest.mark.parametrize(
    "written", ["1931", "19311229", "1931-12-29", "29.12.1931", "12/29/1931", "19311229000000.000000+0000"]
)
def test_what_is_left_out_of_a_page_is_no_date(written: str) -> None:
    assert written in NO_YEAR.sub("", f"2031-01-02T10:59:07.193112+00:00 0.81931 {'1931' * 16} born:{written}.")
    assert NO_YEAR.sub("", f"10:59:07.193112 0.81931 {'1931' * 16}").split() == ["10:59:07"]


def test_no_page_log_or_document_names_a_patient_until_the_record_is_opened(
    site: Installation, browser: Browser, address: str, tmp_path: Path
) -> None:
    written = io.StringIO()
    log.setup(written)
    try:
        _fill(site)
        client = browser(Role.ADMINISTRATOR)
        token = TokensFile(tmp_path / "web-tokens").add("lab", Role.ADMINISTRATOR)
        told = []
        opens = "/viewer"  # the page that opens the record, and notes it
        for page in PAGES:
            if page.method == "GET" and not page.path.endswith(opens):
                path = re.sub(r"{\w+:int}", "1", page.path)
                told.append((path, client.get(path, params={"act": "again"}).text))
        for page in api.pages():
            if page.method == "GET" and not page.path.endswith(opens):
                path = re.sub(r"{\w+:int}", "1", api.path_of(page))
                shown = {"Authorization": f"Bearer {token}"}
                told.append((path, client.get(path, params={"act": "again"}, headers=shown).text))
        named = [path for path, text in told if "CANARY" in text.upper() or "1931" in NO_YEAR.sub("", text)]
        assert named == []
        assert "CANARYFAMILY" in client.post("/ecgs/1/open").text
        client.post("/ecgs/of-patient", data={"authority": "TESTHOSP", "type": "MR", "value": "CANARY4711"})
        client.post("/sign-in", data={"name": "CANARYFAMILY", "password": "CANARYPASSWORD"})
        assert "canary" not in written.getvalue().lower()
        assert "canary" not in str(site.store.care.trail()).lower()
    finally:
        log.setup()


def _fill(site: Installation) -> None:
    """One of which everything is told, one whose result was refused, one that could not be read."""
    order = Order(placer="CANARYPLACER", filler="CANARYFILLER", accession="CANARYACC", visit="CANARYVISIT")
    one = replace(make_ecg(1, patient=WHO), order=order, statements=("CANARYSTATEMENT",))
    sent = datetime(2030, 1, 1, tzinfo=UTC)
    site.ehr.plan(Fault.AE)
    site.mllp(oru_writer.write_ecg(one, control_id="CANARYID", sent_at=sent))
    site.mllp(oru_writer.write_message([(b"CANARYFILE", "PDF")], patient=WHO, control_id="CANARYID2", sent_at=sent))
    site.go_on()
    site.send_until(1)
