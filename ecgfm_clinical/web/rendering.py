"""Pages are made of templates in this folder, in the language of whoever looks, and every text that goes into one is
escaped.
"""

from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from ecgfm_clinical.web.languages import Language
from ecgfm_clinical.wording import phrase

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")


class _Compiled(BytecodeCache):
    """Templates that were compiled for one language serve the others: what differs is what they call."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (code := self._codes.get(bucket.key)) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


def environment(zone: tzinfo, language: Language) -> Environment:
    """Autoescape is forced: no template can turn it off, and a name that a page does not pass is a fault.

    `_("…")` and `{% trans %}` are texts of a template, which the catalogue may answer with markup; `|said` is for words
    that come from elsewhere, and what it says is escaped like every value.
    """
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        bytecode_cache=_COMPILED,
        auto_reload=False,  # an upgrade replaces files under a console that runs: its pages stay those of its code
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    install = made.install_gettext_translations  # type: ignore[attr-defined]  # the extension adds it
    install(language.texts, newstyle=True)
    made.filters["at"] = _at(zone, language)
    made.filters["ago"] = ago
    made.filters["decimal"] = language.decimal
    made.filters["said"] = lambda word: language.say(str(word))
    made.filters["phrase"] = lambda value: phrase(value, language.say)
    return made


def _at(zone: tzinfo, language: Language) -> Callable[[datetime | str | None], str]:
    def at(time: datetime | str | None) -> str:
        """To the second, in the site's zone."""
        if time is None:
            return language.say("never")
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
        return language.moment(moment, zone)

    return at


def ago(seconds: float | None) -> str:
    """A duration for people: 45 s, 12 min, 3 h, 2 d."""
    if seconds is None:
        return "–"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
