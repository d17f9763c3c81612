"""Do two descriptions name one person? By numbers first, by name, birth date and sex where numbers cannot tell."""

import re
import unicodedata
from datetime import date

from ecgfm_connectors.patient import Patient, Sex

#: Birth dates that programs write where they know none: .NET, SQL Server, Excel, MUMPS, Unix.
PLACEHOLDER_BIRTH_DATES = frozenset(
    {
        date(1, 1, 1),
        date(1753, 1, 1),
        date(1800, 1, 1),
        date(1840, 12, 31),
        date(1899, 12, 30),
        date(1899, 12, 31),
        date(1900, 1, 1),
        date(9999, 12, 31),
    }
)
#: Nobody alive was born before; also what a two-digit year gone wrong gives least often.
EARLIEST_BIRTH_DATE = date(1880, 1, 1)
#: So many of family name, birth date and sex must differ before two descriptions without a common number are two
#: people.
DIFFERENCES = 2


def numbers_by_authority(patient: Patient) -> dict[tuple[str, str], set[str]]:
    """(Authority, kind) -> the numbers it gave this person."""
    numbers: dict[tuple[str, str], set[str]] = {}
    for identifier in patient.identifiers:
        authority, kind, value = identifier.identity
        numbers.setdefault((authority, kind), set()).add(value)
    return numbers


def contradict(one: Patient, other: Patient) -> bool:
    """Whether an authority known to both gave them different numbers: then they are two people."""
    ones, others = numbers_by_authority(one), numbers_by_authority(other)
    return any(not ones[authority] & others[authority] for authority in ones.keys() & others.keys())


def share_a_number(one: Patient, other: Patient) -> bool:
    """Whether one identity stands in both."""
    return bool({known.identity for known in one.identifiers} & {known.identity for known in other.identifiers})


def differences(one: Patient, other: Patient) -> tuple[str, ...]:
    """Which of `family name`, `birth date` and `sex` both descriptions give, and give differently."""
    found = []
    if names_differ(one.family_name, other.family_name):
        found.append("family name")
    born, other_born = real_birth_date(one.birth_date), real_birth_date(other.birth_date)
    if born and other_born and born != other_born:
        found.append("birth date")
    if {one.sex, other.sex} == {"M", "F"}:
        found.append("sex")
    return tuple(found)


def agreed_sex(*told: Sex) -> Sex:
    """The sex that whoever knows one agrees on; U where nobody does, or two contradict each other."""
    known = set(told) - {"U"}
    return known.pop() if len(known) == 1 else "U"


def are_two_people(one: Patient, other: Patient) -> bool:
    """Whether name, birth date and sex speak of two people. One difference alone is a marriage or a typing error."""
    return len(differences(one, other)) >= DIFFERENCES


def real_birth_date(written: date | None) -> date | None:
    """The birth date, or None where it is a placeholder or impossible."""
    if written is None or written in PLACEHOLDER_BIRTH_DATES or written < EARLIEST_BIRTH_DATE:
        return None
    return written


def names_differ(one: str, other: str) -> bool:
    """Whether two family names have no word in common; an empty one or an anonymiser's says nothing."""
    ones, others = _words(one), _words(other)
    return bool(ones and others) and not ones & others


_NO_NAME = frozenset(
    {"anonymous", "anonymized", "anonymised", "anon", "unknown", "unbekannt", "inconnu", "noname", "xxx"}
)


def _words(name: str) -> frozenset[str]:
    """The words of a name, without case, accents and transliterated umlauts; empty for a name that says nobody's."""
    folded = name.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue").replace("ß", "ss")
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(letter))
    words = frozenset(re.findall(r"\w+", plain))
    return frozenset() if words & _NO_NAME else words
