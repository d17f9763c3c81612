"""A hospital in a box: two carts, a drop folder and an EHR on loopback, around the product as a site would run it.

Nothing here is a shortcut: the carts speak DICOM and MLLP to real ports, the folder is pulled and the model started by
the scheduler, results go out by MLLP and wait for the EHR's acknowledgement. Only the people and their ECGs are
invented.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from ecgfm_clinical import telling, wiring
from ecgfm_clinical.demo.console import DemoConsole
from ecgfm_clinical.demo.deliveries import Delivery, Route
from ecgfm_clinical.errors import ClinicalError, InputError
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.testing import cart
from ecgfm_connectors.testing.ehr import EhrReceiver
from ecgfm_connectors.testing.mllp_cart import MllpCart

LOOPBACK = "127.0.0.1"

SETTINGS = """\
# The demo hospital: everything on loopback, everyone in it invented. Look around with
#   ecgfm-clinical status --settings {folder}/settings.toml
[site]
name = "DEMO"
authority = "DEMO"

[store]
url = "sqlite:///staging.sqlite"
min_free_mb = 50

[model]
bundle = {bundle}

[scoring]
every_seconds = 1

[heads.interpretation]
paced = "score"

[learning.rivals]
beside = ["forest"]  # no networks from nothing: they take longer than all the rest

[[listeners.dicom]]
name = "dicom-cart"
host = "{host}"
port = 0

[[listeners.hl7]]
name = "hl7-cart"
host = "{host}"
port = 0

[[sources.folder]]
name = "folder"
path = "drop"
every_seconds = 1
stable_seconds = 0.2

[[destinations.hl7]]
name = "ehr"
host = "{host}"
port = {ehr_port}
receiving_application = "EHR"
receiving_facility = "DEMO"
"""


CONSOLE = """
[web]
port = 0
"""


class DemoFailed(ClinicalError):
    """The demo did not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the sender of one delivery was told."""

    delivery: Delivery
    text: str  #: `0x0000`, `AA`, `taken`, or why it was not taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How far everything has come."""

    sent: int  #: deliveries whose sender has its answer
    received: int  #: ECGs in the store, failed ones included
    judged: int  #: of those, scored, not evaluable or failed
    answered: int  #: different results that reached the EHR, which answers at once
    open: int  #: jobs and messages not finished


