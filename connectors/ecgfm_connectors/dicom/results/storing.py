"""A PACS that takes results by C-STORE (PS3.4 Annex B), one association a message.

Fates: no association, also a rejected one, means that nothing was taken (NotReached); an association that ends before
all answers are there leaves the message in doubt (Unreachable), and the same objects with the same UIDs are stored
again. What the PACS answers is judged by `statuses`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType

from ecgfm_connectors.dicom import multipart, server  # noqa: F401 - `server` quietens pynetdicom's log
from ecgfm_connectors.dicom.echo import tls_arguments
from ecgfm_connectors.dicom.results import commitment, statuses
from ecgfm_connectors.dicom.results.commitment import Commitment
from ecgfm_connectors.dicom.results.profile import KEY_OBJECT_SELECTION, REPORT_CLASSES
from ecgfm_connectors.dicom.results.stored import unsure_notes
from ecgfm_connectors.dicom.sop_classes import ENCAPSULATED_PDF, VERIFICATION
from ecgfm_connectors.errors import Misconfigured, NotReached, Unreachable
from ecgfm_connectors.result import Ack
from ecgfm_connectors.tls import TlsFiles

_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_TRANSIENT = 2  # Result of an A-ASSOCIATE-RJ, PS3.8 Table 9-21

#: What a destination may store, by what people call it.
STORED = {
    REPORT_CLASSES["comprehensive"]: "Comprehensive SR",
    REPORT_CLASSES["comprehensive-3d"]: "Comprehensive 3D SR",
    KEY_OBJECT_SELECTION: "Key Object Selection Document",
    ENCAPSULATED_PDF: "Encapsulated PDF",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacs:
    """A storage SCP and how this program calls it."""

    host: str
    port: int
    called: str  #: its application entity title
    calling: str  #: ours
    timeout: float = 30.0  #: s without an answer
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.called} at {self.host}:{self.port}"


class StorageDestination:
    """A Destination (base.py)."""

    def __init__(self, *, name: str, pacs: Pacs, needed: Sequence[str], commitment: Commitment | None = None) -> None:
        """`needed`: the SOP Classes that results of this destination have, for `check`. With `commitment` a message
        is done once the PACS has said that it keeps its objects, where it offers to say so.
        """
        self._name = name
        self._pacs = pacs
        self._needed = tuple(needed)
        self._commitment = commitment

    @property
    def name(self) -> str:
        return self._name

    def send(self, body: bytes, *, control_id: str) -> Ack:
        """Store every object of the message in its order. Raises NotReached, Unreachable, Misconfigured."""
        if not multipart.is_objects(body):
            return statuses.no_objects(control_id)
        objects = [dcmread(BytesIO(one)) for one in multipart.split(body)]
        wanted = dict.fromkeys(str(one.SOPClassUID) for one in objects)
        with self._association(list(wanted)) as (association, named):
            accepted = {context.abstract_syntax for context in association.accepted_contexts}
            for lacking in [uid for uid in wanted if uid not in accepted]:
                return self._no_context(lacking, control_id)
            answer, stored = self._store(association, named, objects, unsure_notes(body), control_id)
        if answer.error_code or self._commitment is None or not stored:
            return answer
        return self._committed(stored, answer)

    def check(self) -> str:
        """C-ECHO, and whether every kind of object would be taken. Raises NotReached, Unreachable, Misconfigured."""
        with self._association([VERIFICATION, *self._needed]) as (association, _):
            accepted = {context.abstract_syntax for context in association.accepted_contexts}
            refused = [STORED[uid] for uid in self._needed if uid not in accepted]
            if refused:
                raise Misconfigured(
                    f"{self._pacs} does not take {', '.join(refused)}: have it accept them, or choose another report "
                    "or no page for this destination"
                )
            if VERIFICATION in accepted and association.send_c_echo().get("Status") != statuses.SUCCESS:
                raise Unreachable(f"{self._pacs} accepted the association but did not answer the C-ECHO")
        return f"{self._pacs} answered C-ECHO and takes {', '.join(STORED[uid] for uid in self._needed)}"

    def close(self) -> None:
        """Does nothing: no association stays open between messages."""

    @contextmanager
    def _association(self, classes: Sequence[str]) -> Iterator[tuple[Association, dict[int, str]]]:
        """An association, and the Affected SOP Instance UID of each response by the message it answers."""
        named = dict[int, str]()
        entity = AE(ae_title=self._pacs.calling)
        for uid in classes:
            entity.add_requested_context(uid, _SYNTAXES)
        association = self._associated(entity, [(evt.EVT_DIMSE_RECV, _note, [named])])
        try:
            self._require_established(association)
            yield association, named
        finally:
            if association.is_established:
                association.release()

    def _associated(self, entity: AE, handlers: list[EventHandlerType]) -> Association:
        """As far as it came about."""
        pacs = self._pacs
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = pacs.timeout
        entity.connection_timeout = min(pacs.timeout, 10.0)
        return entity.associate(
            pacs.host,
            pacs.port,
            ae_title=pacs.called,
            tls_args=tls_arguments(pacs.tls, pacs.host),
            evt_handlers=[*handlers, (evt.EVT_CONN_CLOSE, _wake)],
        )

    def _require_established(self, association: Association) -> None:
        if association.is_established or association.rejected_contexts:  # pynetdicom aborts one without any accepted
            return
        if not association.is_rejected:
            raise NotReached(f"{self._pacs} gave no association; check host, port, firewall and TLS")
        primitive = association.acceptor.primitive
        why = primitive.reason_str if primitive is not None else "no reason"
        if primitive is not None and primitive.result == _TRANSIENT:
            raise NotReached(f"{self._pacs} rejected the association for now ({why})")
        raise NotReached(
            f"{self._pacs} rejected the association for good ({why}); check both AE titles and its list of known "
            "callers: until then everything for it waits"
        )

    def _no_context(self, uid: str, control_id: str) -> Ack:
        sentence = (
            f"the PACS takes no {STORED.get(uid, uid)} (it refused the presentation context or transfer syntax), "
            "so nothing of this message was stored: have it accept them, or choose another report or no page, then "
            "send it again"
        )
        refused = statuses.written(statuses.NO_CONTEXT)
        return Ack(code=refused, control_id=control_id, error_code=refused, reason=sentence)

    def _store(
        self,
        association: Association,
        named: dict[int, str],
        objects: Sequence[Dataset],
        unsure: frozenset[str],
        control_id: str,
    ) -> tuple[Ack, list[Dataset]]:
        """The answer, and what is stored by it. `unsure`: the notes that may have nothing to reject."""
        notes: list[str] = []
        stored: list[Dataset] = []
        code = statuses.written(statuses.SUCCESS)
        for number, one in enumerate(objects, start=1):
            what = f"{STORED.get(str(one.SOPClassUID), 'object')} {one.SOPInstanceUID}"
            answer = association.send_c_store(one, msg_id=number)
            if "Status" not in answer:
                raise Unreachable(f"{self._pacs} ended the association before its answer; everything is sent again")
            status = int(answer.Status)
            said = str(answer.get("ErrorComment", "") or "")
            if statuses.is_stored(status):
                stored.append(one)
            elif not statuses.is_of_no_matter(status, unsure=str(one.SOPInstanceUID) in unsure):
                return _not_taken(status, what, said, control_id, in_doubt=number > 1), stored
            if status != statuses.SUCCESS:
                code = statuses.written(status)
                notes.append(f"{what}: {code}, {statuses.meaning(status)}{'; ' if said else ''}{said}")
            if (kept := named.get(number, "")) not in ("", str(one.SOPInstanceUID)):
                notes.append(f"{what}: the PACS keeps it under another UID, {kept}: recall it there by that one")
        return Ack(code=code, control_id=control_id, text="; ".join(notes)), stored

    def _committed(self, objects: Sequence[Dataset], stored: Ack) -> Ack:
        """`stored`, or why the PACS will not keep what it took."""
        assert self._commitment is not None
        told = commitment.ask(objects, self._commitment, self._associated, calling=self._pacs.calling)
        if told == statuses.NO_CONTEXT:
            return _noted(stored, "the PACS does not offer Storage Commitment")
        if told is None:
            reason = (
                f"the PACS took everything and did not say within {self._commitment.seconds:g} s that it keeps it "
                "(no N-EVENT-REPORT): look there, then send it again"
            )
            return _doubted(stored, commitment.NO_COMMITMENT, reason)
        if isinstance(told, int):
            code = statuses.written(told)
            return _doubted(stored, code, f"the PACS took everything and no question for commitment: {code}")
        classes = {str(one.SOPInstanceUID): STORED.get(str(one.SOPClassUID), "object") for one in objects}
        for uid, why in told.failed.items():
            code, what = statuses.written(why), classes.get(uid, "object")
            reason = f"the PACS took the {what} and will not keep it: {code}, {statuses.meaning(why)}"
            return _doubted(stored, code, reason)
        return _noted(stored, "the PACS has committed itself to keep it")


def _noted(stored: Ack, said: str) -> Ack:
    return replace(stored, text="; ".join(filter(None, (stored.text, said))))


def _doubted(stored: Ack, code: str, reason: str) -> Ack:
    return replace(stored, code=code, error_code=code, reason=reason, in_doubt=True)


def _not_taken(status: int, what: str, said: str, control_id: str, *, in_doubt: bool) -> Ack:
    """In doubt where an earlier object of the same message was stored."""
    code = statuses.written(status)
    reason = f"the PACS did not take the {what.split(' 2.')[0]}: {code}, {statuses.meaning(status)}"
    return Ack(
        code=code, control_id=control_id, error_code=code, text=f"{what}: {said}", reason=reason, in_doubt=in_doubt
    )


def _wake(event: Event) -> None:
    """Whoever waits for an answer on a connection that has ended hears so; pynetdicom 3.0 lets it wait for its time-out
    where the abort comes at the wrong moment.
    """
    event.assoc.dimse.msg_queue.put((None, None))


def _note(event: Event, named: dict[int, str]) -> None:
    """Remember the Affected SOP Instance UID of a C-STORE-RSP, which is the UID that the PACS speaks of."""
    command = event.message.command_set
    if "AffectedSOPInstanceUID" in command and "MessageIDBeingRespondedTo" in command:
        named[int(command.MessageIDBeingRespondedTo)] = str(command.AffectedSOPInstanceUID)
