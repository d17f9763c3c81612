"""Results on their way to a PACS by STOW-RS: Orthanc, and a server that answers what it is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from ecgfm_connectors.dicom.results import statuses
from ecgfm_connectors.dicom.results.composing import compose
from ecgfm_connectors.dicom.results.stow import StowDestination
from ecgfm_connectors.errors import NotReached, ProtocolViolation, Unreachable
from tests.helpers.dicom_results import PROFILE, RESULT, every_form, objects, withdrawal, withdrawal_in_doubt
from tests.helpers.ports import free_port

pytestmark = pytest.mark.slow(5)

FORMS = every_form()
PAGED = FORMS["result with page"]
REPORT, PAGE = (str(one.SOPInstanceUID) for one in objects(PAGED))


def told(stored: dict[str, int], failed: dict[str, int]) -> bytes:
    """A Store Instances Response (PS3.18 Annex I) in DICOM JSON."""

    def item(uid: str, tag: str, code: int) -> dict[str, Any]:
        reason = {tag: {"vr": "US", "Value": [code]}} if code else {}
        return {"00081155": {"vr": "UI", "Value": [uid]}} | reason

    answer: dict[str, Any] = {}
    if stored:
        answer["00081199"] = {"vr": "SQ", "Value": [item(uid, "00081196", code) for uid, code in stored.items()]}
    if failed:
        answer["00081198"] = {"vr": "SQ", "Value": [item(uid, "00081197", code) for uid, code in failed.items()]}
    return json.dumps(answer).encode()


@contextmanager
def answering(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Iterator[StowDestination]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield StowDestination(name="web", url=f"http://127.0.0.1:{server.server_address[1]}/dicom-web")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "reaction", "code", "in_doubt"),
    [
        (200, told({REPORT: 0, PAGE: 0}, {}), "done", "", False),
        (202, told({REPORT: 0xB000, PAGE: 0}, {}), "done", "", False),
        (202, told({REPORT: 0}, {PAGE: 0xA700}), "retry", "0xA700", True),
        (202, told({REPORT: 0}, {PAGE: 0x0122}), "dead", "0x0122", True),
        (409, told({}, {REPORT: 0xA700, PAGE: 0xC000}), "dead", "0xC000", False),
        (409, told({}, {REPORT: 0x0110, PAGE: 0x0110}), "retry", "0x0110", False),
        (409, b"", "dead", "HTTP 409", False),
        (400, b"", "dead", "HTTP 400", False),
        (415, b"<html>", "dead", "HTTP 415", False),
        (500, b"", "retry", "0x0110", True),
    ],
)
def test_what_is_said_of_single_objects_decides(
    status: int, body: bytes, reaction: str, code: str, in_doubt: bool
) -> None:
    with answering(status, body) as web:
        answer = web.send(PAGED, control_id="E1")
    assert statuses.reaction(answer) == reaction
    assert (answer.error_code, answer.in_doubt) == (code, in_doubt)
    assert answer.code == f"HTTP {status}"
    assert bool(answer.reason) is (reaction != "done")


def test_a_note_over_what_perhaps_never_came_may_have_nothing_to_reject() -> None:
    """dcm4chee refuses a note that names what it lacks; over what came that is a fault."""
    body = compose(withdrawal_in_doubt(RESULT, PAGED), PROFILE)
    of_report, of_page = (str(one.SOPInstanceUID) for one in objects(body))
    with answering(202, told({of_report: 0}, {of_page: 0xA772})) as web:
        assert statuses.reaction(web.send(body, control_id="E1")) == "done"
    with answering(409, told({}, {of_report: 0xA772, of_page: 0xA772})) as web:
        answer = web.send(body, control_id="E1")
    assert statuses.reaction(answer) == "done"
    assert "0xA772, there is no such object to reject" in answer.text
    sure = compose(withdrawal(RESULT, PAGED), PROFILE)
    (note,) = (str(one.SOPInstanceUID) for one in objects(sure))
    with answering(409, told({}, {note: 0xA772})) as web:
        assert statuses.reaction(web.send(sure, control_id="E1")) == "dead"


def test_a_warning_and_another_uid_are_noted() -> None:
    with answering(200, told({REPORT: 0xB000, "2.25.99": 0}, {})) as web:
        answer = web.send(PAGED, control_id="E1")
    assert statuses.reaction(answer) == "done"
    assert "0xB000, elements were changed (coerced)" in answer.text
    assert f"keeps {PAGE} under other UIDs, 2.25.99" in answer.text


@pytest.mark.parametrize("body", [b"", b"<html>sign in</html>", told({REPORT: 0}, {})])
def test_a_success_that_does_not_name_every_object_is_no_success(body: bytes) -> None:
    with answering(200, body) as web, pytest.raises(ProtocolViolation, match="sent again"):
        web.send(PAGED, control_id="E1")


@pytest.mark.parametrize(("status", "patience"), [(503, "30"), (429, "soon"), (401, ""), (404, ""), (507, "")])
def test_what_holds_for_all_messages_lets_all_wait(status: int, patience: str) -> None:
    with answering(status, headers={"Retry-After": patience}) as web, pytest.raises(NotReached) as raised:
        web.send(PAGED, control_id="E1")
    assert raised.value.retry_after == (timedelta(seconds=30) if patience == "30" else None)


@pytest.mark.parametrize("told", ["9999999", "9" * 60])
def test_a_day_is_the_longest_that_a_server_may_let_us_wait(told: str) -> None:
    """A Retry-After of 116 days was believed, and nothing more was stored there."""
    with answering(503, headers={"Retry-After": told}) as web, pytest.raises(NotReached) as raised:
        web.send(PAGED, control_id="E1")
    assert raised.value.retry_after == timedelta(days=1)


def test_no_answer_is_doubt_and_no_connection_is_none() -> None:
    with answering(504) as web, pytest.raises(Unreachable) as raised:
        web.send(PAGED, control_id="E1")
    assert not isinstance(raised.value, NotReached)
    with pytest.raises(NotReached):
        StowDestination(name="web", url=f"http://127.0.0.1:{free_port()}/dicom-web").send(PAGED, control_id="E1")


def test_orthanc_stores_what_comes_by_the_web(orthanc: Any) -> None:
    web = StowDestination(name="web", url=orthanc.web)
    assert "answered a QIDO-RS query" in web.check()
    for form in ("result with page", "correction of a paged one", "withdrawal"):
        answer = web.send(FORMS[form], control_id="E1")
        assert statuses.reaction(answer) == "done", answer
    again = web.send(PAGED, control_id="E1")
    assert statuses.reaction(again) == "done", again
