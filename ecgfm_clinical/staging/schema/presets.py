"""Filters that people keep."""

from sqlalchemy import Column, String, Table, Text, UniqueConstraint

from ecgfm_clinical.staging.schema.columns import Id, metadata

preset = Table(
    "preset",
    metadata,
    Column("preset_id", Id, primary_key=True),
    Column("person", String(128), nullable=False),  # who signs in under this name
    Column("name", String(64), nullable=False),
    Column("query", Text, nullable=False),  # of the page ECGs, urlencoded; names no patient and no order
    UniqueConstraint("person", "name"),
    sqlite_autoincrement=True,
)
