"""What a worker would make anew for each test is made once: compiled statements, the tree of commands, and whom a
caller of a web server believes.
"""

import functools
from pathlib import Path
from typing import Any  # Any: the keys and values of SQLAlchemy's cache

import certifi
import typer.main
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect

from tests.helpers import prepared


def compile_statements_once() -> None:
    """For all engines that are made from now on in this process.

    Each test has a store, each store an engine or two, and SQLAlchemy compiles each statement for each engine anew: a
    quarter of the processor time of tests with a store. What comes out depends on the kind of database alone.
    """
    compiled: dict[Any, Any] = {}

    def engine_created(_dialect: type[DefaultDialect], engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=compiled)

    # A part of the cache's keys: two dialects of a kind are to be the same there.
    DefaultDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]
    DefaultDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
    DefaultDialect.engine_created = classmethod(engine_created)  # type: ignore[assignment]


def build_commands_once() -> None:
    """Typer builds its hundred commands, 30 ms, whenever one is run; a process outside of tests runs one."""
    typer.main.get_command = functools.cache(typer.main.get_command)


def believe_one_authority() -> None:
    """Each client of a web server would read all of certifi's 140, 30 ms; no test calls a server of theirs."""
    whole = Path(certifi.where()).read_text(encoding="ascii")
    end = "-----END CERTIFICATE-----\n"
    one = prepared.own_folder() / "authority.pem"
    one.write_text(whole[: whole.index(end) + len(end)], encoding="ascii")
    certifi.where = lambda: str(one)
