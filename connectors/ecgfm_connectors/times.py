"""Times as hospitals write them (DICOM DT, HL7 TS/DTM), made aware, with where the zone came from."""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Literal

from ecgfm_connectors.ecg import AcquiredAt, ZoneSource

_TIMESTAMP = re.compile(
    r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:[.,](\d{1,9}))?)?)?)?\s*([+-]\d{4}|Z)?", re.ASCII
)
Precision = Literal["day", "minute", "second"]  #: how far a time was stated; an hour alone counts as a day

_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)


def parse_offset(text: str) -> tzinfo | None:
    """The zone of `+0100`, `-0330`, `+01:00` or `Z`; None where the text is no offset within a day."""
    if text.strip() == "Z":
        return UTC
    match = _OFFSET.fullmatch(text.strip())
    if match is None or int(match[2]) > 15 or int(match[3]) > 59:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def parse_timestamp(text: str) -> datetime | None:
    """`YYYYMMDD[HH[MM[SS[.F]]]][±ZZZZ]` as a datetime, aware only where the offset is there; None where the text is no
    time.

    DICOM PS3.5 §6.2 DT and HL7 2.5.1 §2.A.22 TS, from a whole date on. A second of 60 (leap second) becomes 59.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    microsecond = int((match[7] or "0")[:6].ljust(6, "0"))
    zone = parse_offset(match[8]) if match[8] else None
    if match[8] and zone is None:
        return None
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), microsecond, tzinfo=zone)
    except ValueError:
        return None


def precision(text: str) -> Precision:
    """How far a timestamp that `parse_timestamp` reads was stated."""
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None or match[5] is None:
        return "day"
    return "minute" if match[6] is None else "second"


def parse_date(text: str) -> date | None:
    """The day of a DICOM DA, an HL7 date, or `YYYY-MM-DD`; None where the text is no date."""
    moment = parse_timestamp(text.strip().replace("-", "")[:8])
    return moment.date() if moment else None


def locate(moment: datetime, *, original: str, site: tzinfo, message: tzinfo | None = None) -> AcquiredAt | None:
    """Give `moment` its zone: its own offset, else the message's, else the site's, and say which.

    A local time that a daylight-saving change skips or repeats is taken with fold 0 (the earlier reading). Returns
    None where the zone pushes the moment out of the years Python can hold.
    """
    source: ZoneSource = "offset"
    if moment.tzinfo is None:
        source = "message" if message is not None else "site"
        moment = moment.replace(tzinfo=message if message is not None else site)
    try:
        moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return AcquiredAt(at=moment, zone_source=source, original=original)


def acquired_at(text: str, *, site: tzinfo, message: tzinfo | None = None) -> AcquiredAt | None:
    """`parse_timestamp` and `locate` in one; None where `text` holds no time."""
    moment = parse_timestamp(text)
    return locate(moment, original=text.strip(), site=site, message=message) if moment else None
