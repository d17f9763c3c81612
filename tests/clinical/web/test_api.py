"""The JSON API: the pages' own answers for programs that show a token, with the pages' permissions."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from ecgfm_clinical.errors import InputError, SettingsError
from ecgfm_clinical.web import api, dead
from ecgfm_clinical.web.documents import DOCUMENTS
from ecgfm_clinical.web.tokens import TokensFile
from ecgfm_clinical.web.users import Role
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import Browser
from tests.helpers.installation import Installation, adt, ecg, merge, number, pid
from tests.helpers.json_schemas import json_schemas

pytestmark = pytest.mark.slow(20)

Program = Callable[[Role], httpx.Client]


@pytest.fixture
def program(site: Installation, address: str) -> Iterator[Program]:
    """A program with a token of its own, made by the command."""
    with ExitStack() as closing:

        def made(role: Role) -> httpx.Client:
            code, token = site.command("token", "add", f"lab-{role.name.lower()}", "--role", role.word)
            assert code == 0, token
            shown = {"Authorization": f"Bearer {token.strip()}"}
            return closing.enter_context(httpx.Client(base_url=f"{address}/api/v1", headers=shown, timeout=120))

        yield made


@pytest.fixture
def scored(site: Installation) -> Installation:
    site.dicom(ecg(1, "A"))
    site.dicom(ecg(2, "B"))
    site.go_on()
    site.send_until(2)
    return site


def test_each_page_has_a_document_and_each_document_a_page() -> None:
    assert {api.TEMPLATES.get(page.path) for page in api.pages()} - {None} == set(DOCUMENTS)
    without = [page.path for page in api.pages() if page.method == "GET" and page.path not in api.TEMPLATES]
    assert [path for path in without if not path.endswith(tuple(api.FILES))] == []


def test_a_program_reads_what_the_pages_show(scored: Installation, program: Program) -> None:
    lab = program(Role.OPERATOR)
    now = lab.get("/now").json()
    assert now["status"]["ecgs"]["received"] == 2
    assert {one["name"] for one in now["sources"]} >= {"dicom", "hl7"}
    assert [one["ecg_id"] for one in lab.get("/ecgs").json()["ecgs"]] == [2, 1]
    story = lab.get("/ecgs/1").json()
    assert story["ecg"]["scorings"][0]["scores"]
    assert "TESTFAMILY" not in json.dumps(story)
    assert lab.get("/models").json()["models"][0]["state"] == "live"
    assert lab.get("/audit", params={"action": "ecg.scored"}).json()["entries"][0]["action"] == "ecg.scored"
    assert lab.get("/settings").json()["settings"]["site.name"] == "Test Hospital"
    for path in ("/dead", "/refused", "/held", "/pauses"):
        assert lab.get(path).status_code == 200, path
    assert lab.get("/ecgs/1/drawing.svg").text.startswith("<svg")


def test_opening_a_record_and_looking_for_a_patient_are_noted_under_the_programs_name(
    scored: Installation, program: Program
) -> None:
    lab = program(Role.VIEWER)
    assert "TESTFAMILY" in lab.post("/ecgs/1/open").text
    who = number("A")
    wanted = {"authority": who.authority, "type": who.type, "value": who.value}
    assert [one["ecg_id"] for one in lab.post("/ecgs/of-patient", json=wanted).json()["ecgs"]] == [1]
    noted = {one.action: one.actor for one in scored.store.care.trail() if one.action.startswith("patient.")}
    assert set(noted) == {"patient.opened", "patient.searched"}
    assert all(actor.startswith("lab-viewer (token) by ") for actor in noted.values())


def test_pages_follow_by_key_until_the_last(site: Installation, program: Program) -> None:
    for seed in range(52):
        site.dicom(ecg(seed, f"N{seed}"))
    lab, found, path = program(Role.VIEWER), [], "/api/v1/ecgs"
    while path:
        page = lab.get(str(lab.base_url.copy_with(raw_path=path.encode()))).json()
        found += [one["ecg_id"] for one in page["ecgs"]]
        path = page["next"]
    assert found == list(range(52, 0, -1))


def test_a_token_gets_what_its_role_needs_and_no_more(site: Installation, program: Program) -> None:
    before = site.store.care.audit_length()
    for role in (Role.VIEWER, Role.OPERATOR):
        lab = program(role)
        for page in api.pages():
            path = page.path.replace("{ecg:int}", "1").replace("{hold:int}", "1").replace("{model:int}", "1")
            if page.role is not None and page.role > role:
                answer = lab.request(page.method, path, json={"reason": "x"} if page.method == "POST" else None)
                assert (answer.status_code, answer.json()["error"]) == (403, "Not for your role"), path
    assert site.store.care.audit_length() == before + 2  # two tokens were made


def test_nobody_gets_anything_without_a_token_of_today(address: str) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        for shown in ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer ecgfm_" + "A" * 43):
            for page in api.pages():
                path = api.path_of(page).replace("{ecg:int}", "1").replace("{hold:int}", "1")
                path = path.replace("{model:int}", "1")
                answer = client.request(page.method, path, headers={"Authorization": shown})
                assert answer.status_code in (401, 429), (shown, path)
                assert set(answer.json()) == {"error", "text"}


def test_a_cookie_is_no_token_and_a_token_no_cookie(browser: Browser, program: Program, address: str) -> None:
    """A page of somebody else's can make a browser send its cookies, and no more."""
    signed_in = browser(Role.ADMINISTRATOR)
    assert signed_in.get("/api/v1/now").status_code == 401
    assert signed_in.post("/api/v1/audit/verify").status_code == 401
    token = program(Role.ADMINISTRATOR).headers["authorization"].removeprefix("Bearer ")
    assert httpx.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code == 303
    assert httpx.get(address, cookies={"ecgfm": token}, timeout=60).status_code == 303


