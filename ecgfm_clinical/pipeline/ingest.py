"""Takes a received payload, reads it, and stages its contents once, with a score job for each ECG."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from threading import Lock

from ecgfm_clinical import log
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.pipeline.page_words import ReadWords, unread, with_words
from ecgfm_clinical.staging.intake import CAUTIOUS
from ecgfm_clinical.staging.records import Trust
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable

Read = Callable[[bytes], Contents]

SMALL = 2**20  #: bytes; a resting ECG of 10 s has 0.1 to 0.3 MB in any format


class Ingest:
    """The Handler of every listener and source.

    `read` decodes a payload; `trust` says what its sender may decide by itself; `clock` gives the time of the commit.
    """

    def __init__(
        self,
        store: Store,
        *,
        read: Read,
        clock: Callable[[], datetime],
        trust: Trust = CAUTIOUS,
        meters: Meters | None = None,
        elapsed: Callable[[], float] = time.perf_counter,
        words: ReadWords = unread,
    ) -> None:
        """`elapsed` gives seconds that pass, for the meters; `words` reads the PDFs of other systems."""
        self._words = words
        self._store = store
        self._meters = meters or Meters()
        self._elapsed = elapsed
        self._read = read
        self._trust = trust
        self._clock = clock
        self._turn = Lock()

    def __call__(self, received: Received) -> Verdict:
        """Stage one payload. Any verdict but TRY_LATER means it is committed, with its reason where it was not
        taken.
        """
        try:
            began = self._elapsed()
            contents = self._decode(received.content)
            if isinstance(contents, Contents):
                contents = with_words(contents, self._words)  # slow, so out of the turn of the small ones
            self._meters.decoded(received.source, self._elapsed() - began)
            verdict = self._store.intake.record(
                received, contents, now=self._clock(), actor=received.source, trust=self._trust
            )
        except StoreUnavailable:
            self._meters.received(received.source, Disposition.TRY_LATER.value, "", size=len(received.content))
            text = "the staging store does not answer, or its disk is nearly full; send it again later"
            log.warning("payload.turned-away", source=received.source, transport=received.transport)
            return Verdict(disposition=Disposition.TRY_LATER, code="store-unavailable", text=text)
        self._meters.received(received.source, verdict.disposition.value, verdict.code, size=len(received.content))
        needs_a_look = verdict.disposition is Disposition.UNREADABLE or verdict.code == "patient-mismatch"
        tell = log.warning if needs_a_look else log.event
        tell(
            f"payload.{verdict.disposition.value}",
            source=received.source,
            transport=received.transport,
            bytes=len(received.content),
            code=verdict.code or None,
            ecg_ids=",".join(map(str, verdict.ecg_ids)) or None,
        )
        return verdict

    def _decode(self, content: bytes) -> Contents | PayloadError:
        # Python runs one thread at a time. Small payloads, a few milliseconds each, are read sooner one after the other
        # than in turns with each other and with the commit of the payload before; a large payload holds no one up.
        turn = self._turn if len(content) < SMALL else nullcontext()
        try:
            with turn:
                contents = self._read(content)
        except PayloadError as error:
            return error
        except StoreUnavailable:  # which knows the merges that a payload may presuppose
            raise
        except Exception as error:  # noqa: BLE001  a decoder's own fault: keep the bytes, a later version may read them
            return Unreadable("decoder-fault", f"the decoder failed with {type(error).__name__}; the payload is kept")
        if contents == Contents(findings=contents.findings):
            return Refused("no-ecg", "holds no ECG, outcome or identity event")
        return contents
