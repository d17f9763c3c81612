"""The languages of the console: English, in which everything is written, and a catalogue for each other one.

Which one a page has: what this browser chose (a cookie that names the language and nobody), else the one of the
settings, else the first that the browser asks for (Accept-Language) and there is, else English.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from types import MappingProxyType

from ecgfm_clinical.web import catalogue
from ecgfm_clinical.wording import in_english

FOLDER = Path(__file__).with_name("locale")
FILE = "console.po"
COOKIE = "ecgfm-language"
LONGEST_HEADER = 200  #: characters of Accept-Language that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How one language says things, and writes times and numbers."""

    code: str  #: BCP 47, such as `de`
    name: str  #: by itself
    texts: NullTranslations = field(default_factory=NullTranslations)
    time: str = "%Y-%m-%d %H:%M:%S"  #: strftime
    decimal_point: str = "."

    def say(self, text: str, /, **values: object) -> str:
        """The sentence in this language. Values are written as they are: a page escapes the whole."""
        return in_english(self.texts.gettext(text) if text else "", **values)

    def say_many(self, one: str, many: str, count: int, /, **values: object) -> str:
        """The form that this language has for so many; `count` goes into it too."""
        return self.texts.ngettext(one, many, count) % {"count": count, **values}

    def moment(self, at: datetime, zone: tzinfo) -> str:
        """To the second."""
        return at.astimezone(zone).strftime(self.time)

    def decimal(self, value: float, digits: int | None = None) -> str:
        """With so many digits after the point; None: as few as it takes."""
        text = f"{value:g}" if digits is None else f"{value:.{digits}f}"
        return text.replace(".", self.decimal_point)


ENGLISH = Language(code="en", name="English")


@cache
def languages() -> Mapping[str, Language]:
    """By code, English first; read once. Raises SettingsError where a catalogue is damaged."""
    found = [ENGLISH, *(_read(path) for path in sorted(FOLDER.glob(f"*/{FILE}")))]
    return MappingProxyType({one.code: one for one in found})


def _read(path: Path) -> Language:
    """The head of the catalogue says what is no text: the language's own name, how it writes times and numbers."""
    texts = catalogue.read(path)
    head = texts.info()
    return Language(
        code=path.parent.name,
        name=head.get("x-name", path.parent.name),
        texts=texts,
        time=head.get("x-time", ENGLISH.time),
        decimal_point=head.get("x-decimal-point", ENGLISH.decimal_point),
    )


def chosen(known: Mapping[str, Language], *, cookie: str, setting: str, accepted: str) -> Language:
    """`accepted`: the header Accept-Language (RFC 9110, 12.5.4)."""
    for code in (cookie, setting, *_accepted(accepted)):
        if code in known:
            return known[code]
    return ENGLISH


def _accepted(header: str) -> Iterator[str]:
    """Primary subtags, the most wanted first."""
    wanted: list[tuple[float, str]] = []
    for one in header[:LONGEST_HEADER].split(","):
        tag, _, weight = one.partition(";q=")
        try:
            wanted.append((float(weight or 1), tag.strip().partition("-")[0].lower()))
        except ValueError:
            continue
    yield from (code for weight, code in sorted(wanted, key=lambda pair: -pair[0]) if weight > 0)
