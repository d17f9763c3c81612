"""What a worker would make anew for each test is made once: compiled statements and the tree of commands."""

import functools
from typing import Any  # Any: the keys and values of SQLAlchemy's cache

import typer.main
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect


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
