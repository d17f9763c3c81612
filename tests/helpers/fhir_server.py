"""A small and strict FHIR R4 server on loopback, which fails on demand.

A real server (Medplum's router, repository and validation) is a peer of the suite
(`tests/connectors/fhir/test_peers.py`); no real one answers 429, cuts an answer off or names another's resource when a
test asks for it, and none with a store of its own can be had from a registry here. This one takes transactions alone,
all or nothing, with conditional create (R4 §3.1.0.8.1), conditional update (§3.1.0.10.2), conditional references and
references between entries (§3.1.0.11.2), and validates each bundle by fhirkit.
"""

import copy
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pytest

fhirkit = pytest.importorskip("fhirkit", reason="the package fhirkit-rs is not installed")


class Fault(Enum):
    """How the server treats its next transaction."""

    NONE = auto()
    OTHER_ID = auto()  #: takes it, and names another report than it took
    NO_LOCATION = auto()  #: takes it, and does not say where
    OTHER_PATIENT = auto()  #: takes it, and files the report under somebody else
    ENTRY_FAILED = auto()  #: says 200, and of one entry 422
    FEWER_ENTRIES = auto()
    HTML = auto()  #: takes it, and answers a page of a proxy's
    DROP_BEFORE = auto()  #: takes nothing and closes
    DROP_AFTER = auto()  #: takes it and closes
    CUT_OFF = auto()  #: takes it and ends in the middle of the answer
    SLOW = auto()  #: takes it and answers later than anybody waits
    ENDLESS = auto()  #: an answer that has no end


