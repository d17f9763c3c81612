"""Results on their way to a PACS by C-STORE: real ones, and one that answers what it is told."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RSP

from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.results import statuses
from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION, REPORT_CLASSES
from ecgfm_connectors.dicom.results.storing import STORED, Pacs, StorageDestination
from ecgfm_connectors.dicom.sop_classes import VERIFICATION
from ecgfm_connectors.errors import Misconfigured, NotReached, Unreachable
from ecgfm_connectors.tls import TlsFiles
from tests.helpers.dicom_results import errors, every_form, objects
from tests.helpers.ports import free_port

pytestmark = pytest.mark.slow(8)

FORMS = every_form()
PAGED = FORMS["result with page"]
NEEDED = (REPORT_CLASSES["comprehensive"], KEY_OBJECT_SELECTION)


def destination(port: int, called: str = "PACS", tls: TlsFiles | None = None, **options: Any) -> StorageDestination:
    host = "localhost" if tls else "127.0.0.1"
    pacs = Pacs(host=host, port=port, called=called, calling="ECGFM", timeout=20, tls=tls)
    return StorageDestination(name="pacs", pacs=pacs, **({"needed": NEEDED} | options))


class FakePacs:
    """Answers each C-STORE by its turn: a status, or None to break the association off."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.got: list[Dataset] = []

    def store(self, event: Any) -> Dataset:
        answer = self.answers.pop(0) if self.answers else 0
        if answer is None:
            event.assoc.abort()
        self.got.append(event.dataset)
        response = Dataset()
        response.Status = answer or 0
        if answer and answer >= 0xA000:
            response.ErrorComment = "as told"
        return response


@contextmanager
def serving(
    fake: FakePacs,
    *,
    classes: tuple[str, ...] = tuple(STORED),
    require_called: bool = False,
    places: int = 10,
    syntax: str | None = None,
) -> Iterator[int]:
    entity = AE(ae_title="PACS")
    for uid in (VERIFICATION, *classes):
        entity.add_supported_context(uid, syntax)
    entity.require_called_aet = require_called
    entity.maximum_associations = places
    handlers: list[Any] = [(evt.EVT_C_STORE, fake.store)]
    port = free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield port
    finally:
        server.shutdown()


def test_everything_is_stored_in_its_order_under_its_own_uids() -> None:
    fake = FakePacs()
    with serving(fake) as port:
        answer = destination(port).send(PAGED, control_id="E1")
        again = destination(port).send(PAGED, control_id="E1")
    assert (answer.code, answer.error_code, answer.text) == ("0x0000", "", "")
    assert statuses.reaction(answer) == statuses.reaction(again) == "done"
    uids = [one.SOPInstanceUID for one in objects(PAGED)]
    assert [one.SOPInstanceUID for one in fake.got] == uids * 2


@pytest.mark.parametrize(
    ("status", "reaction", "words"),
    [
        (0xA700, "retry", "out of resources"),
        (0xA7FF, "retry", "out of resources"),
        (0xA771, "dead", "rejected before"),
        (0xA772, "dead", "no such object to reject"),
        (0xA77F, "dead", "out of resources"),
        (0x0110, "retry", "processing failure"),
        (0x0213, "retry", "resource limitation"),
        (0xA900, "dead", "does not match"),
        (0xC123, "dead", "cannot understand"),
        (0x0122, "dead", "not supported"),
        (0x0124, "dead", "not authorised"),
        (0x1234, "dead", "a status of its own"),
    ],
)
def test_a_refused_object_is_repeated_or_set_aside(status: int, reaction: str, words: str) -> None:
    fake = FakePacs(0, status)
    with serving(fake) as port:
        answer = destination(port).send(PAGED, control_id="E1")
    assert statuses.reaction(answer) == reaction
    assert answer.error_code == f"0x{status:04X}"
    assert words in answer.reason
    assert "Encapsulated PDF" in answer.reason
    assert answer.in_doubt, "the report before it was stored"
    assert len(fake.got) == 2


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111, 0xA770])
def test_a_warning_is_an_acceptance_that_is_noted(status: int) -> None:
    with serving(FakePacs(status)) as port:
        answer = destination(port).send(PAGED, control_id="E1")
    assert statuses.reaction(answer) == "done"
    assert answer.code == f"0x{status:04X}"
    assert statuses.meaning(status) in answer.text


def test_a_pacs_that_breaks_off_leaves_the_message_in_doubt() -> None:
    fake = FakePacs(0, None)
    with serving(fake) as port:
        with pytest.raises(Unreachable) as raised:
            destination(port).send(PAGED, control_id="E1")
        assert not isinstance(raised.value, NotReached)
        assert statuses.reaction(destination(port).send(PAGED, control_id="E1")) == "done"


def test_a_class_that_the_pacs_does_not_take_sets_the_message_aside_before_anything_is_stored() -> None:
    fake = FakePacs()
    with serving(fake, classes=NEEDED) as port:
        answer = destination(port).send(PAGED, control_id="E1")
        assert statuses.reaction(answer) == "dead"
        assert "takes no Encapsulated PDF" in answer.reason
        assert not answer.in_doubt
        assert fake.got == []
        assert "takes Comprehensive SR, Key Object Selection Document" in destination(port).check()
        with pytest.raises(Misconfigured, match=r"does not take .*Encapsulated PDF"):
            destination(port, needed=tuple(STORED)).check()


