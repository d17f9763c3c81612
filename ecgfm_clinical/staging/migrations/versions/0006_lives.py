"""Recordings and their results have a life of their own: versions, filler numbers, decisions, questions;
links of people.

Each `ecg` row becomes a version of a recording, which is the first row with its number. Results keep the filler numbers
under which the receivers know them. The identities' keys are computed anew when the store
is opened (`settling`).
"""

import sqlalchemy as sa
from alembic import op

from ecgfm_clinical.staging.schema import Id, Key, UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _ecgs()
    _messages()
    _aliases()
    _jobs()
    _new_tables()


def _ecgs() -> None:
    op.add_column("ecg", sa.Column("recording_id", Id, nullable=False, server_default="0"))
    for name in ("said_key", "signal_key", "order_key"):
        op.add_column("ecg", sa.Column(name, Key, nullable=True))
    op.execute(
        "UPDATE ecg SET recording_id = (SELECT min(first.ecg_id) FROM ecg AS first WHERE first.source_key = "
        "ecg.source_key)"
    )
    op.create_index("ix_ecg_recording", "ecg", ["recording_id", "version"])
    for name in ("signal", "order"):
        given = sa.text(f"{name}_key IS NOT NULL")
        op.create_index(f"ix_ecg_{name}", "ecg", [f"{name}_key"], sqlite_where=given, postgresql_where=given)


def _messages() -> None:
    op.add_column("message", sa.Column("recording_id", Id, nullable=False, server_default="0"))
    op.add_column("message", sa.Column("filler", sa.String(64), nullable=False, server_default=""))
    op.add_column("message", sa.Column("generation", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("message", sa.Column("filed_key", Key, nullable=False, server_default=""))
    op.execute(
        "UPDATE message SET filler = 'ECGFM-' || ecg_id, filed_key = patient_key, result_version = -message_id,"
        " recording_id = (SELECT ecg.recording_id FROM ecg WHERE ecg.ecg_id = message.ecg_id)"
    )
    op.create_index("ix_message_recording", "message", ["recording_id", "destination", "message_id"])
    op.execute(
        "UPDATE message SET result_version = (SELECT count(*) FROM message AS earlier"
        " WHERE earlier.recording_id = message.recording_id AND earlier.destination = message.destination"
        " AND earlier.message_id <= message.message_id)"
    )
    op.create_index("ix_message_result", "message", ["recording_id", "destination", "result_version"], unique=True)
    op.create_index("ix_message_filler", "message", ["filler", "destination", "message_id"])


def _aliases() -> None:
    op.add_column("identity_alias", sa.Column("towards_key", Key, nullable=False, server_default=""))
    op.execute("UPDATE identity_alias SET towards_key = surviving_key")
    with op.batch_alter_table("identity_event") as table:
        table.alter_column("payload_id", existing_type=Id, nullable=True)


def _jobs() -> None:
    op.add_column("score_job", sa.Column("tell", sa.Boolean(), nullable=False, server_default=sa.false()))


def _new_tables() -> None:
    op.create_table(
        "ecg_identity",
        sa.Column("identity_key", Key, primary_key=True),
        sa.Column("ecg_id", Id, sa.ForeignKey("ecg.ecg_id"), primary_key=True, autoincrement=False),
    )
    op.create_index("ix_ecg_identity_ecg_id", "ecg_identity", ["ecg_id"])
    op.create_table(
        "identity_link",
        sa.Column("link_id", Id, primary_key=True),
        sa.Column("first_key", Key, nullable=False),
        sa.Column("second_key", Key, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer()),
        sa.UniqueConstraint("first_key", "second_key", name="uq_identity_link_first_key_second_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_identity_link_second_key", "identity_link", ["second_key"])
    op.create_table(
        "recording_event",
        sa.Column("event_id", Id, primary_key=True),
        sa.Column("recording_id", Id, sa.ForeignKey("ecg.ecg_id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("private", sa.LargeBinary()),
        sa.Column("key_id", sa.Integer()),
        sa.CheckConstraint(
            "kind in ('assigned', 'withdrawn', 'rejected', 'reinstated', 'taken-back')",
            name=op.f("ck_recording_event_kind"),
        ),
        sa.UniqueConstraint("recording_id", "number", name="uq_recording_event_recording_id_number"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hold",
        sa.Column("hold_id", Id, primary_key=True),
        sa.Column("recording_id", Id, sa.ForeignKey("ecg.ecg_id"), nullable=False),
        sa.Column("ecg_id", Id, sa.ForeignKey("ecg.ecg_id"), nullable=False),
        sa.Column("question", sa.String(32), nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("decision", sa.String(16)),
        sa.Column("decided_at", UtcDateTime),
        sa.Column("decided_by", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Integer()),
        sa.CheckConstraint("decision in ('released', 'rejected')", name=op.f("ck_hold_decision")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hold_recording_id", "hold", ["recording_id"])
    undecided = sa.text("decision IS NULL")
    op.create_index("ix_hold_open", "hold", ["recording_id"], sqlite_where=undecided, postgresql_where=undecided)
    op.create_table(
        "destination_state",
        sa.Column("destination", sa.String(128), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.CheckConstraint("state in ('closed', 'open', 'half-open')", name=op.f("ck_destination_state_state")),
    )
