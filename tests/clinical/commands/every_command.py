"""Runs many command lines one after the other in one process, some libraries hidden, and writes what each said as JSON.

Started by `test_every_command` as a process of its own: what is hidden here is hidden from the first import on.
"""

import contextlib
import io
import json
import sys
from pathlib import Path


class Hidden:
    """Makes modules look as if they were not installed."""

    def __init__(self, modules: set[str]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self._modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.meta_path.insert(0, Hidden(set(asked["hidden"])))  # finds nothing, only refuses
    from ecgfm_clinical import cli

    told = []
    for words in asked["lines"]:
        out, err = io.StringIO(), io.StringIO()
        sys.argv = ["ecgfm-clinical", *words]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        told.append({"code": code, "out": out.getvalue(), "err": err.getvalue()})
    Path(asked["answer"]).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