def test_a_pacs_that_takes_implicit_vr_alone_gets_it_and_one_of_another_transfer_syntax_nothing() -> None:
    fake = FakePacs()
    with serving(fake, syntax=ImplicitVRLittleEndian) as port:
        assert statuses.reaction(destination(port).send(PAGED, control_id="E1")) == "done"
    assert [one.SOPInstanceUID for one in fake.got] == [one.SOPInstanceUID for one in objects(PAGED)]
    assert fake.got[1].EncapsulatedDocument == objects(PAGED)[1].EncapsulatedDocument
    with serving(fake, syntax=ExplicitVRBigEndian) as port:
        answer = destination(port).send(PAGED, control_id="E1")
        assert statuses.reaction(answer) == "dead"
        assert "takes no Comprehensive SR (it refused the presentation context" in answer.reason
        with pytest.raises(Misconfigured, match="does not take Comprehensive SR"):
            destination(port).check()
    assert len(fake.got) == 2


def test_a_pacs_that_keeps_an_object_under_another_uid_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that coerces UIDs answers: C-STORE-RSP with another Affected SOP Instance UID."""
    from_pacs = C_STORE_RSP.primitive_to_message

    def renamed(message: Any, primitive: Any) -> None:
        primitive.AffectedSOPInstanceUID = "2.25.99"
        from_pacs(message, primitive)

    monkeypatch.setattr(C_STORE_RSP, "primitive_to_message", renamed)
    with serving(FakePacs()) as port:
        answer = destination(port).send(FORMS["result"], control_id="E1")
    assert statuses.reaction(answer) == "done"
    assert "keeps it under another UID, 2.25.99" in answer.text


def test_a_message_of_another_kind_of_destination_is_set_aside() -> None:
    answer = destination(free_port()).send(b"MSH|^~\\&|\xfc\r", control_id="E1")
    assert statuses.reaction(answer) == "dead"
    assert "another kind" in answer.reason


def test_an_association_that_is_refused_took_nothing() -> None:
    with serving(FakePacs(), require_called=True) as port, pytest.raises(NotReached, match="for good"):
        destination(port, called="ELSE").send(PAGED, control_id="E1")
    with serving(FakePacs(), places=1) as port:
        busy = AE(ae_title="OTHER")
        busy.add_requested_context(VERIFICATION)
        other = busy.associate("127.0.0.1", port)
        assert other.is_established
        with pytest.raises(NotReached, match="for now"):
            destination(port).send(PAGED, control_id="E1")
        other.release()
    with pytest.raises(NotReached, match="no association"):
        destination(free_port()).send(PAGED, control_id="E1")


def instances(peer: Any) -> set[str]:
    root = peer.web.removesuffix("/dicom-web")
    with urllib.request.urlopen(f"{root}/instances") as answer:
        ids = json.load(answer)
    found = set()
    for one in ids:
        with urllib.request.urlopen(f"{root}/instances/{one}/simplified-tags") as answer:
            found.add(json.load(answer)["SOPInstanceUID"])
    return found


def file_of(peer: Any, uid: str) -> bytes:
    root = peer.web.removesuffix("/dicom-web")
    request = urllib.request.Request(f"{root}/tools/lookup", data=uid.encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        found = [one for one in json.load(answer) if one["Type"] == "Instance"]
    with urllib.request.urlopen(f"{root}{found[0]['Path']}/file") as answer:
        content: bytes = answer.read()
    return content


def test_orthanc_keeps_every_form_and_gives_it_back(orthanc: Any, tmp_path: Path) -> None:
    pacs = destination(orthanc.port, called=orthanc.ae_title, needed=tuple(STORED))
    assert "takes Comprehensive SR" in pacs.check()
    sent = set()
    for body in FORMS.values():
        assert statuses.reaction(pacs.send(body, control_id="E1")) == "done"
        sent |= {str(one.SOPInstanceUID) for one in objects(body)}
    assert instances(orthanc) == sent
    for body in FORMS.values():
        for one in objects(body):
            assert errors(file_of(orthanc, one.SOPInstanceUID), tmp_path) == []


def test_the_same_over_mutual_tls(orthanc_over_tls: tuple[Any, TlsFiles]) -> None:
    peer, client = orthanc_over_tls
    pacs = destination(peer.port, called=peer.ae_title, tls=client)
    assert statuses.reaction(pacs.send(FORMS["result"], control_id="E1")) == "done"
    with pytest.raises(NotReached):
        destination(peer.port, called=peer.ae_title).send(FORMS["result"], control_id="E1")


def test_dcmtk_archive_takes_them(dcmqrscp: Any) -> None:
    pacs = destination(dcmqrscp.port, called=dcmqrscp.ae_title)
    for form in ("result", "withdrawal"):
        answer = pacs.send(FORMS[form], control_id="E1")
        assert statuses.reaction(answer) == "done", answer
    assert len(multipart.split(FORMS["withdrawal"])) == 1
