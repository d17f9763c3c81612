"""What many tests begin with, made once a process and copied for each: an empty store, and a new installation."""

import atexit
import shutil
import tempfile
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

    return write_installation(_folder() / "site").parent


def copy_installation(folder: Path) -> Path:
    """What `init` writes into `folder`; the path of its settings."""
    shutil.copytree(_installation(), folder)
    return folder / "settings.toml"
