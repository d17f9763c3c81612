"""`check --security`: what others of this machine or network could read, reach or change, and what closes it.

File modes say nothing on Windows and are not looked at there.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ecgfm_clinical.operate import leaks
from ecgfm_clinical.operate.check import CheckLine
from ecgfm_clinical.operate.leaks import is_store, values, weak
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging import engine

OTHERS = stat.S_IRWXG | stat.S_IRWXO  #: of a file mode: anybody but its owner
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LOOKED_AT = 1000  #: files of a folder


def weaknesses(settings: Settings, path: Path) -> Iterator[CheckLine]:
    """One line for each part that is weak, or one that says that none is; `path` is the settings file."""
    found = list(_weaknesses(settings, path))
    yield from found or [CheckLine(part="security", ok=True, text="nothing weak was found")]


def _weaknesses(settings: Settings, path: Path) -> Iterator[CheckLine]:
    for one in settings.exposed():
        accepted = ' (accepted: cleartext = "accepted")' if one.accepted else ""
        yield CheckLine(part=one.part, ok=one.accepted, text=f"{one.text}{accepted}")
    yield from leaks.in_urls(settings)
    yield from leaks.beside(settings)
    if os.name == "posix":
        yield from _modes(settings, path)
        yield from _core_dumps()
        yield from leaks.in_swap(settings)
    yield from _clear_copies(settings)


def _modes(settings: Settings, path: Path) -> Iterator[CheckLine]:
    for name, secret in _secrets(settings):
        if _mode(secret) & OTHERS:
            yield weak(name, f"{secret} can be read by other users; chmod 600 {secret}")
    if _mode(path) & _OTHERS_WRITE:
        yield weak("settings", f"{path} can be changed by other users; chmod 600 {path}")
    for folder in sorted(_folders(settings, path)):
        mode = _mode(folder)
        if mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:  # as in /tmp, where nobody replaces another's file
            yield weak("folder", f"{folder} can be changed by other users, and what lies in it; chmod 700 {folder}")
    for file in _store_files(settings):
        if _mode(file) & OTHERS:
            yield weak("store", f"{file} can be read by other users; chmod 600 {file}")
    for part in settings.sources.folder:
        if _mode(settings.resolve(part.path)) & stat.S_IRWXO:
            yield weak(f"source {part.name}", f"every user of this machine has access to {settings.resolve(part.path)}")
    for drop in settings.destinations.folders:
        if int(drop.mode, 8) & stat.S_IRWXO:
            yield weak(f"destination {drop.name}", f"mode {drop.mode} lets every user read results; use 0640 or 0600")


def _secrets(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Every file of the settings that holds a secret, with the part that it belongs to: private keys (`key`), and
    whatever a key that ends in `_file` names, but for the signed heads, which anybody may read; and who may use the
    console, with what proves it.
    """
    for where, _, name, path in values(settings, Path):
        proves = where == ("web",) and name in ("users", "tokens")
        if name == "key" or proves or (name.endswith("_file") and name != "heads_file"):
            yield ".".join((*where, name)), settings.resolve(path)


def _folders(settings: Settings, path: Path) -> set[Path]:
    """Where the settings, the store and the secrets lie: who can write there can put others in their place."""
    store = engine.sqlite_path(engine.parse_url(settings.store_url))
    return {one.parent for one in (path.resolve(), *([store] if store else []), *(p for _, p in _secrets(settings)))}


def _store_files(settings: Settings) -> Iterator[Path]:
    """An SQLite store, what SQLite keeps beside it, and copies of stores in the same folder."""
    path = engine.sqlite_path(engine.parse_url(settings.store_url))
    if path is None:
        return
    for one in sorted(path.parent.glob("*"))[:_LOOKED_AT]:
        if one.name.startswith(path.name) or is_store(one):
            yield one


def _clear_copies(settings: Settings) -> Iterator[CheckLine]:
    """Files of ECGs in clear beside a store that is encrypted."""
    if settings.store.key_file is None:
        return
    for part in settings.sources.folder:
        folder = settings.resolve(part.path)
        if settings.keeps_processed(part):
            yield weak(f"source {part.name}", 'the store is encrypted, processed/ is not: processed = "remove"')
        elif any(path.is_file() for path in (folder / "processed").rglob("*")):
            yield weak(
                f"source {part.name}",
                f"{folder / 'processed'} holds ECGs in clear from before; remove what is not needed",
            )
    for sftp in settings.sources.sftp:
        if settings.keeps_processed(sftp):
            yield weak(f"source {sftp.name}", 'the store is encrypted, processed/ is not: processed = "remove"')


def _core_dumps() -> Iterator[CheckLine]:
    import resource

    if resource.getrlimit(resource.RLIMIT_CORE)[0]:
        yield weak("process", "core dumps are on, and would hold patient data and keys; ulimit -c 0")


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0  # not there: `check` says so where it matters
