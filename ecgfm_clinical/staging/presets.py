"""Filters that a person keeps under a name; the newest of a name counts. They are no part of any ECG's story."""

from dataclasses import dataclass

from sqlalchemy import delete, func, select

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.engine import translated
from ecgfm_clinical.staging.schema import preset
from ecgfm_clinical.staging.upsert import upsert

MOST = 40  #: of one person


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One filter."""

    preset_id: int
    name: str
    query: str  #: urlencoded


class Presets:
    """The presets of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, person: str) -> list[Preset]:
        """By name."""
        query = select(preset.c.preset_id, preset.c.name, preset.c.query).where(preset.c.person == person)
        with self._database.reading() as ask:
            return [Preset(**row) for row in ask.connection.execute(query.order_by(preset.c.name)).mappings()]

    def keep(self, person: str, name: str, query: str) -> None:
        """Raises StoreError where the person has too many."""
        with translated(), self._database.writer.begin() as connection:
            others = select(func.count()).where(preset.c.person == person, preset.c.name != name)
            if (connection.scalar(others) or 0) >= MOST:
                raise StoreError(f"you keep {MOST} filters already: forget one first")
            upsert(connection, preset, {"person": person, "name": name}, {"query": query})

    def forget(self, person: str, preset_id: int) -> None:
        """One of this person's own; nothing where there is none such."""
        with translated(), self._database.writer.begin() as connection:
            connection.execute(delete(preset).where(preset.c.preset_id == preset_id, preset.c.person == person))
