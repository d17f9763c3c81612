"""Running the product: `run`, and one pass by hand of what it does: `ingest`, `pull`, `score`, `send`."""

import gc
import os
import signal
import sys
import threading
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import (
    JsonOption,
    SettingsOption,
    console,
    gathered,
    opened,
    opened_to_act,
    progress,
    say,
    write_json,
)

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store
    from ecgfm_clinical.web.server import WebPort
    from ecgfm_connectors.base import Handler, Verdict

EXIT_HANGS = 70  # EX_SOFTWARE of sysexits.h


class RoleChoice(StrEnum):
    """Which part of the work this process does."""

    connect = "connect"
    score = "score"
    report = "report"
    web = "web"
    all = "all"


def run(
    settings: SettingsOption = None,
    role: Annotated[
        RoleChoice,
        typer.Option(
            help="connect: listeners and pulls; score: the model; report: results out; web: the console; all: "
            "everything, the console where the settings have [web]."
        ),
    ] = RoleChoice.all,
) -> None:
    """Run the service until SIGTERM, SIGHUP or Ctrl-C; what is under way is finished first.

    Settings that changed count from the next start on.

    Events are JSON lines on standard error and never name a patient. Any number of processes of each role may share one
    PostgreSQL store. Exits with 70 where a task hangs, so that systemd or Docker starts it anew.
    """
    from ecgfm_clinical import log
    from ecgfm_clinical.service.notifying import Notifier
    from ecgfm_clinical.service.service import Service
    from ecgfm_clinical.service.watch import alarm

    log.setup()
    threading.excepthook = log.thread_died
    with opened(settings) as (read, store):
        console = _console(read, store, role)
        service = Service(
            read,
            role.value,
            store,
            put_off_alarm=alarm,
            notifier=Notifier(),
            console=console,
            chores={"sign-ins": console.tidy} if console is not None else {},
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has SIGHUP
                signal.signal(number, lambda *_: service.request_stop())
        service.start()
        # Whatever is loaded by now stays: garbage is looked for among the rest. pynetdicom looks for it all every sixty
        # callers, in the thread that accepts them, and no thread runs meanwhile.
        gc.freeze()
        service.wait()
        service.stop()
        if service.hangs:
            os._exit(EXIT_HANGS)  # a thread that hangs, perhaps outside Python, would hold an orderly end for ever


def _console(settings: "Settings", store: "Store", role: RoleChoice) -> "WebPort | None":
    """The port of the console, where this process has it. Raises MissingExtra, SettingsError."""
    if not (role is RoleChoice.web or (role is RoleChoice.all and settings.web is not None)):
        return None
    from ecgfm_clinical.extras import need

    need("web", "the console")
    from ecgfm_clinical.web.server import build_port

    return build_port(settings, store)


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="ECG files, or folders that are searched for them.")],
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stage ECG files. One line a file: path, ECG id, status (staged | duplicate | refused | unreadable), reason.

    Refused and unreadable files are kept in the store with their reason. Exits with 1 where a file could not be staged.
    """
    from ecgfm_clinical import wiring
    from ecgfm_connectors.base import Disposition

    found = gathered(paths)
    lines = []
    with opened_to_act(settings) as (read, store):
        handle = wiring.build_ingest(read, store, "ingest")
        for path in progress(found, "Staging"):
            verdict = _stage(path, handle)
            line: dict[str, object] = {
                "path": str(path),
                "ecg_id": list(verdict.ecg_ids),
                "status": verdict.disposition.value,
                "reasons": [verdict.code] if verdict.code else [],
                "text": verdict.text,
            }
            lines.append(line)
            if not as_json:
                sys.stdout.write(_line(line))
    if as_json:
        write_json(lines)
    if any(line["status"] not in (Disposition.STAGED.value, Disposition.DUPLICATE.value) for line in lines):
        raise typer.Exit(1)


def _stage(path: Path, handle: "Handler") -> "Verdict":
    from ecgfm_clinical import wiring
    from ecgfm_clinical.files.reading import receive
    from ecgfm_connectors.base import Disposition, Verdict
    from ecgfm_connectors.errors import PayloadError, Refused

    try:
        return handle(receive(path, now=wiring.utc_now()))
    except PayloadError as error:  # not even its bytes can be had, so there is nothing to keep
        disposition = Disposition.REFUSED if isinstance(error, Refused) else Disposition.UNREADABLE
        return Verdict(disposition=disposition, code=error.code, text=error.text)


def _line(line: dict[str, object]) -> str:
    ids = ",".join(map(str, line["ecg_id"])) if isinstance(line["ecg_id"], list) else ""
    return f"{line['path']}, {ids or '-'}, {line['status']}{', ' + str(line['text']) if line['text'] else ''}\n"


def pull(
    sources: Annotated[list[str] | None, typer.Argument(help="Names of sources; all if none is given.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask each source once for what is new, as the schedule does; one that a person paused is passed over."""
    from ecgfm_clinical import connections, wiring
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.service import schedule
    from ecgfm_clinical.staging.pauses import Part

    results: list[dict[str, object]] = []
    with opened_to_act(settings) as (read, store):
        named = {part.name: part for part in read.sources.all}
        if unknown := sorted(set(sources or ()) - set(named)):
            raise InputError(f"no source named {', '.join(unknown)}; the settings name {', '.join(named) or 'none'}")
        for name in sources or named:
            if store.pauses.stops(Part(kind="source", name=name)):
                results.append({"source": name, "paused": True})
                continue
            handle = wiring.build_ingest(read, store, name)
            report = schedule.pull(connections.build_source(read, named[name]), handle, store, now=wiring.utc_now())
            statuses = [verdict.disposition.value for verdict in report.verdicts]
            results.append({"source": name, "offered": report.offered, **{s: statuses.count(s) for s in set(statuses)}})
    if as_json:
        write_json(results)
    for result in () if as_json else results:
        say(", ".join(f"{key} {value}" for key, value in result.items()))


