"""When a result was observed, and how precisely that is known."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from ecgfm_connectors.times import Precision, acquired_at, precision

_ORDER: tuple[Precision, ...] = ("second", "minute", "day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A time with its precision."""

    at: datetime  #: aware
    precision: Precision


def observed(texts: Iterable[str], *, site: tzinfo, message: tzinfo | None = None) -> Observed | None:
    """The first of `texts` (DICOM DT, HL7 TS) that is a time; a later one of the same day that is more precise wins.

    `message` is the zone of the whole message or object, `site` the one where neither it nor the text names one.
    """
    found: list[Observed] = []
    for text in texts:
        moment = acquired_at(text, site=site, message=message)
        if moment is not None:
            found.append(Observed(at=moment.at, precision=precision(text)))
    if not found:
        return None
    if found[0].precision != "day":
        return found[0]
    same_day = [one for one in found if one.at.date() == found[0].at.date()]
    return min(same_day, key=lambda one: _ORDER.index(one.precision))
