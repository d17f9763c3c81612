"""What many tests begin with, made once a process and copied for each: an empty store, and a new installation."""

import atexit
import shutil
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ecgfm-prepared-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def schema() -> Path:
    """An SQLite file with a store's schema and no row: a store that was migrated and never opened."""
    from ecgfm_clinical.staging import migrations  # tests without a store need not load SQLAlchemy

    path = _folder() / "store.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


def copy_store(path: Path) -> None:
    """Such a store at `path`, which only this user may read, as a migration makes it."""
    shutil.copy(schema(), path)


@cache
def _installation() -> Path:
    from ecgfm_clinical.operate.setup import write_installation

    folder = write_installation(_folder() / "site").parent
    _serve_once(folder / "staging.sqlite")
    return folder


def _serve_once(path: Path) -> None:
    """As a service that was stopped leaves a store: one that was never served needs a person."""
    from ecgfm_clinical.staging.store import Store

    store, before = Store.open(f"sqlite:///{path}"), datetime(2026, 1, 1, tzinfo=UTC)
    store.processes.lives("before:0:0:service", roles="all", started_at=before, now=before)
    store.processes.ended("before:0:0:service")
    store.close()


def copy_installation(folder: Path) -> Path:
    """What `init` writes into `folder`, and a service that ran there once; the path of its settings."""
    shutil.copytree(_installation(), folder)
    return folder / "settings.toml"
