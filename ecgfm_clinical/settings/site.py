"""Who runs this installation, and where its store lies."""

from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, model_validator

from ecgfm_clinical.settings.part import Part


class Site(Part):
    """Who runs this installation."""

    name: str = "Unnamed site"
    authority: str = Field(
        default="LOCAL", min_length=1, description="assigning authority of patient numbers that name none"
    )
    time_zone: str = Field(default="UTC", description="IANA zone of times that carry none")
    operator: str = Field(default="", description="who answers for this installation, for the audit trail")

    @model_validator(mode="after")
    def _zone_exists(self) -> Self:
        if self.time_zone not in available_timezones():
            raise ValueError(f"time_zone {self.time_zone!r} is not an IANA zone name such as Europe/Zurich")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class Store(Part):
    """Where ECGs, jobs, scores and messages are staged."""

    url: str = Field(default="sqlite:///staging.sqlite", description="SQLAlchemy URL; sqlite or postgresql+psycopg")
    password_file: Path | None = Field(default=None, description="file that holds the database password")
    min_free_mb: int = Field(default=500, ge=0, description="below this much free disk nothing new is accepted")
    key_file: Path | None = Field(
        default=None, description="key that encrypts identifying columns and payloads at rest"
    )
