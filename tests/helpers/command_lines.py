"""Many command lines one after the other in one process, in which some libraries look as if they were not installed."""

import contextlib
import functools
import io
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one command line came to."""

    code: int
    out: str
    err: str


def run_lines(
    lines: Sequence[Sequence[str]],
    *,
    folder: Path,
    hidden: Sequence[str] = (),
    answer: str = "",
    python: Path | str = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> list[Told]:
    """Run command lines (without the program's name) in `folder`, in a process that lacks the modules `hidden` and
    reads `answer` from its standard input; `python` is that of another installation, `environment` this process's.

    The process is a new one, so that what is hidden is hidden from the first import on.
    """
    asked, answers = folder / "asked.json", folder / "answers.json"
    asked.write_text(json.dumps({"hidden": list(hidden), "lines": [list(words) for words in lines]}), encoding="utf-8")
    subprocess.run(
        [str(python), __file__, str(asked), str(answers)],
        cwd=folder,
        env=environment,
        check=True,
        timeout=900,
        input=answer,
        text=True,
    )
    return [Told(**one) for one in json.loads(answers.read_text(encoding="utf-8"))]


class Hidden:
    """Makes modules look as if they were not installed."""

    def __init__(self, modules: set[str]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self._modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _run(words: Sequence[str]) -> Told:
    from ecgfm_clinical import cli

    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["ecgfm-clinical", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Told(code=code, out=out.getvalue(), err=err.getvalue())


def _build_commands_once() -> None:
    """Typer would build all of them, 30 ms, for each line."""
    import typer.main

    typer.main.get_command = functools.cache(typer.main.get_command)


def main(asked: Path, answers: Path) -> None:
    """What the process of `run_lines` does."""
    told = json.loads(asked.read_text(encoding="utf-8"))
    sys.meta_path.insert(0, Hidden(set(told["hidden"])))  # finds nothing, only refuses
    _build_commands_once()
    answers.write_text(json.dumps([asdict(_run(words)) for words in told["lines"]]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
