"""SQL that was compiled for one store, kept for the next: each store has engines of its own, which compile every
statement anew, and that takes a third of a short life of a store.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url

from ecgfm_clinical.staging import engine


class Compiled:
    """The compiled statements of stores that are opened one after the other, on either database."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, bool], Engine] = {}  #: by its database, and whether it writes

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Every store that is opened meanwhile takes them, and adds its own."""
        with mock.patch.object(engine, "create_engine", self._engine):
            yield

    def _engine(self, url: Any, *, writes: bool = False, **chosen: Any) -> Engine:
        made = create_engine(url, **chosen, **({"writes": True} if writes else {}))
        kind = (make_url(url).get_backend_name(), writes)
        first = self._first.get(kind)
        if first is None or first.dialect.server_version_info is None:  # which its first connection finds out
            self._first[kind] = made
        else:
            made.dialect = made.pool._dialect = first.dialect
            made._compiled_cache = first._compiled_cache
        return made
