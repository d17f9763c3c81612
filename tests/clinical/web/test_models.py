"""Models, outcomes and drift in the console: what is shown, and what a clinical administrator does, with a reason."""

import re
import shutil
from pathlib import Path

import pytest

from ecgfm.checkpoint import Bundle
from ecgfm.provenance import Provenance
from ecgfm_clinical import wiring
from ecgfm_clinical.learning import governance
from ecgfm_clinical.staging.model_records import DriftFinding, ModelRow
from ecgfm_clinical.web.app import settings_of
from ecgfm_clinical.web.pieces import marked
from ecgfm_clinical.web.tokens import TokensFile
from ecgfm_clinical.web.users import Role
from tests.clinical.web.candidate import add_candidate
from tests.clinical.web.conftest import Browser
from tests.helpers.installation import Installation, ecg
from tests.helpers.tiny_models import tiny_network_of_two, write_tiny_bundle

pytestmark = pytest.mark.slow(20)


@pytest.fixture
def candidate(site: Installation) -> ModelRow:
    site.dicom(ecg(1, "A"))
    site.score()
    return add_candidate(site)


def test_a_candidate_is_promoted_and_rolled_back_with_a_reason(
    site: Installation, candidate: ModelRow, browser: Browser
) -> None:
    client, operator = browser(Role.ADMINISTRATOR), browser(Role.OPERATOR)
    page = client.get("/models/2").text
    assert candidate.model_id in page
    assert "passed" in page
    seen = re.search(r'name="live" value="(\w+)"', page)
    assert seen is not None
    assert operator.post("/models/2/promote", data={"reason": "x"}).status_code == 403
    assert client.post("/models/2/promote").status_code == 400, "without a reason"
    form = {"reason": "better on our ward", "live": seen[1]}
    assert client.post("/models/2/promote", data=form).status_code == 303
    live = site.store.models.live()
    assert live is not None
    assert live.model_id == candidate.model_id
    late = client.post("/models/2/promote", data=form)
    assert late.status_code == 409
    assert "nothing was done: administrator by" in late.text
    assert "better on our ward" in client.get("/models").text
    assert client.post("/models/rollback", data={"reason": "worse", "live": candidate.model_id}).status_code == 303
    assert [one.action for one in site.store.models.history()][-2:] == ["promoted", "rolled-back"]


def test_the_gate_refuses_in_words(site: Installation, candidate: ModelRow, browser: Browser) -> None:
    third = governance.model_row(
        write_tiny_bundle(site.path.with_name("third"), seed=2), path="third", now=wiring.utc_now()
    )
    site.store.models.register(third, now=wiring.utc_now(), actor="test")
    client = browser(Role.ADMINISTRATOR)
    assert "was never judged" in client.get("/models/3").text
    refused = client.post("/models/3/promote", data={"reason": "x"})
    assert refused.status_code == 409
    assert "was never judged" in refused.text
    assert client.get("/models/9").status_code == 404


def test_a_model_goes_into_the_shadow_and_out_again(site: Installation, candidate: ModelRow, browser: Browser) -> None:
    client = browser(Role.ADMINISTRATOR)
    client.post("/models/2/shadow", data={"act": "shadow-on", "reason": "try it"})
    assert "End the shadow" in client.get("/models/2").text
    client.post("/models/2/shadow", data={"act": "shadow-off", "reason": "seen enough"})
    assert site.store.models.shadow() is None
    assert client.post("/models/2/shadow", data={"act": "shadow-off", "reason": "x"}).status_code == 409
    assert client.post("/models/2/shadow", data={"act": "x", "reason": "x"}).status_code == 400


def test_a_report_is_shown_in_a_sandbox(site: Installation, candidate: ModelRow, browser: Browser) -> None:
    answer = browser(Role.VIEWER).get("/models/2/report", params={"head": next(iter(candidate.heads))})
    shown = answer.text
    assert "How " in shown
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "there is no report to show" in browser(Role.VIEWER).get("/models/1/report").text
    tokens = TokensFile(site.settings.resolve(settings_of(site.settings).tokens))
    headers = {"Authorization": f"Bearer {tokens.add('report', Role.VIEWER)}"}
    head = {"head": next(iter(candidate.heads))}
    told = browser(None).get("/api/v1/models/2/report", params=head, headers=headers)
    assert (told.status_code, told.text, told.headers["content-type"].split(";")[0]) == (200, shown, "text/html")
    assert browser(None).get("/api/v1/models/1/report", headers=headers).status_code == 404
    Path(site.path.with_name(f"{next(iter(candidate.heads))}.html")).unlink()


def test_a_model_says_how_many_passes_an_ecg_takes(site: Installation, candidate: ModelRow, browser: Browser) -> None:
    folder, registry = site.path.with_name("apart"), site.store.models
    written = Bundle.write(
        folder, tiny_network_of_two(), name="apart", version="1", demo=True, provenance=Provenance(origin={})
    )
    row = governance.model_row(written, path="apart", now=wiring.utc_now())
    registry.register(row, now=wiring.utc_now(), actor="test")
    client = browser(Role.VIEWER)
    assert "1: 1 pass for each ECG" in client.get("/models/2").text
    assert "2: 2 passes for each ECG" in client.get("/models/3").text
    manifest = folder / "bundle.json"
    manifest.write_text(manifest.read_text().replace("apart", "other"))
    assert "not known here" in client.get("/models/3").text
    shutil.rmtree(folder)
    assert "not known here" in client.get("/models/3").text


def test_drift_reports_are_listed_with_their_findings(
    site: Installation, candidate: ModelRow, browser: Browser
) -> None:
    finding = DriftFinding(code="auroc", month="2026-10", text="AUROC fell from 0.91 to 0.80")
    site.store.models.keep_drift(candidate.model_id, [finding], "drift.html", now=wiring.utc_now(), actor="test")
    page = browser(Role.VIEWER).get("/drift").text
    assert "AUROC fell from 0.91 to 0.80" in page
    assert candidate.name in page


def test_sentences_of_outcomes_are_hidden_until_they_are_opened(site: Installation, browser: Browser) -> None:
    site.mllp(echo_report())
    client = browser(Role.VIEWER)
    hidden = client.get("/outcomes").text
    assert "35" in hidden
    assert "ejection fraction is" not in hidden
    shown = client.post("/outcomes/open").text
    assert "<mark" in shown
    assert [one for one in site.store.care.trail() if one.action == "patient.opened"]


def echo_report() -> bytes:
    """An echo report in prose."""
    lines = (
        "MSH|^~\\&|ECHO|HOSP|ECGFM||20310101120000+0000||ORU^R01|ECHO1|P|2.5.1",
        "PID|1||A^^^TESTHOSP^MR||TESTFAMILY^ADA||19600517|F",
        "OBR|1||E1|ECHO^Echocardiography^L|||20310101110000+0000|||||||||||||||||F",
        "OBX|1|TX|ECHO^Report^L||The left ventricular ejection fraction is 35 %.||||||F",
    )
    return "".join(f"{line}\r" for line in lines).encode()


def test_the_number_is_marked_in_its_sentence() -> None:
    text = "earlier 60 %, now 35 %."
    pieces = list(marked(text, [((18, 20), "taken"), ((8, 10), "earlier"), ((9, 12), "overlaps"), ((99, 100), "away")]))
    assert "".join(one.text for one in pieces) == text
    assert [(one.text, one.why) for one in pieces if one.marked] == [("60", "earlier"), ("35", "taken")]
