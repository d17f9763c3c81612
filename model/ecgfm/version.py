"""Which code this is: the version of the package and the commit it was made of,
as every bundle's provenance records them.
"""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

_PACKAGE = Path(__file__).parent


@cache
def version() -> str:
    """The version as installed, such as `0.2.0` or `0.2.0.dev12+g1234567`;
    `unknown` where the code was never installed.
    """
    try:
        return installed_version("ecgfm-clinical")
    except PackageNotFoundError:
        return "unknown"


@cache
def commit() -> str:
    """The commit of the code that runs (40 hexadecimal digits, `-dirty` added where files differ from it),
    or `unknown`.

    A clone is asked when the program runs, since it may have moved on since it was installed; an installed package
    carries what its build wrote down.
    """
    return commit_of(_PACKAGE)


def commit_of(package: Path) -> str:
    """The commit of a package's folder: see `commit`."""
    clone = package.parents[1]
    if (clone / ".git").exists() and (head := _git(clone, "rev-parse", "HEAD")):
        return f"{head}-dirty" if _git(clone, "status", "--porcelain", "--untracked-files=no") else head
    try:
        return (package / "commit.txt").read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def _git(clone: Path, *words: str) -> str:
    """What git prints; empty where there is no git, or it does not answer."""
    try:
        done = subprocess.run(["git", *words], cwd=clone, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
