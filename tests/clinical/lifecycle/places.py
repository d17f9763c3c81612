"""Databases for thousands of short lives: each is copied from one that was prepared once."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine, text

from ecgfm_clinical.staging.records import Telling
from ecgfm_clinical.staging.store import Store


class SqlitePlace:
    """A file, copied from a prepared one."""

    def __init__(self, template: Path, path: Path) -> None:
        self._path = path
        shutil.copyfile(template, path)
        self._store: Store | None = None

    def open(self, telling: Telling) -> Store:
        self._store = Store.open(f"sqlite:///{self._path}", telling=telling)
        return self._store

    def save(self) -> Callable[[], None]:
        copy = self._path.with_suffix(".copy")
        copy.unlink(missing_ok=True)
        assert self._store is not None
        with self._store.database.writer.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql(f"VACUUM INTO '{copy}'")
        return lambda: self._put_back(copy)

    def _put_back(self, copy: Path) -> None:
        self._remove_files()
        copy.rename(self._path)

    def _remove_files(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def remove(self) -> None:
        self._remove_files()
        self._path.with_suffix(".copy").unlink(missing_ok=True)


def on_sqlite(folder: Path) -> Callable[[], SqlitePlace]:
    """Makes places in this folder."""
    template = folder / "template.db"
    Store.open(f"sqlite:///{template}", create=True).close()
    assert not Path(f"{template}-wal").exists()
    numbers = itertools.count(1)
    return lambda: SqlitePlace(template, folder / f"life{next(numbers)}.db")


class PostgresqlPlace:
    """A database, copied from a prepared one on the same server."""

    def __init__(self, server: str, template: str, name: str) -> None:
        """`server`: the URL without the name of a database."""
        self._server = server
        self._name = name
        self._copy_of(template, name)

    def open(self, telling: Telling) -> Store:
        return Store.open(f"{self._server}/{self._name}", telling=telling)

    def _run(self, *statements: str) -> None:
        engine = create_engine(f"{self._server}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def _copy_of(self, template: str, name: str) -> None:
        idle = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'"
        self._run(
            idle,
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy",  # a third of the time; from PostgreSQL 15
        )

    def save(self) -> Callable[[], None]:
        self._copy_of(self._name, f"{self._name}_copy")
        return lambda: self._copy_of(f"{self._name}_copy", self._name)

    def remove(self) -> None:
        self._run(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in (self._name, f"{self._name}_copy")))


def on_postgresql(url: str) -> Callable[[], PostgresqlPlace]:
    """Makes places beside this empty database, which becomes the one they are copied from."""
    Store.open(url, create=True).close()
    server, template = url.rsplit("/", 1)
    numbers = itertools.count(1)
    return lambda: PostgresqlPlace(server, template, f"{template}_life{next(numbers)}")
