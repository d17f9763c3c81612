"""What `predict`, `embed`, `explain` and `backfill` share: the files, the model, progress, and how a run ends."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Self  # Any: handlers of signals

import typer

from ecgfm_clinical.cli.common import say, settings_from, will_write, write_json

if TYPE_CHECKING:
    from ecgfm.explain import Explainer
    from ecgfm.predictor import Predictor
    from ecgfm_clinical.files.answers import Answer
    from ecgfm_clinical.files.outputs import Output
    from ecgfm_clinical.files.streaming import Ask
    from ecgfm_clinical.settings import Settings

#: Seconds between two words on how far it is: to someone who looks, and into a file.
LOOKED_AT, UNSEEN = 0.5, 30.0


class Stopping:
    """Inside it the first SIGINT or SIGTERM ends a run in good order, a second one at once."""

    def __init__(self) -> None:
        self.by = 0  #: which signal came
        self.event = Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in map(int, (signal.SIGINT, signal.SIGTERM)):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        self.by = number
        self.event.set()
        signal.signal(number, self._before[number])


def opened_model(site: "Settings", model: str, *, runtime: str | None, device: str | None) -> "Predictor":
    """The model that a command line names. Raises ModelError, MissingExtra."""
    return model_opener(site, model, runtime=runtime, device=device)()


def model_opener(site: "Settings", model: str, *, runtime: str | None, device: str | None) -> "Callable[[], Predictor]":
    """Opens it, in whatever process it is sent to: nothing but the model's own settings goes with it."""
    from ecgfm_clinical import scorers
    from ecgfm_clinical.settings import Settings

    changed = {name: value for name, value in (("runtime", runtime), ("device", device)) if value is not None}
    own = Settings(folder=site.folder, model=site.model.model_copy(update=changed))
    return partial(scorers.open_predictor, own, model if model == "demo" else str(Path(model).resolve()))


class Run:
    """One run over many files. A context manager: inside it a signal ends the run in good order."""

    def __init__(
        self, paths: Sequence[Path], out: Path | None, *, suffixes: tuple[str, ...], glob: str, settings: Path | None
    ) -> None:
        """Raises InputError where there are no files, or `out` cannot be written; MissingExtra."""
        from ecgfm_clinical.extras import need
        from ecgfm_clinical.files.reading import gather
        from ecgfm_clinical.settings import Settings

        will_write(out, *suffixes)
        self.suffix = "" if out is None else out.suffix.lower()
        if self.suffix == ".parquet":
            need("parquet", "writing Parquet")
        self._site = settings_from(settings) if settings else Settings()
        self._reads_as_site = settings is not None
        self._gathered = gather(paths, glob)
        self._stopping = Stopping()

    @property
    def files(self) -> tuple[Path, ...]:
        return self._gathered.files

    def __enter__(self) -> Self:
        self._stopping.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.__exit__()

    def open(self, model: str, *, runtime: str | None, device: str | None) -> "Predictor":
        """The model. Raises ModelError, MissingExtra."""
        from ecgfm_clinical.files.answers import Origin

        predictor = opened_model(self._site, model, runtime=runtime, device=device)
        self.origin: Origin = Origin(
            model_id=predictor.model_id, preprocessing=predictor.preprocessing, runtime=predictor.runtime
        )
        return predictor

    def open_explainer(self, model: str, *, method: str, label: str | None, device: str | None) -> "Explainer":
        """The network that a command line names, and the question to it. Raises ModelError, NoHead, InputError."""
        from ecgfm.checkpoint import Bundle
        from ecgfm.devices import choose_device
        from ecgfm.explain import METHODS, Explainer
        from ecgfm.runtimes.engines import EngineName
        from ecgfm_clinical.bundles import bundle_path
        from ecgfm_clinical.errors import InputError
        from ecgfm_clinical.files.answers import Origin

        if method not in METHODS:
            raise InputError(f"--method {method!r}: choose one of {', '.join(METHODS)}")
        bundle = Bundle.read(bundle_path(self._site, model if model == "demo" else str(Path(model).resolve())))
        on = choose_device(device or self._site.model.device)
        network = bundle.network().fold().eval().requires_grad_(False).to(on)
        explainer = Explainer(network, method=METHODS[method], label=label)
        self.origin = Origin(
            model_id=bundle.model_id,
            preprocessing=bundle.preprocessing,
            runtime=str(EngineName(engine="torch", device=on.type, precision="fp32")),
            question=explainer.question,
        )
        return explainer

    def stream(
        self,
        ask: "Ask",
        output: "Output",
        *,
        workers: int | None,
        what: str,
        keep: "Callable[[Answer], bool]" = lambda _: True,
        with_signal: bool = False,
    ) -> None:
        """Everything, or what there was until a signal came."""
        from ecgfm_clinical.files.preparing import pieces
        from ecgfm_clinical.files.streaming import Tally, stream

        settings = self._site if self._reads_as_site else None
        found = self._gathered
        todo = pieces(
            found.files,
            named=found.named,
            settings=settings,
            preprocessing=self.origin.preprocessing,
            with_signal=with_signal,
        )
        self.tally = Tally(files=len(found.files))
        self.tally.outcomes["passed over"] = len(found.passed_over)
        tell = Progress(what, self.tally.words)
        try:
            stream(
                list(todo),
                ask,
                output,
                tally=self.tally,
                stop=self._stopping.event,
                processes=workers,
                keep=keep,
                tell=tell,
            )
        finally:
            output.close()
            tell.end()

    def say_what_was_written(self, written: Sequence[Path], *, as_json: bool) -> None:
        """What lies where, and what was left out."""
        missing = self.tally.unreadable
        rows = self.tally.outcomes["scored"]
        if as_json:
            left_out = [{"file": one.partition(": ")[0], "reason": one.partition(": ")[2]} for one in missing]
            write_json(
                {
                    "written": [str(path) for path in written],
                    "rows": rows,
                    "files": self.tally.files,
                    "by_earlier_run": self.tally.earlier,
                    "outcomes": self.tally.outcomes,
                    "left_out": left_out,
                }
            )
            return
        earlier = f"; {self.tally.earlier} files were there already" if self.tally.earlier else ""
        say(f"{' and '.join(map(str, written))}: {self.tally.counts}{earlier}")
        for one in missing:
            say(f"left out: {one}")

    def end(self) -> None:
        """The exit code."""
        if self._stopping.by:
            sys.stderr.write(
                f"stopped after {self.tally.done} of {self.tally.files} files; "
                "the same command goes on from there where --out names a file\n"
            )
            raise typer.Exit(128 + self._stopping.by)
        if self.tally.outcomes["unreadable"]:
            raise typer.Exit(1)


class Progress:
    """Tells on standard error how far it is: on one line to someone who looks, a line now and then into a file."""

    def __init__(self, what: str, words: Callable[[], str]) -> None:
        self._what = what
        self._words = words
        self._seen = sys.stderr.isatty()
        self._told = time.monotonic()
        self._any = False

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._told < (LOOKED_AT if self._seen else UNSEEN):
            return
        self._told, self._any = now, True
        line = f"{self._what}: {self._words()}"
        sys.stderr.write(f"\r\x1b[K{line}" if self._seen else f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._any:
            sys.stderr.write(f"{chr(13) + chr(27) + '[K' if self._seen else ''}{self._what}: {self._words()}\n")