def test_a_revoked_token_is_worth_nothing_with_the_next_request(site: Installation, program: Program) -> None:
    lab = program(Role.VIEWER)
    assert lab.get("/now").status_code == 200
    assert site.command("token", "list") == (0, "lab-viewer: viewer\n")
    assert site.command("token", "revoke", "lab-viewer")[0] == 0
    assert lab.get("/now").status_code == 401
    code, text = site.command("token", "revoke", "lab-viewer")
    assert code == 1
    assert "has no token of lab-viewer" in text


def test_acts_do_what_the_pages_do(site: Installation, program: Program) -> None:
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    lab = program(Role.ADMINISTRATOR)
    dead = lab.get("/dead/preview", params={"act": "again"}).json()
    chosen = [one["message_id"] for one in dead["messages"]]
    sent = lab.post("/dead/again", json={"message": chosen}).json()
    assert (sent["title"], sent["lines"]) == ("Sent again", ["1 message will be sent, 0 cancelled."])
    site.send_until(2)
    assert lab.post("/ecgs/1/withdraw", json={}).json()["text"].startswith("say why")
    assert lab.post("/ecgs/1/withdraw", data={"reason": "a test"}).json()["title"].endswith("withdrawn")
    assert (
        lab.post("/pauses/pause", json={"kind": "everything", "reason": "x"}, follow_redirects=True).status_code < 400
    )
    for body in (b"{", b"[]", b'{"reason": {"a": 1}}', b"[" * 100_000):
        answer = lab.post("/ecgs/1/withdraw", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, answer.text
    assert lab.get("/ecgs/99").status_code == 404
    assert lab.get("/nowhere").json()["error"] == "Not found"


def test_the_description_is_openapi_and_names_every_route(address: str) -> None:
    json_schemas()
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    told = httpx.get(f"{address}/api/v1/openapi.json", timeout=60).json()
    validator.validate(told)
    named = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert named == {(page.method, api.path_of(page).replace(":int}", "}")) for page in api.pages()}


def test_each_answer_is_what_its_schema_says(site: Installation, program: Program) -> None:
    """Of every page, with something of each kind on it; and of an act, and of what cannot be done."""
    jsonschema = json_schemas()
    told: Any = api.description()
    site.mllp(merge("A", "B"))
    for seed, who in ((1, "A"), (2, "B")):
        site.dicom(ecg(seed, who))
    site.go_on()
    site.send_until(2)
    site.mllp(adt("A28", pid("A")))  # a question
    site.dicom(b"no DICOM at all")
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(3, "C"))
    site.go_on()
    site.send_until(3)
    lab = program(Role.ADMINISTRATOR)
    paused = {"kind": "destination", "name": "ehr", "reason": "a test"}
    assert lab.post("/pauses/pause", json=paused, follow_redirects=True).status_code < 400
    asked = {"/dead/preview": "act=again", "/refused/preview": "act=seen", "/ecgs/{ecg}/preview": "act=correct"}
    tried = [("get", path, "") for path, methods in told["paths"].items() if "get" in methods]
    tried += [("post", path, "") for path in ("/ecgs/{ecg}/open", "/ecgs/{ecg}/header", "/held/{hold}/open")]
    tried += [("post", "/ecgs/{ecg}/correct", "a test"), ("post", "/ecgs/{ecg}/withdraw", "")]
    seen = set()
    for method, path, reason in tried:
        path = path.removeprefix("/api/v1")
        if path.endswith(tuple(api.FILES)):
            continue
        where = re.sub(r"{\w+}", "1", path) + (f"?{asked[path]}" if path in asked else "")
        answer = lab.request(method, where, json={"reason": reason} if method == "post" else None)
        documented = told["paths"][f"/api/v1{path}"][method]["responses"][str(answer.status_code)]
        schema = documented["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": told["components"]})
        seen.add((schema["$ref"].rpartition("/")[2], answer.status_code))
    of_pages = {name for name, _ in seen}  # those that differ most in what they hold
    assert of_pages >= {
        "Now",
        "Ecgs",
        "OneEcg",
        "DeadLetters",
        "Refused",
        "Held",
        "HeldOne",
        "Pauses",
        "Models",
        "Viewer",
    }
    assert {("Done", 200), ("Problem", 400)} <= seen


