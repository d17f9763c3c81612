"""When a result was observed, and how precisely that is known."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from ecgfm_connectors.hl7.message import Message
from ecgfm_connectors.times import Precision, acquired_at, parse_timestamp, precision

_ORDER: tuple[Precision, ...] = ("second", "minute", "day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A time with its precision."""

    at: datetime  #: aware
    precision: Precision


def observed(texts: tuple[str, ...], parsed: Message, site: tzinfo) -> Observed | None:
    """The first of `texts` (OBX-14, OBR-7, TXA-4) that is a time;
    a later one of the same day that is more precise wins.
    """
    header = parse_timestamp(parsed.msh.value(7))
    zone = header.tzinfo if header else None
    found: list[Observed] = []
    for text in texts:
        moment = acquired_at(text, site=site, message=zone)
        if moment is not None:
            found.append(Observed(at=moment.at, precision=precision(text)))
    if not found:
        return None
    same_day = [one for one in found if one.at.date() == found[0].at.date()]
    if found[0].precision != "day":
        return found[0]
    return min(same_day, key=lambda one: _ORDER.index(one.precision))
