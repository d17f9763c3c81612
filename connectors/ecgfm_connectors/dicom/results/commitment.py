"""Storage Commitment: has a PACS say that it keeps for good what it took (PS3.4 Annex J, Push Model).

The question (N-ACTION) goes over an association of its own. The answer (N-EVENT-REPORT) may come over the same one, or
over one that the PACS opens to a port of ours, for which this program then listens while it waits.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType

from ecgfm_connectors.dicom.results import statuses
from ecgfm_connectors.errors import Misconfigured, Unreachable

PUSH_MODEL = "1.2.840.10008.1.20.1"
_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known SOP Instance that is asked
_REQUEST = 1  # Action Type ID
_LOOK = 0.2  # s between looks at whether the association still stands

#: Codes of acknowledgements that are no status of an object.
NO_COMMITMENT = "no-commitment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """How long a PACS may take, and where it may call."""

    seconds: float
    host: str = "0.0.0.0"  #: of this machine
    port: int | None = None  #: None: the answer comes over the association of the question alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What the PACS says of the objects; `failed`: SOP Instance UID → Failure Reason (0008,1197)."""

    failed: dict[str, int]


class _Answer:
    """The report on one transaction, whichever association it comes by."""

    def __init__(self, transaction: str, asked: frozenset[str]) -> None:
        self._transaction = transaction
        self._asked = asked
        self._named: set[str] = set()
        self._came = threading.Event()
        self._failed: dict[str, int] = {}

    def take(self, event: Event) -> tuple[int, None]:
        """Of an earlier question too: it is answered, and counts for nothing."""
        told = event.event_information
        if told.get("TransactionUID") == self._transaction:
            self._failed = {
                str(one.get("ReferencedSOPInstanceUID", "")): int(one.get("FailureReason", 0x0110))
                for one in told.get("FailedSOPSequence", ())
            }
            kept = {str(one.get("ReferencedSOPInstanceUID", "")) for one in told.get("ReferencedSOPSequence", ())}
            self._named = kept | self._failed.keys()
            self._came.set()
        return 0x0000, None

    def wait(self, seconds: float, *, alone: bool, association: Association) -> Committed | None:
        """None where nothing came, or a part of the objects is not named. `alone`: once the association has ended
        nothing can come any more.
        """
        give_up = time.monotonic() + seconds
        while not self._came.wait(min(_LOOK, max(0.0, give_up - time.monotonic()))):
            if time.monotonic() >= give_up or (alone and not association.is_established):
                return None
        return Committed(failed=self._failed) if self._failed or self._asked <= self._named else None


def ask(
    objects: Sequence[Dataset],
    wanted: Commitment,
    associate: Callable[[AE, list[EventHandlerType]], Association],
    *,
    calling: str,
    unique: Callable[[], UUID] = uuid4,
) -> Committed | int | None:
    """What the PACS says; None where nothing came in time, a status where it does not take the question: 0x0122 where
    it does not offer Storage Commitment. Raises Misconfigured where the port is taken, and as `associate` does.
    """
    transaction = f"2.25.{unique().int}"
    answer = _Answer(transaction, frozenset(str(one.SOPInstanceUID) for one in objects))
    entity = AE(ae_title=calling)
    entity.add_requested_context(PUSH_MODEL)
    with _listening(wanted, answer, calling):
        association = associate(entity, [(evt.EVT_N_EVENT_REPORT, answer.take)])
        try:
            if association.rejected_contexts:  # pynetdicom aborts an association without any other
                return statuses.NO_CONTEXT
            if not association.is_established:
                raise Unreachable("the PACS took everything and gave no association for the question for commitment")
            status, _ = association.send_n_action(_question(transaction, objects), _REQUEST, PUSH_MODEL, _INSTANCE)
            if "Status" not in status:
                raise Unreachable("the PACS ended the association before it answered the question for commitment")
            if status.Status != statuses.SUCCESS:
                return int(status.Status)
            return answer.wait(wanted.seconds, alone=wanted.port is None, association=association)
        finally:
            if association.is_established:
                association.release()


def _question(transaction: str, objects: Sequence[Dataset]) -> Dataset:
    question = Dataset()
    question.TransactionUID = transaction
    references = []
    for one in objects:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        references.append(reference)
    question.ReferencedSOPSequence = references
    return question


@contextmanager
def _listening(wanted: Commitment, answer: _Answer, calling: str) -> Iterator[None]:
    """The port to which the PACS reports; it proposes itself as the SCP of the association that it opens."""
    if wanted.port is None:
        yield
        return
    entity = AE(ae_title=calling)
    entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
    entity.require_called_aet = True
    try:
        server = entity.start_server(
            (wanted.host, wanted.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, answer.take)]
        )
    except OSError as error:
        where = f"{wanted.host}:{wanted.port}"
        raise Misconfigured(f"the port for reports of storage commitment, {where}, cannot be opened") from error
    try:
        yield
    finally:
        if server is not None:
            server.shutdown()
