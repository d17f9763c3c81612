"""Pages are made of templates in this folder, and every text that goes into one is escaped."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ecgfm_clinical.wording import phrase

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")


def environment(zone: tzinfo) -> Environment:
    """Autoescape is forced: no template can turn it off, and a name that a page does not pass is a fault."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["at"] = _at(zone)
    made.filters["ago"] = ago
    made.filters["phrase"] = lambda value: phrase(value)
    return made


def _at(zone: tzinfo) -> Callable[[datetime | str | None], str]:
    def at(time: datetime | str | None) -> str:
        """To the second, in the site's zone."""
        if time is None:
            return "never"
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
        return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

    return at


def ago(seconds: float | None) -> str:
    """A duration for people: 45 s, 12 min, 3 h, 2 d."""
    if seconds is None:
        return "–"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
