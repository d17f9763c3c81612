"""What a browser sent, as our pages read it: short texts by name, numbers, times. What cannot be read is a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from urllib.parse import parse_qs, urlencode

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.wording import N_

LONGEST = 500  #: characters of one value
MOST_FIELDS = 5000
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The query of an address, or a form."""

    fields: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, text: str) -> "Asked":
        """`text` is urlencoded. Raises InputError where it holds more than any page of ours asks."""
        try:
            return cls(fields=parse_qs(text, max_num_fields=MOST_FIELDS, errors="replace"))
        except ValueError as error:
            raise InputError("this request holds more fields than any page of the console has") from error

    def text(self, name: str) -> str:
        """The value without the spaces around it; empty where there is none. Raises InputError where it is too long."""
        value = (self.fields.get(name) or ("",))[-1].strip().replace("\0", "")
        if len(value) > LONGEST:
            raise InputError(f"{name} is too long: {LONGEST} characters at most")
        return value

    def long_text(self, name: str) -> str:
        """What another program made and no person typed, such as a provider's code; up to 4096 characters."""
        value = (self.fields.get(name) or ("",))[-1]
        if len(value) > 4096:
            raise InputError(f"{name} is too long: 4096 characters at most")
        return value

    def reason(self) -> str:
        """Why somebody acts. Raises InputError where they say nothing."""
        value = self.text("reason")
        if not value:
            raise InputError(N_("say why, in a few words without patient data: it goes into the audit trail"))
        return value

    def number(self, name: str) -> int | None:
        """Raises InputError where it is no number."""
        value = self.text(name)
        return whole(value, name) if value else None

    def numbers(self, name: str) -> tuple[int, ...]:
        """Raises InputError where one is no number."""
        return tuple(whole(value, name) for value in self.fields.get(name, ()))

    def time(self, name: str, zone: tzinfo) -> datetime | None:
        """A time as browsers write it, in the site's zone where it names none. Raises InputError."""
        value = self.text(name)
        if not value:
            return None
        try:
            found = datetime.fromisoformat(value)
            at = found if found.tzinfo else found.replace(tzinfo=zone)
            at.timestamp()  # the first and last days of the calendar have no time in UTC
        except (ValueError, OverflowError) as error:
            raise InputError(f"{name} is no time such as 2026-03-01 or 2026-03-01T08:00") from error
        return at

    def query(self, **changed: str) -> str:
        """The same, urlencoded, with these values instead; empty ones are left out."""
        kept = {name: values[-1] for name, values in self.fields.items()} | changed
        return urlencode({name: value for name, value in kept.items() if value})


def whole(value: str, name: str) -> int:
    """A number of the store's. Raises InputError."""
    if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= LARGEST_ID):
        raise InputError(f"{name} is no number")
    return int(value)