@dataclass(slots=True)
class Refusal:
    """A status that is answered without taking anything."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  #: None: an OperationOutcome


class _Refused(Exception):
    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.outcome = outcome(code, text)


def outcome(code: str, text: str) -> dict[str, Any]:
    issue = {"severity": "error", "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


class StrictFhirServer:
    """`with StrictFhirServer() as server:`; what it holds is in `resources`, newest version of each."""

    def __init__(
        self,
        *,
        guard: Callable[[Mapping[str, str]], bool] = lambda headers: True,
        late: float = 3.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`guard`: whom it lets in, by the headers; `late`: seconds of a SLOW answer."""
        self.resources: dict[str, dict[str, Any]] = {}  #: `TYPE/ID` -> resource
        self.behaviour: list[Fault | Refusal] = []  #: of the next transactions, in their order
        self.choose: Callable[[], Fault | Refusal] | None = None  #: or of any transaction
        self.received: list[bytes] = []  #: every body that came, repeats and refused ones included
        self.accepted: list[bytes] = []  #: bodies that were taken
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.forms: list[dict[str, str]] = []  #: what was sent to /token
        self.token: Callable[[dict[str, str], Mapping[str, str]], tuple[int, dict[str, Any]]] | None = None
        self.version = "4.0.1"
        self._guard = guard
        self._late = late
        self._lock = threading.RLock()
        self._count = 0
        self._stopping = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner._serve(self, b"")

            def do_POST(self) -> None:
                owner._serve(self, self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )  # the handshake is the handler's, in its own thread
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/r4"

    def knows(self, system: str, value: str) -> str:
        """A patient of the server's own; `Patient/ID`."""
        with self._lock:
            return self._put({"resourceType": "Patient", "identifier": [{"system": system, "value": value}]})

    def all(self, kind: str) -> list[dict[str, Any]]:
        with self._lock:
            return [copy.deepcopy(one) for one in self.resources.values() if one["resourceType"] == kind]

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def _serve(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        path = urlsplit(handler.path).path
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append((f"{handler.command} {path}", headers))
        if path == "/token" and self.token is not None:
            form = dict(parse_qsl(body.decode()))
            self.forms.append(form)
            return _answer(handler, *self.token(form, headers))
        if not self._guard(headers):
            return _answer(handler, 401, outcome("login", "who are you?"))
        if path == "/r4/metadata":
            return _answer(handler, 200, self._capabilities())
        if handler.command == "GET":
            if query := urlsplit(handler.path).query:
                return _answer(handler, 200, self._searched(path.removeprefix("/r4/"), query))
            found = self.resources.get(path.removeprefix("/r4/"))
            return _answer(handler, *((200, found) if found else (404, outcome("not-found", "no such resource"))))
        if path != "/r4":
            return _answer(handler, 404, outcome("not-found", "only transactions are taken"))
        return self._transaction(handler, body)

    def _transaction(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            told = self.choose() if self.choose else self.behaviour.pop(0) if self.behaviour else Fault.NONE
            self.received.append(body)
            if isinstance(told, Refusal):
                return _answer(handler, told.status, told.body or outcome("transient", "as was asked"), told.headers)
            if told is Fault.DROP_BEFORE:
                handler.connection.close()
                return None
            try:
                response = self.take(json.loads(body))
            except _Refused as refused:
                return _answer(handler, refused.status, refused.outcome)
            self.accepted.append(body)
        return self._respond(handler, told, response)

    def _respond(self, handler: BaseHTTPRequestHandler, told: Fault, response: dict[str, Any]) -> None:
        match told:
            case Fault.OTHER_ID:
                for entry in response["entry"]:
                    if "DiagnosticReport" in entry["response"]["location"]:
                        entry["response"]["location"] = self._put(
                            {"resourceType": "DiagnosticReport", "status": "final"}
                        )
            case Fault.NO_LOCATION:
                for entry in response["entry"]:
                    del entry["response"]["location"]
            case Fault.OTHER_PATIENT:
                stranger = self.knows("urn:elsewhere", "1")
                for place, report in [*self.resources.items()]:
                    if report["resourceType"] == "DiagnosticReport":
                        self.resources[place] = {**report, "subject": {"reference": stranger}}
            case Fault.ENTRY_FAILED:
                failed = {"status": "422 Unprocessable Entity", "outcome": outcome("invariant", "CANARY obs-6")}
                response["entry"][1]["response"] = failed
            case Fault.FEWER_ENTRIES:
                response["entry"].pop()
            case Fault.HTML:
                return _answer(handler, 200, b"<html>Please sign in</html>")
            case Fault.DROP_AFTER:
                handler.connection.close()
                return None
            case Fault.CUT_OFF:
                content = json.dumps(response).encode()
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content[: len(content) // 2])
                handler.close_connection = True
                return None
            case Fault.SLOW:
                self._stopping.wait(self._late)
            case Fault.ENDLESS:
                handler.send_response(200)
                handler.end_headers()
                ends = time.monotonic() + 60
                while not self._stopping.is_set() and time.monotonic() < ends:
                    try:
                        handler.wfile.write(b" " * 65536)
                    except OSError:
                        break
                handler.close_connection = True
                return None
        return _answer(handler, 200, response)

    def _searched(self, kind: str, query: str) -> dict[str, Any]:
        with self._lock:
            found = [{"resource": self.resources[place]} for place in self._found(kind, query)]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": found}

    def _capabilities(self) -> dict[str, Any]:
        kinds = ("Observation", "RiskAssessment", "DiagnosticReport", "Device", "Provenance", "DocumentReference")
        listed = [{"type": kind, "conditionalCreate": True, "conditionalUpdate": True} for kind in kinds]
        rest = [{"mode": "server", "interaction": [{"code": "transaction"}], "resource": listed}]
        software = {"name": "Strict"}
        return {"resourceType": "CapabilityStatement", "fhirVersion": self.version, "software": software, "rest": rest}

    # --- FHIR ---------------------------------------------------------------------------------------------------------

    def take(self, bundle: dict[str, Any]) -> dict[str, Any]:
        """All of it, or nothing. Raises _Refused."""
        problems = [str(issue) for issue in fhirkit.validate(bundle)]
        if bundle.get("type") != "transaction" or problems:
            raise _Refused(400, "invalid", "; ".join(problems) or "no transaction")
        before = dict(self.resources)  # a resource is never changed, only replaced
        try:
            return self._taken(bundle["entry"])
        except _Refused:
            self.resources = before
            raise

    def _taken(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        places: dict[str, str] = {}
        known: list[str | None] = []
        for entry in entries:  # identities are settled before anything is written
            kind, query = self._condition(entry["request"], entry["resource"])
            found = self._found(kind, query)
            if len(found) > 1:
                raise _Refused(412, "multiple-matches", f"several {kind} match")
            known.append(found[0] if found else None)
            self._count += not found
            place = found[0] if found else f"{kind}/{self._count}"
            if place in places.values():
                raise _Refused(400, "invalid", "two entries for one resource")
            places[entry["fullUrl"]] = place
        answered = []
        for entry, found_at in zip(entries, known, strict=True):
            created, kept = found_at is None, found_at is not None and entry["request"]["method"] == "POST"
            if not kept:
                self._write(places[entry["fullUrl"]], self._resolved(entry["resource"], places))
            status = "201 Created" if created else "200 OK"
            version = self.resources[places[entry["fullUrl"]]]["meta"]["versionId"]
            location = f"{places[entry['fullUrl']]}/_history/{version}"
            answered.append({"response": {"status": status, "location": location, "etag": f'W/"{version}"'}})
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answered}

    def _condition(self, request: dict[str, Any], resource: dict[str, Any]) -> tuple[str, str]:
        if request["method"] == "POST" and request["url"] == resource["resourceType"] and "ifNoneExist" in request:
            return request["url"], request["ifNoneExist"]
        kind, _, query = str(request["url"]).partition("?")
        if request["method"] != "PUT" or kind != resource["resourceType"] or not query:
            raise _Refused(400, "invalid", "every entry must be conditional")
        return kind, query

    def _found(self, kind: str, query: str) -> list[str]:
        ((name, wanted),) = parse_qsl(query, strict_parsing=True)
        if name not in ("identifier", "_tag"):
            raise _Refused(400, "not-supported", f"search parameter {name}")
        system, _, value = wanted.partition("|")
        matches = []
        for place, one in self.resources.items():
            if one["resourceType"] != kind:
                continue
            numbers = one.get("identifier", []) if name == "identifier" else one.get("meta", {}).get("tag", [])
            pairs = {(number.get("system"), number.get("value", number.get("code"))) for number in numbers}
            if (system, value) in pairs:
                matches.append(place)
        return matches

    def _resolved(self, told: Any, places: Mapping[str, str]) -> Any:
        if isinstance(told, list):
            return [self._resolved(one, places) for one in told]
        if not isinstance(told, dict):
            return told
        found = {name: self._resolved(one, places) for name, one in told.items()}
        if isinstance(found.get("reference"), str):
            found["reference"] = self._target(found["reference"], places)
        return found

    def _target(self, reference: str, places: Mapping[str, str]) -> str:
        if reference in places:
            return places[reference]
        kind, _, query = reference.partition("?")
        if not query:
            raise _Refused(400, "invalid", f"{reference} leads nowhere")
        found = self._found(kind, query)
        if len(found) != 1:
            raise _Refused(412, "multiple-matches" if found else "not-found", f"{len(found)} {kind} match CANARY")
        return found[0]

    def _put(self, resource: dict[str, Any]) -> str:
        self._count += 1
        place = f"{resource['resourceType']}/{self._count}"
        self._write(place, resource)
        return place

    def _write(self, place: str, resource: dict[str, Any]) -> None:
        before = self.resources.get(place, {}).get("meta", {}).get("versionId", "0")
        labels = {**resource.get("meta", {}), "versionId": str(int(before) + 1)}
        self.resources[place] = {**resource, "id": place.split("/")[1], "meta": labels}


def references(resource: Any) -> Iterator[str]:
    """Every `reference` in a resource."""
    if isinstance(resource, list):
        for one in resource:
            yield from references(one)
    elif isinstance(resource, dict):
        if isinstance(resource.get("reference"), str):
            yield resource["reference"]
        for one in resource.values():
            yield from references(one)


def _answer(
    handler: BaseHTTPRequestHandler, status: int, told: object, headers: Mapping[str, str] | None = None
) -> None:
    content = told if isinstance(told, bytes) else json.dumps(told).encode()
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", "text/html" if isinstance(told, bytes) else "application/fhir+json")
        handler.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
    except OSError:  # the other side waits no longer
        handler.close_connection = True
