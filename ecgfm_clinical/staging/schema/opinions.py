"""What cardiologists say of answers."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from ecgfm_clinical.staging.schema.columns import Id, UtcDateTime, metadata

opinion = Table(
    "opinion",
    metadata,
    Column("opinion_id", Id, primary_key=True),
    Column("ecg_id", Id, ForeignKey("ecg.ecg_id"), nullable=False),
    Column("scoring_id", Id, ForeignKey("scoring.scoring_id"), nullable=False),  # whose answer was judged
    Column("head", String(64), nullable=False),
    Column("label", String(128), nullable=False),
    Column("agrees", Boolean, nullable=False),
    Column("present", Boolean, nullable=False),  # what the cardiologist says: the label is there, or it is not
    Column("cardiologist", String(128), nullable=False),
    Column("word", Text, nullable=False),  # why; without patient data
    Column("at", UtcDateTime, nullable=False),
    Index(None, "ecg_id"),
    Index(None, "head", "label"),
    sqlite_autoincrement=True,
)
