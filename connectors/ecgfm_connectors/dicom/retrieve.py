"""Pull ECGs from a DICOM archive on schedule: C-FIND by whole days, then C-MOVE with UID lists to this program, or
C-GET.

A retrieved study is asked for again only when the archive says that it has grown; after a restart every study inside
the overlap is asked for once more, which does no harm: staging knows each SOP Instance UID.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, cast  # Any: pynetdicom's handlers and roles

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import build_role

from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Verdict
from ecgfm_connectors.dicom.echo import echo, require_established, tls_arguments
from ecgfm_connectors.dicom.part10 import wrap
from ecgfm_connectors.dicom.query import STUDY_ROOT_FIND, FoundStudy, find_series, find_studies
from ecgfm_connectors.dicom.sop_classes import TRANSFER_SYNTAXES, stored
from ecgfm_connectors.dicom.storage import MAX_PDU, StorageScp, status_of
from ecgfm_connectors.dicom.values import number
from ecgfm_connectors.errors import Interrupted, Misconfigured, Unreachable
from ecgfm_connectors.tls import TlsFiles

STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
_MESSAGE_ID = 1  # of the one request of an association
_PENDING = (0xFF00, 0xFF01)
_WARNING = 0xB000  # sub-operations complete, one or more failures
_DESTINATION_UNKNOWN = 0xA801


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A Query/Retrieve SCP and how this program calls it."""

    host: str
    port: int
    ae_title: str  #: the archive's application entity title
    calling: str = "ECGFM"  #: this program's title, and the C-MOVE destination in the archive's table
    timeout: float = 60.0  #: s without an answer
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"


