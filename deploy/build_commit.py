"""Build hook: a wheel and a source distribution carry the commit that they were made of, as `ecgfm/commit.txt`.

A clone needs no such file, and a wheel made of a source distribution finds it there already. Where there is no git (the
container image's build) ECGFM_COMMIT says the commit; without that the package does not know it.
"""

import os
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface[Any]):
    """Adds the file to what is built; nothing is written into the source."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """`version` is `editable` where the package is used from a clone."""
        commit = os.environ.get("ECGFM_COMMIT") or _head(Path(self.root))
        if version == "editable" or not commit:
            return
        file = Path(mkdtemp(prefix="ecgfm-commit-")) / "commit.txt"
        file.write_text(commit + "\n", encoding="utf-8")
        package = "ecgfm" if self.target_name == "wheel" else "model/ecgfm"
        build_data["force_include"][str(file)] = f"{package}/commit.txt"


def _head(clone: Path) -> str:
    """The commit that is checked out, `-dirty` added where files differ from it; empty where this is no clone."""
    if not (clone / ".git").exists():
        return ""
    try:
        head = _git(clone, "rev-parse", "HEAD")
        changed = _git(clone, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{head}-dirty" if changed else head


def _git(clone: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=clone, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
