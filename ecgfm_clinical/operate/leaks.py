"""Secrets and patient data where they do not belong: in a URL, in a key beside what it protects, in swap, in the one
disk that holds a store and its backup. A secret is named, never shown.
"""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel

from ecgfm_clinical import wiring
from ecgfm_clinical.errors import ClinicalError
from ecgfm_clinical.operate.check import CheckLine
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging import engine

_LOOKED_AT = 1000  #: files of a folder
_FILES_FOR_SECRETS = ("url_file", "authorization_file", "headers_file")
#: A part of a path as chat services give it to whoever may post: long, of letters and digits.
_TOKEN = re.compile(r"(?=\w*\d)(?=\w*[A-Za-z])[\w-]{20,}")

Value = TypeVar("Value", str, Path)


def values(
    part: BaseModel, kind: type[Value], where: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], BaseModel, str, Value]]:
    """Each value of a kind below a part of the settings: the tables it stands in (`sources`, `sftp`, NAME), the part
    that has it, its key, itself.
    """
    for name in type(part).model_fields:
        value = getattr(part, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, kind):
                yield where, part, name, one
            elif isinstance(one, BaseModel):
                named = getattr(one, "name", "") if isinstance(value, tuple) else ""
                yield from values(one, kind, (*where, name, named) if named else (*where, name))


def in_urls(settings: Settings) -> Iterator[CheckLine]:
    """Secrets that stand in any URL of the settings."""
    if urlsplit(settings.store.url).password:
        yield weak("store", "store.url holds a password; put it into store.password_file")
    for where, part, name, value in values(settings, str):
        if "://" in value and where != ("store",) and (what := _secret_in(value)):
            files = [one for one in _FILES_FOR_SECRETS if one in type(part).model_fields]
            remedy = f"put the secret into {files[0]}" if files else "take it out of the URL"
            yield weak(" ".join(where) or name, f"{name} holds {what}; {remedy}")


def _secret_in(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        return "a user, password or query"
    if any(_TOKEN.fullmatch(one) for one in parts.path.split("/")):
        return "what looks like a token in its path"
    return ""


def beside(settings: Settings) -> Iterator[CheckLine]:
    """Keys that are copied or lost together with what they protect, and backups that are lost with their store."""
    store, backups = _store(settings), _backups(settings)
    key = settings.store.key_file
    if key is not None and store is not None and settings.resolve(key).parent == store.parent:
        yield weak("store.key_file", f"the key lies beside the store {store}: who copies that folder reads it; move it")
    for name, path in (("store.key_file", key), ("audit.key_file", settings.audit.key_file)):
        if path is None:
            continue
        folder = settings.resolve(path).parent
        copies = {one for one in _stores_in(folder) if one != store} | {one for one in backups if one.parent == folder}
        for copy in sorted(copies):
            yield weak(name, f"the key lies beside the backup {copy}: keep them apart")
    if store is None:
        return
    disk = _disk(store)
    if backups and disk is not None and all(_disk(one) == disk for one in backups):
        yield weak("backup", f"{max(backups)} lies on the disk of the store and is lost with it; copy it elsewhere")


def _store(settings: Settings) -> Path | None:
    """The file of an SQLite store."""
    return engine.sqlite_path(engine.parse_url(settings.store_url))


def _backups(settings: Settings) -> set[Path]:
    """Those that `backup` made and that still lie where it put them."""
    path = _store(settings)
    if path is None or not path.exists():
        return set()
    try:
        with closing(wiring.open_store(settings)) as store:
            return {Path(one) for _, one in store.care.backups() if Path(one).is_file()}
    except ClinicalError:  # `check` says why the store does not answer
        return set()


def _stores_in(folder: Path) -> Iterator[Path]:
    for one in sorted(folder.glob("*"))[:_LOOKED_AT]:
        if is_store(one):
            yield one


def is_store(path: Path) -> bool:
    """Whether a file begins as SQLite databases do."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def _disk(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def in_swap(
    settings: Settings, *, swaps: Path = Path("/proc/swaps"), blocks: Path = Path("/sys/class/block")
) -> Iterator[CheckLine]:
    """Swap in clear below an encrypted store: keys and patient data of the memory reach the disk that is not trusted
    with them. Compressed memory is no disk.
    """
    if settings.store.key_file is None:
        return
    try:
        lines = swaps.read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return
    for device in (line.split()[0] for line in lines if line.strip()):
        name = Path(os.path.realpath(device)).name
        if not name.startswith("zram") and not _is_encrypted(blocks / name):
            yield weak("swap", f"{device} is in clear and would hold keys and patient data; encrypt it, or swapoff")


def _is_encrypted(block: Path) -> bool:
    """Whether dm-crypt lies below a block device."""
    try:
        return (block / "dm" / "uuid").read_text(encoding="ascii").startswith("CRYPT-")
    except (OSError, ValueError):
        return False


def weak(part: str, text: str) -> CheckLine:
    """A line of `check --security`."""
    return CheckLine(part=part, ok=False, text=text)