@dataclass(slots=True)
class _Pull:
    """The studies, verdicts and problems of one pull so far."""

    verdicts: list[Verdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    interrupted: Interrupted | None = None  #: by the handler: the archive is told, and nothing more is asked for

    def keeping(self, handle: Handler) -> Handler:
        """`handle` with its verdicts noted."""

        def keep(received: Received) -> Verdict:
            if self.interrupted is not None:
                raise self.interrupted
            try:
                verdict = handle(received)
            except Interrupted as interrupted:
                self.interrupted = interrupted
                raise
            self.verdicts.append(verdict)
            return verdict

        return keep


class RetrieveSource:
    """A Source (base.py) that asks an archive."""

    def __init__(
        self,
        *,
        name: str,
        archive: Archive,
        method: Literal["move", "get"] = "move",
        receive_host: str = "0.0.0.0",
        receive_port: int | None = None,
        modality: str = "ECG",
        documents: bool = False,
        overlap: timedelta = timedelta(days=2),
        lookback: timedelta = timedelta(days=7),
        batch: int = 50,
    ) -> None:
        """`receive_port` opens a port of this program for the time of a C-MOVE; without it, the archive must send to a
        listener that is always open, and only counts are reported. `lookback` is how far the first pull goes.
        `documents`: texts and PDFs of other systems are asked for too (`sop_classes`).
        """
        self._name = name
        self._archive = archive
        self._method = method
        self._receive = (receive_host, receive_port)
        self._modality = modality
        self._documents = documents
        self._overlap = overlap
        self._lookback = lookback
        self._batch = batch
        self._complete: dict[str, int] = {}  # study -> instances it had when it was retrieved whole

    @property
    def name(self) -> str:
        return self._name

    def check(self) -> str:
        """C-ECHO. Raises Unreachable, Misconfigured."""
        archive = self._archive
        return echo(
            host=archive.host,
            port=archive.port,
            called=archive.ae_title,
            calling=archive.calling,
            timeout=min(archive.timeout, 10.0),
            tls=archive.tls,
        )

    def pull(self, handle: Handler, *, cursor: str | None, now: datetime) -> PullReport:
        """Studies from the cursor's day minus the overlap up to tomorrow (archives in other zones).

        The cursor is a day; it moves on only when nothing is left to be fetched. Raises Unreachable, Misconfigured.
        """
        since = date.fromisoformat(cursor) - self._overlap if cursor else now.date() - self._lookback
        report = self.retrieve(handle, first=since, last=now.date() + timedelta(days=1), now=now)
        return replace(report, cursor=now.date().isoformat() if not report.problems else cursor)

    def retrieve(self, handle: Handler, *, first: date, last: date, now: datetime) -> PullReport:
        """Studies from one day to another, both included. Raises Unreachable, Misconfigured."""
        pull = _Pull()
        with self._association(self._query_contexts) as association:
            studies = find_studies(association, modality=self._modality, first=first, last=last)
            wanted = [study for study in studies if not self._has_all(study)]
            whole, mixed = self._plan(association, wanted)
        with self._receiver(handle, pull, now) as counted:
            for start in range(0, len(whole), self._batch):
                self._retrieve([(study.uid, "") for study in whole[start : start + self._batch]], handle, pull, now)
            for study, series in mixed:
                self._retrieve([(study.uid, uid) for uid in series], handle, pull, now)
        if counted and any(verdict.disposition is Disposition.TRY_LATER for verdict in pull.verdicts):
            pull.problems.append("some objects could not be kept; they are asked for again")
        if not pull.problems:
            self._remember(studies)
        return PullReport(
            cursor=None,
            offered=len(wanted),
            verdicts=tuple(pull.verdicts),
            problems=tuple(pull.problems),
        )

    def _has_all(self, study: FoundStudy) -> bool:
        return study.instances is not None and self._complete.get(study.uid) == study.instances

    def _remember(self, studies: Sequence[FoundStudy]) -> None:
        """Forget the studies outside the window, so that the memory of complete studies never grows."""
        self._complete = {study.uid: study.instances for study in studies if study.instances is not None}

    def _plan(
        self, association: Association, studies: Sequence[FoundStudy]
    ) -> tuple[list[FoundStudy], list[tuple[FoundStudy, list[str]]]]:
        """Studies to take whole, and the ECG series of studies that hold other objects too, or whose modalities are
        unknown.
        """
        whole, mixed = [], []
        for study in studies:
            if study.only == self._modality:
                whole.append(study)
            elif series := find_series(association, study.uid, modality=self._modality):
                mixed.append((study, series))
        return whole, mixed

    def _retrieve(self, keys: Sequence[tuple[str, str]], handle: Handler, pull: _Pull, now: datetime) -> None:
        """One request for all `keys` (study, series); where it fails, smaller requests: a bad study never stops the
        others.
        """
        problem = f"{self._archive} did not deliver all objects of one study"
        try:
            delivered = self._request(keys, handle, pull, now)
        except Unreachable as error:
            delivered, problem = False, str(error)
        if pull.interrupted is not None:
            raise pull.interrupted
        if delivered:
            return
        for smaller in self._smaller(keys):
            problem = ""
            self._retrieve([smaller], handle, pull, now)
        if problem:
            pull.problems.append(problem)

    def _smaller(self, keys: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Single studies of a batch; the ECG series of a study, which may hold objects of other classes."""
        if len(keys) > 1:
            return list(keys)
        ((study, series),) = keys
        if series:
            return []
        try:
            with self._association(self._query_contexts) as association:
                return [(study, uid) for uid in find_series(association, study, modality=self._modality)]
        except Unreachable:
            return []

    def _request(self, keys: Sequence[tuple[str, str]], handle: Handler, pull: _Pull, now: datetime) -> bool:
        """Whether the archive says that every object was delivered. Raises Misconfigured, Unreachable."""
        identifier = Dataset()
        studies = list(dict.fromkeys(study for study, _ in keys))
        series = [uid for _, uid in keys if uid]
        identifier.QueryRetrieveLevel = "SERIES" if series else "STUDY"
        identifier.StudyInstanceUID = studies if len(studies) > 1 else studies[0]
        if series:
            identifier.SeriesInstanceUID = series if len(series) > 1 else series[0]
        before = len(pull.verdicts)
        if self._method == "get":
            with self._association(self._get_contexts, self._keep(handle, pull, now)) as association:
                responses = association.send_c_get(identifier, STUDY_ROOT_GET)
                completed = self._completed(responses, association, STUDY_ROOT_GET, pull)
        else:
            with self._association(self._move_contexts) as association:
                responses = association.send_c_move(identifier, self._archive.calling, STUDY_ROOT_MOVE)
                completed = self._completed(responses, association, STUDY_ROOT_MOVE, pull)
            if self._receive[1] is None:  # the objects go to a listener that this source does not see
                return completed
        return completed and len(pull.verdicts) > before  # success without an object is no delivery

    def _completed(
        self, responses: Iterator[tuple[Dataset, Dataset | None]], association: Association, model: str, pull: _Pull
    ) -> bool:
        """Read the responses of one C-MOVE or C-GET; the final one counts. Where the pull is interrupted, the archive
        is asked to cancel (PS3.7 §9.3.2.3).
        """
        cancelled = False
        for status, _ in responses:
            if pull.interrupted is not None and not cancelled and association.is_established:
                association.send_c_cancel(_MESSAGE_ID, query_model=model)
                cancelled = True
            if "Status" not in status:
                raise Unreachable(f"{self._archive} ended the association during a retrieve")
            if status.Status in _PENDING:
                continue
            if status.Status == _DESTINATION_UNKNOWN:
                raise Misconfigured(
                    f"{self._archive} does not know the move destination {self._archive.calling} (0xA801)"
                )
            if status.Status not in (0x0000, _WARNING):
                raise Unreachable(f"{self._archive} answered a retrieve with status 0x{status.Status:04X}")
            failed = number(status, "NumberOfFailedSuboperations") or 0
            return status.Status == 0x0000 and failed == 0
        raise Unreachable(f"{self._archive} gave no final answer to a retrieve")

    @contextmanager
    def _receiver(self, handle: Handler, pull: _Pull, now: datetime) -> Iterator[bool]:
        """This program's port for the time of a C-MOVE, where `receive_port` is set."""
        host, port = self._receive
        if self._method == "get" or port is None:
            yield self._method == "get"
            return

        scp = StorageScp(
            name=self._name,
            ae_title=self._archive.calling,
            host=host,
            port=port,
            handler=pull.keeping(handle),
            clock=lambda: now,
            documents=self._documents,
            tls=self._archive.tls,
        )
        scp.start()
        try:
            yield True
        finally:
            scp.stop()

    def _keep(self, handle: Handler, pull: _Pull, now: datetime) -> list[Any]:
        """Event handlers for the objects that a C-GET brings over its own association."""
        keep = pull.keeping(handle)

        def on_store(event: Event) -> int:
            request = cast("C_STORE", event.request)
            received = Received(
                transport="dicom",
                source=self._name,
                content=wrap(
                    event.encoded_dataset(include_meta=False),
                    sop_class=str(request.AffectedSOPClassUID),
                    sop_instance=str(request.AffectedSOPInstanceUID),
                    transfer_syntax=str(event.context.transfer_syntax),
                ),
                received_at=now,
                peer=str(self._archive),
            )
            try:
                verdict = keep(received)
            except Exception:  # noqa: BLE001 - outermost edge: a failing handler means "not kept", as in StorageScp
                verdict = Verdict(disposition=Disposition.TRY_LATER, text="not stored")
                pull.verdicts.append(verdict)
            return status_of(verdict)

        return [(evt.EVT_C_STORE, on_store)]

    def _query_contexts(self, entity: AE) -> None:
        entity.add_requested_context(STUDY_ROOT_FIND)

    def _move_contexts(self, entity: AE) -> None:
        entity.add_requested_context(STUDY_ROOT_MOVE)

    def _get_contexts(self, entity: AE) -> None:
        entity.add_requested_context(STUDY_ROOT_GET)
        for uid in stored(documents=self._documents):
            entity.add_requested_context(uid, list(TRANSFER_SYNTAXES))

    @contextmanager
    def _association(
        self, add_contexts: Callable[[AE], None], handlers: list[Any] | None = None
    ) -> Iterator[Association]:
        archive = self._archive
        entity = AE(ae_title=archive.calling)
        add_contexts(entity)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = archive.timeout
        entity.connection_timeout = min(archive.timeout, 10.0)
        classes = stored(documents=self._documents)
        roles: list[Any] | None = [build_role(uid, scp_role=True) for uid in classes] if handlers else None
        association = entity.associate(
            archive.host,
            archive.port,
            ae_title=archive.ae_title,
            max_pdu=MAX_PDU,
            ext_neg=roles,
            evt_handlers=handlers,
            tls_args=tls_arguments(archive.tls, archive.host),
        )
        require_established(association, str(archive))
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