class Hospital:
    """Use in a `with` block: `deliver`, then watch `snapshot` until `finished`."""

    def __init__(
        self,
        folder: Path,
        *,
        bundle: str = "demo",
        console: bool = False,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`console`: with the operators' console, which needs the extra `web`."""
        self.folder = folder
        self.settings_path = folder / "settings.toml"
        self.drop = folder / "drop"
        self.ehr = EhrReceiver(LOOPBACK)
        self._bundle = bundle
        self._has_console = console
        self._random_bytes = random_bytes  # the store's secret comes from it, and by that who is in which split
        self._senders = ThreadPoolExecutor(max_workers=3, thread_name_prefix="sender")
        self._answers: list[Answered] = []
        self._sending: list[Future[None]] = []
        self._ended = Event()

    def __enter__(self) -> Self:
        """Write the installation and start every part. Raises InputError, ModelError, StoreError."""
        if self.settings_path.exists():
            raise InputError(f"{self.folder} holds an earlier demo or an installation; name another folder with --out")
        self.drop.mkdir(parents=True, exist_ok=True)
        self.ehr.start()
        self.settings_path.write_text(
            SETTINGS.format(folder=self.folder, host=LOOPBACK, ehr_port=self.ehr.port, bundle=_toml(self._bundle))
            + (CONSOLE if self._has_console else ""),
            encoding="utf-8",
        )
        settings = read_settings(self.settings_path)
        self.store = Store.open(
            settings.store_url,
            create=True,
            random_bytes=self._random_bytes,
            clock=wiring.utc_now,
            telling=telling.build_telling(settings),
        )
        self.console = DemoConsole(settings, self.store) if self._has_console else None
        port = self.console.port if self.console is not None else None
        self.service = Service(settings, "all", self.store, console=port)
        try:
            self.service.start()
        except BaseException:
            self.ehr.stop()
            self.store.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._senders.shutdown(wait=True, cancel_futures=True)
        self.service.stop()
        self.ehr.stop()
        self.store.close()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Let each system send what is its own, all at once, in the background."""
        routes: dict[Route, Callable[[Sequence[Delivery]], None]] = {
            "C-STORE": self._by_dicom,
            "MLLP": self._by_mllp,
            "folder": self._by_folder,
        }
        for route, send in routes.items():
            mine = [one for one in deliveries if one.route == route]
            if mine:
                self._sending.append(self._senders.submit(send, mine))

    @property
    def answers(self) -> tuple[Answered, ...]:
        """What the senders were told so far."""
        return tuple(self._answers)

    def snapshot(self) -> Snapshot:
        counts, backlog = self.store.questions.counts(), self.store.questions.backlog()
        waiting = sum(one.waiting + one.running for one in backlog.destinations.values())
        return Snapshot(
            sent=len(self._answers),
            received=counts.received,
            judged=counts.scored + counts.not_evaluable + counts.failed,
            answered=len({_header(body) for body in self.ehr.messages}),
            open=counts.waiting + backlog.jobs_waiting + backlog.jobs_running + waiting,
        )

    def progress(self, patience: float = 300.0, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Snapshot]:
        """How far everything has come, ten times a second until nothing is left to do; the last one is the end.

        Raises DemoFailed where nothing has moved for `patience` seconds of `clock`, and what a sender met.
        """
        last, since = self.snapshot(), clock()
        while not self.finished():
            seen = self.snapshot()
            yield seen
            if seen != last:
                last, since = seen, clock()
            if clock() - since > patience:
                raise DemoFailed(
                    f"nothing has moved for {patience:.0f} s with {seen.open} jobs or messages open; "
                    f"`ecgfm-clinical status --settings {self.settings_path}` says what waits"
                )
            self._ended.wait(0.1)
        yield self.snapshot()

    def finished(self) -> bool:
        """Everything sent was answered, and nothing in the store waits. Raises what a sender met."""
        for one in self._sending:
            if one.done():
                one.result()
        return all(one.done() for one in self._sending) and self.snapshot().open == 0

    def _by_dicom(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            try:
                [answer] = cart.send(
                    [one.content], host=LOOPBACK, port=self.service.ports["dicom-cart"], calling="DEMO-CART"
                )
                text = f"0x{answer.status:04X} {answer.comment}".strip()
            except (ConnectorError, ValueError) as error:  # ValueError: pynetdicom has no context for this object
                text = f"not sent: {type(error).__name__}"
            self._answers.append(Answered(delivery=one, text=text))

    def _by_mllp(self, deliveries: Sequence[Delivery]) -> None:
        with MllpCart(LOOPBACK, self.service.ports["hl7-cart"]) as sender:
            for one in deliveries:
                try:
                    text: str = sender.send(one.content).code
                except ConnectorError as error:
                    text = f"not sent: {type(error).__name__}"
                self._answers.append(Answered(delivery=one, text=text))

    def _by_folder(self, deliveries: Sequence[Delivery]) -> None:
        """Write under another name and rename, as a careful exporter does, then wait until all were picked up."""
        waiting: dict[Path, Delivery] = {}
        for number, one in enumerate(deliveries):
            path = self.drop / f"{number:04d}-{one.file_name}"
            part = path.with_name(path.name + ".part")
            part.write_bytes(one.content)
            part.rename(path)
            waiting[path] = one
        while waiting and not self._ended.wait(0.05):
            for path in [path for path in waiting if not path.exists()]:
                self._answers.append(Answered(delivery=waiting.pop(path), text="taken"))


def _header(message: bytes) -> bytes:
    """MSH, which is the same in every repeat of a message and in no other."""
    return message.split(b"\r", 1)[0]


def _toml(text: str) -> str:
    """A TOML literal string of a path or name."""
    return f'"{text}"' if "\\" not in text else f"'{text}'"
