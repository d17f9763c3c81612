"""The JSON API under `/api/v1`: every page and act of the table of pages, for programs that show a token.

It believes tokens alone, never a cookie: a page of somebody else's cannot make a browser use it.
"""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ecgfm.version import version
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.web.asking import Asked
from ecgfm_clinical.web.document import PREFIX
from ecgfm_clinical.web.documents import DOCUMENTS
from ecgfm_clinical.web.pages import PAGES, Page
from ecgfm_clinical.web.schemas import schemas
from ecgfm_clinical.web.visit import Visit

#: Path -> the template whose document it answers with; the others are acts, which say what came of them.
TEMPLATES = {
    "/": "now.html",
    "/ecgs": "ecgs.html",
    "/ecgs/of-patient": "ecgs.html",
    "/ecgs/{ecg:int}": "one_ecg.html",
    "/ecgs/{ecg:int}/open": "one_ecg.html",
    "/ecgs/{ecg:int}/viewer": "viewer.html",
    "/ecgs/{ecg:int}/answers": "answers.html",
    "/ecgs/{ecg:int}/preview": "ecg_preview.html",
    "/ecgs/{ecg:int}/header": "raw_header.html",
    "/dead": "dead.html",
    "/dead/preview": "dead_preview.html",
    "/refused": "refused.html",
    "/refused/preview": "refused_preview.html",
    "/held": "held.html",
    "/held/failed/preview": "failed_preview.html",
    "/held/{hold:int}": "held_one.html",
    "/held/{hold:int}/open": "held_one.html",
    "/pauses": "pauses.html",
    "/outcomes": "outcomes.html",
    "/outcomes/open": "outcomes.html",
    "/models": "models.html",
    "/models/{model:int}": "model.html",
    "/drift": "drift.html",
    "/audit": "audit.html",
    "/settings": "settings.html",
    "/settings/check": "check.html",
}

#: What is a file already.
FILES = {
    ".csv": "text/csv",
    "/report": "text/html",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".pdf": "application/pdf",
}

#: What the form of an act may hold -> what it means; which act asks for which is said by its answer 400.
FIELDS = {
    "reason": "why, without patient data: it goes into the audit trail",
    "message": "numbers of messages, as the preview names them",
    "payload": "numbers of payloads, as the preview names them",
    "ecg": "ids of ECGs, as the preview names them",
    "seen": "of an ECG, as the preview names it: somebody who acted since is then told",
    "authority": "assigning authority of a patient's number",
    "type": "type of a patient's number, such as MR",
    "value": "a patient's number",
    "kind": "kind of a part that is paused, as the list of pauses names it",
    "name": "its name",
    "head": "a head of the answers that count, with `label`",
    "label": "one of its labels",
    "scoring": "`scoring_id` of the answers that were seen: where the ECG was scored anew since, that is told",
    "act": "shadow-on or shadow-off",
    "live": "the model that was live when this was decided: who was first is then told",
    "drop_heads": "`yes`: heads of the live model that this one lacks fall silent",
}


def pages() -> list[Page]:
    """Those that a program may use: all but signing in and out."""
    return [page for page in PAGES if page.role is not None]


def path_of(page: Page) -> str:
    return PREFIX + ("/now" if page.path == "/" else page.path)


def token_of(request: Request) -> str:
    """What stands behind `Authorization: Bearer` (RFC 6750); empty where nothing does."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def form_of(request: Request, body: bytes) -> Asked:
    """A form, urlencoded or as one JSON object of texts, numbers and lists of them. Raises InputError."""
    text = body.decode("utf-8", "replace")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return Asked.of(text)
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("this body is no JSON") from error
    if not isinstance(told, Mapping):
        raise InputError("the body must be one JSON object")
    pairs = [(str(name), one) for name, value in told.items() for one in _several(value)]
    return Asked.of(urlencode([(name, str(one)) for name, one in pairs], errors="replace"))


def _several(value: object) -> Sequence[object]:
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in found):
        raise InputError("the values of the JSON object are texts, numbers, or lists of them")
    return found


def unknown(visit: Visit) -> Response:
    """Nobody is known by this token."""
    text = "show a token: `Authorization: Bearer TOKEN`; `ecgfm-clinical token add NAME` makes one"
    return visit.page("problem.html", 401, {"WWW-Authenticate": "Bearer"}, title="Not signed in", text=text)


def within(answer: Response) -> Response:
    """An act that leads on to a page leads to that page's document here."""
    if isinstance(answer, RedirectResponse):
        answer.headers["location"] = PREFIX + answer.headers["location"]
    return answer


def openapi(request: Request) -> Response:
    """The OpenAPI 3.1 document; it holds nothing of this installation."""
    return JSONResponse(description())


def description() -> dict[str, object]:
    _, named = schemas()
    paths: dict[str, dict[str, object]] = {}
    for page in pages():
        path = path_of(page).replace(":int}", "}")
        paths.setdefault(path, {})[page.method.lower()] = _operation(page, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ecgfm-clinical",
            "version": version(),
            "description": "The pages and acts of the operators' console, with its permissions.",
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(named),
        },
        "security": [{"token": []}],
        "paths": paths,
    }


def _operation(page: Page, path: str) -> dict[str, object]:
    document = DOCUMENTS.get(TEMPLATES.get(page.path, ""))
    places = [one.strip("{}") for one in path.split("/") if one.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}} for name in places
    ]
    if page.method == "GET" and document is not None:
        parameters += [
            {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}
            for name, about in document.asks.items()
        ]
    role = page.role.word if page.role is not None else ""
    told: dict[str, object] = {
        "operationId": f"{page.method.lower()}{path.removeprefix(PREFIX)}".replace("/", "-").translate(_NO_BRACES),
        "summary": document.about if document is not None else path.removeprefix(PREFIX).strip("/"),
        "description": f"Needs the role {role}.",
        "parameters": parameters,
        "responses": _responses(path, page),
    }
    if page.method == "POST":
        body = _object({name: {"description": about} for name, about in FIELDS.items()})
        told["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return told


_NO_BRACES = str.maketrans("", "", "{}")


def _responses(path: str, page: Page) -> dict[str, object]:
    by_template, _ = schemas()
    schema = by_template[TEMPLATES.get(page.path, "done.html")]
    kind = next((kind for ending, kind in FILES.items() if path.endswith(ending)), "application/json")
    content = {kind: {"schema": schema if kind == "application/json" else {"type": "string"}}}
    problem = {"application/json": {"schema": by_template["problem.html"]}}
    known = {"400": "what was asked cannot be read", "401": "no valid token", "403": "another role is needed"}
    known |= {"404": "there is no such thing", "409": "this cannot be done, and why", "503": "the store is away"}
    answers: dict[str, object] = {"200": {"description": "done", "content": content}}
    return answers | {code: {"description": about, "content": problem} for code, about in known.items()}


def _object(properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties}
