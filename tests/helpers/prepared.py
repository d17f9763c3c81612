"""What many tests begin with, made once and copied for each: an empty store and a new installation once a process,
what takes long once for all workers of a run.
"""

import atexit
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

_UPGRADE = command.upgrade


@cache
def own_folder() -> Path:
    """Of this process, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="ecgfm-prepared-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def schema() -> Path:
    """An SQLite file with a store's schema and no row: a store that was migrated and never opened."""
    from ecgfm_clinical.staging import migrations  # tests without a store need not load SQLAlchemy

    path = own_folder() / "store.db"
    with migrations_run():
        migrations.upgrade(f"sqlite:///{path}")
    return path


@cache
def _statements() -> tuple[str, ...]:
    """What makes such a store out of an empty file."""
    with closing(sqlite3.connect(schema())) as made:
        return tuple(line for line in made.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))


def copy_schemas() -> None:
    """Whatever opens a new SQLite store in this process gets the schema as the first one got it: the steps of the
    schema's history take a third of a second.
    """
    command.upgrade = _copy_schema


@contextmanager
def migrations_run() -> Iterator[None]:
    """Every step of the schema's history is made, for what makes the first store, and for tests of the steps."""
    before, command.upgrade = command.upgrade, _UPGRADE
    try:
        yield
    finally:
        command.upgrade = before


def _copy_schema(config: Config, revision: str, sql: bool = False, tag: str | None = None) -> None:
    from ecgfm_clinical.staging import migrations

    raw = config.attributes["connection"].connection.driver_connection
    empty = isinstance(raw, sqlite3.Connection) and raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if not empty or revision != migrations.HEAD:
        _UPGRADE(config, revision, sql, tag)
        return
    for statement in _statements():
        raw.execute(statement)


def copy_store(path: Path) -> None:
    """Such a store at `path`, which only this user may read, as a migration makes it."""
    shutil.copy(schema(), path)


@cache
def _installation() -> Path:
    from ecgfm_clinical.operate.setup import write_installation

    return write_installation(own_folder() / "site").parent


def copy_installation(folder: Path) -> Path:
    """What `init` writes into `folder`; the path of its settings."""
    shutil.copytree(_installation(), folder)
    return folder / "settings.toml"


def once_for_all_workers(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` that `make` filled, the first time that any worker of this run asks for it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # a worker's own folder lies in that of the run
    folder, made = base / name, base / f"{name}.made"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that broke off
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