def score(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Score every ECG that is waiting, then stop.

    What a process held that certainly runs no longer is taken back first. What others hold is named, with the time at
    which their leases end.
    """
    from ecgfm_clinical import scorers

    with opened_to_act(settings) as (read, store):
        back = _take_back(read, store)
        scorer = scorers.build_live_scorer(read, store)
        taken = 0
        with console().status("Scoring") as status:
            while batch := scorer.run_batch():
                taken += batch
                status.update(f"Scoring: {taken} ECGs")
        scorer.close()
        leased, waiting = store.leases.leased(), store.questions.backlog().jobs_waiting
        zone = read.site.zone
    if as_json:
        held = [{"worker": one.worker, "jobs": one.jobs, "until": one.until.isoformat()} for one in leased]
        write_json({"jobs": taken, "taken_back": back, "waiting": waiting, "leased": held})
        return
    say(f"{taken} score jobs taken; `ecgfm-clinical status` counts them")
    if waiting:
        say(f"{waiting} wait: they failed and are tried again later, or came meanwhile")
    for one in leased:
        until = one.until.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
        say(
            f"{one.jobs} are leased to {one.worker} (host:namespace:process:role) until {until}; they are free then, "
            "or sooner once that process ends in good order, or its host finds it gone"
        )


def _take_back(settings: "Settings", store: "Store") -> int:
    """What the dead hold is in its queue again; standard error tells."""
    from ecgfm_clinical import wiring

    scoring = settings.scoring
    taken = store.leases.reap_all(now=wiring.utc_now(), max_attempts=scoring.max_attempts, lease=scoring.lease)
    if taken:
        sys.stderr.write(f"{taken} jobs and messages taken back from processes that run no longer\n")
    return taken


def send(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Send every result that is due to each destination once, then stop."""
    from ecgfm_clinical import wiring

    with opened_to_act(settings) as (read, store):
        _take_back(read, store)
        taken = 0
        for reporter in wiring.build_reporters(read, store):
            with closing(reporter):
                while batch := reporter.run_batch():
                    taken += batch
        backlog = store.questions.backlog().destinations.values()
    waiting, set_aside = sum(one.waiting + one.running for one in backlog), sum(one.dead for one in backlog)
    if as_json:
        write_json({"messages": taken, "waiting": waiting, "set_aside": set_aside})
    else:
        say(f"{taken} messages taken, {waiting} still waiting, {set_aside} set aside")
    if waiting or set_aside:
        raise typer.Exit(1)
