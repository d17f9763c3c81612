"""Records of rows have the columns of their tables, in their order: a row is read by position."""

from dataclasses import fields
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from sqlalchemy import Table

from ecgfm_clinical.staging import rows, schema

TABLES = {
    rows.EcgVersion: schema.ecg,
    rows.MessageRow: schema.message,
    rows.RecordingEvent: schema.recording_event,
    rows.ScoringRow: schema.scoring,
    rows.ScoreRow: schema.score,
    rows.PatientRow: schema.patient,
    rows.AuditRow: schema.audit,
    rows.OutcomeVersion: schema.outcome,
    rows.LeftOutRow: schema.left_out,
    rows.SecretRow: schema.store_meta,
    rows.PayloadRow: schema.payload,
    rows.HoldRow: schema.hold,
    rows.DestinationRow: schema.destination_state,
    rows.AttemptErrorRow: schema.attempt_error,
    rows.PlacedOrderRow: schema.placed_order,
    rows.OrderAnswerRow: schema.order_answer,
}


def test_every_record_of_rows_has_its_table_here() -> None:
    assert set(TABLES) == {kind for kind in vars(rows).values() if getattr(kind, "__module__", "") == rows.__name__
                           and isinstance(kind, type)}  # fmt: skip


@pytest.mark.parametrize(("record", "table"), TABLES.items(), ids=lambda one: getattr(one, "__name__", str(one)))
def test_fields_are_the_columns_in_their_order(record: Any, table: Table) -> None:
    assert [one.name for one in fields(record)] == [column.name for column in table.columns]


@pytest.mark.parametrize(("record", "table"), TABLES.items(), ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_field_may_be_none_exactly_where_its_column_may_be_null(record: Any, table: Table) -> None:
    hints = get_type_hints(record)
    assert {name for name, kind in hints.items() if NoneType in get_args(kind)} == {
        column.name for column in table.columns if column.nullable
    }