def test_dead_letters_and_questions_follow_by_key(
    site: Installation, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "SHOWN", 1)
    site.ehr.plan(Fault.AE, Fault.AE)
    for seed, who in ((1, "A"), (2, "B")):
        site.dicom(ecg(seed, who))
    site.go_on()
    site.send_until(2)
    lab = program(Role.VIEWER)
    first = lab.get("/dead").json()
    second = lab.get(first["next"].removeprefix("/api/v1")).json()
    told = [one["message_id"] for page in (first, second) for one in page["messages"]]
    assert (told, first["count"], second["next"]) == (sorted(told), 2, None)
    assert len(set(told)) == 2
    assert lab.get("/held").json() == {"questions": [], "next": None, "failed": [], "failed_in_all": 0}


def test_the_file_of_tokens_holds_none_and_is_the_owners_alone(tmp_path: Path) -> None:
    tokens = TokensFile(tmp_path / "tokens")
    token = tokens.add("lab", Role.VIEWER)
    text = (tmp_path / "tokens").read_text(encoding="utf-8")
    assert token not in text
    assert token.removeprefix("ecgfm_") not in text
    assert (tmp_path / "tokens").stat().st_mode & 0o077 == 0
    holder = tokens.holder(token)
    assert holder is not None
    assert (holder.name, holder.role, holder.signature) == ("lab", Role.VIEWER, "lab (token)")
    assert tokens.holder(token[:-1]) is None
    with pytest.raises(InputError, match="has a token already"):
        tokens.add("lab", Role.ADMINISTRATOR)
    with pytest.raises(InputError, match="letters, digits"):
        tokens.add("lab:viewer", Role.VIEWER)
    (tmp_path / "tokens").write_text("lab:king:" + "0" * 64, encoding="utf-8")
    with pytest.raises(SettingsError, match="line 1"):
        tokens.holder(token)
