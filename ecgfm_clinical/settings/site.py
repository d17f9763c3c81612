"""Who runs this installation, and where its store lies."""

import functools
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, model_validator

from ecgfm_clinical.settings.part import Part

#: Looking for them reads several hundred files.
_zones = functools.cache(available_timezones)


class Site(Part):
    """Who runs this installation."""

    name: str = Field(
        default="Unnamed site",
        description="sending facility (MSH-4) of results, unless a destination sets another",
        examples=["Example Hospital"],
    )
    authority: str = Field(
        default="LOCAL",
        min_length=1,
        description="assigning authority of patient numbers whose sender names none; never leave two systems "
        "sharing one by accident",
        examples=["EXAMPLE"],
    )
    time_zone: str = Field(default="UTC", description='zone of times that carry none, e.g. "Europe/Zurich"')
    paper: Literal["A4", "Letter"] = Field(default="A4", description="of the result page: A4 or Letter")
    operator: str = Field(
        default="",
        description="who answers for this installation: for people who read this file",
        examples=["ECG IT team"],
    )

    @model_validator(mode="after")
    def _zone_exists(self) -> Self:
        if self.time_zone not in _zones():
            raise ValueError(f"time_zone {self.time_zone!r} is not an IANA zone name such as Europe/Zurich")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class Store(Part):
    """Where ECGs, jobs, scores and messages are staged."""

    url: str = Field(
        default="sqlite:///staging.sqlite",
        description="SQLAlchemy URL: sqlite, or postgresql+psycopg://ecgfm@db.example/ecgfm; the password has a "
        "file of its own",
    )
    password_file: Path | None = Field(
        default=None,
        description="the database password, alone in a file readable by this user only",
        examples=["secrets/database-password"],
    )
    min_free_mb: int = Field(
        default=500, ge=0, description="below this much free disk nothing is accepted: senders are told to repeat"
    )
    key_file: Path | None = Field(
        default=None,
        description="encrypts identifying columns, payloads, signals, messages: `ecgfm-clinical keys --help`",
        examples=["secrets/store-keys"],
    )
