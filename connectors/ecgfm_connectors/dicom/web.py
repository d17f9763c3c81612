"""Pull ECGs from an archive over DICOMweb on schedule: QIDO-RS by whole days, WADO-RS for each ECG object (PS3.18 §10).

Needs the package `httpx` (extra `dicomweb`). Whole instances are fetched: archives differ in how they hand out bulk
data.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple  # Any: DICOM JSON
from urllib.parse import urlsplit, urlunsplit

import httpx

from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Verdict
from ecgfm_connectors.dicom.multipart import parts
from ecgfm_connectors.dicom.sop_classes import stored
from ecgfm_connectors.errors import ConnectorError, Misconfigured, ProtocolViolation, Unreachable
from ecgfm_connectors.http_answer import bounded
from ecgfm_connectors.http_client import direct_client
from ecgfm_connectors.times import parse_date
from ecgfm_connectors.tls import TlsFiles

logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes the whole URL of each request at INFO

_PAGE = 200
_MAX_OBJECT = 64 * 2**20
_LONGEST_ANSWER = 300.0  # s; an object of this size by a slow line takes less
_STUDY_DATE, _STUDY_UID, _INSTANCES = "00080020", "0020000D", "00201208"
_SERIES_UID, _SOP_CLASS, _SOP_UID = "0020000E", "00080016", "00080018"
_DicomJson = Mapping[str, Any]


class DicomWebSource:
    """A Source (base.py) that asks a DICOMweb server."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        tls: TlsFiles | None = None,
        modality: str = "ECG",
        documents: bool = False,
        overlap: timedelta = timedelta(days=2),
        lookback: timedelta = timedelta(days=7),
        connections: int = 4,
        timeout: float = 60.0,
    ) -> None:
        """`url` is the service root (`https://pacs/dicom-web`); `headers` carry an Authorization where one is
        needed.
        """
        self._name = name
        self._asked = url.rstrip("/")
        self._url = without_secrets(self._asked)  # what is said of it
        self._headers = dict(headers or {})
        self._tls = tls
        self._modality = modality
        self._classes = stored(documents=documents)
        self._overlap = overlap
        self._lookback = lookback
        self._connections = connections
        self._timeout = timeout
        self._complete: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self._name

    def check(self) -> str:
        """A query for one study. Raises Unreachable, Misconfigured."""
        with self._client() as client:
            self._query(client, "/studies", {"limit": "1"})
        return f"{self._url} answered a QIDO-RS query"

    def pull(self, handle: Handler, *, cursor: str | None, now: datetime) -> PullReport:
        """As `RetrieveSource.pull`. Raises Unreachable, Misconfigured."""
        first = date.fromisoformat(cursor) - self._overlap if cursor else now.date() - self._lookback
        report = self.retrieve(handle, first=first, last=now.date() + timedelta(days=1), now=now)
        return replace(report, cursor=now.date().isoformat() if not report.problems else cursor)

    def retrieve(self, handle: Handler, *, first: date, last: date, now: datetime) -> PullReport:
        """As `RetrieveSource.retrieve`. Raises Unreachable, Misconfigured."""
        problems: list[str] = []
        with self._client() as client, ThreadPoolExecutor(self._connections) as pool:
            studies = self._studies(client, first, last)
            wanted = [uid for uid, count in studies.items() if count is None or self._complete.get(uid) != count]
            paths = [path for paths in pool.map(lambda uid: self._instances(client, uid), wanted) for path in paths]
            verdicts = list(self._fetch_all(client, pool, paths, handle, now, problems))
        if any(verdict.disposition is Disposition.TRY_LATER for verdict in verdicts):
            problems.append("some objects could not be kept; they are asked for again")
        if not problems:
            self._complete = {uid: count for uid, count in studies.items() if count is not None}
        return PullReport(
            cursor=None,
            offered=len(paths),
            verdicts=tuple(verdicts),
            problems=tuple(problems),
        )

    def _fetch_all(
        self,
        client: httpx.Client,
        pool: ThreadPoolExecutor,
        paths: list[str],
        handle: Handler,
        now: datetime,
        problems: list[str],
    ) -> Iterator[Verdict]:
        """Fetch over several connections, hand over one after another."""
        for fetched in pool.map(lambda path: self._fetch(client, path), paths):
            if isinstance(fetched, ConnectorError):
                problems.append(str(fetched))
                continue
            yield handle(
                Received(transport="dicomweb", source=self._name, content=fetched, received_at=now, peer=self._url)
            )

    def _client(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=self._connections)
        return direct_client(headers=self._headers, tls=self._tls, timeout=self._timeout, limits=limits)

    def _studies(self, client: httpx.Client, first: date, last: date) -> dict[str, int | None]:
        """Study -> its number of instances where the server states it; the answer's dates are checked again."""
        found: dict[str, int | None] = {}
        query = {"StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}", "ModalitiesInStudy": self._modality}
        query["includefield"] = _INSTANCES
        for offset in range(0, 1_000_000, _PAGE):
            page = self._query(client, "/studies", query | {"limit": str(_PAGE), "offset": str(offset)})
            before = len(found)
            for study in page:
                day, uid = parse_date(str(_value(study, _STUDY_DATE))), str(_value(study, _STUDY_UID))
                if uid and (day is None or first <= day <= last):
                    count = str(_value(study, _INSTANCES))
                    found[uid] = int(count) if count.isdigit() else None
            if len(page) < _PAGE or len(found) == before:  # the last page, or a server that knows no offset
                break
        return found

    def _instances(self, client: httpx.Client, study: str) -> list[str]:
        """WADO-RS paths of the study's ECG objects, by SOP Class."""
        found = []
        for instance in self._query(client, f"/studies/{study}/instances", {"includefield": _SOP_CLASS}):
            if str(_value(instance, _SOP_CLASS)) in self._classes:
                series, uid = _value(instance, _SERIES_UID), _value(instance, _SOP_UID)
                found.append(f"/studies/{study}/series/{series}/instances/{uid}")
        return found

    def _query(self, client: httpx.Client, path: str, query: Mapping[str, str]) -> list[_DicomJson]:
        answer = self._get(client, path, {"Accept": "application/dicom+json"}, query)
        if not answer.content:  # 204: nothing matches
            return []
        try:
            items = json.loads(answer.content)
        except ValueError as error:
            raise Misconfigured(f"{self._url} answers a query with something that is no JSON; check the URL") from error
        if not isinstance(items, list):
            raise Misconfigured(f"{self._url} answers a query with something that is no list of studies; check the URL")
        return [item for item in items if isinstance(item, dict)]

    def _fetch(self, client: httpx.Client, path: str) -> bytes | ConnectorError:
        """One Part 10 object, or the reason why there is none."""
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        try:
            answer = self._get(client, path, accept, {})
            found = parts(answer.content, answer.content_type)
        except ConnectorError as error:
            return error
        return found[0] if found else ProtocolViolation("a WADO-RS answer without a part")

    def _get(self, client: httpx.Client, path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> "_Answer":
        try:
            with client.stream("GET", self._asked + path, headers=dict(headers), params=dict(query)) as response:
                content = bounded(response.iter_bytes(), where=self._url, longest=_MAX_OBJECT, seconds=_LONGEST_ANSWER)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(
                f"{self._url} does not answer: {type(error).__name__}; check URL, network and TLS"
            ) from error
        status = response.status_code
        if status in (401, 403):
            raise Misconfigured(f"{self._url} refuses us (HTTP {status}); check the credentials")
        if status >= 500 or status in (408, 429):
            raise Unreachable(f"{self._url} cannot answer now (HTTP {status})")
        if status >= 300:
            raise Misconfigured(f"{self._url} answers HTTP {status} to a DICOMweb request; check the URL")
        return _Answer(content, response.headers.get("Content-Type", ""))


def without_secrets(url: str) -> str:
    """A URL as it may be printed: without user and password, and without a query, which may hold a token."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


class _Answer(NamedTuple):
    content: bytes
    content_type: str


def _value(item: _DicomJson, tag: str) -> object:
    """The first value of a tag in the DICOM JSON model (PS3.18 F.2); an empty string where there is none."""
    values = item.get(tag, {}).get("Value") if isinstance(item.get(tag), dict) else None
    return values[0] if isinstance(values, list) and values else ""
