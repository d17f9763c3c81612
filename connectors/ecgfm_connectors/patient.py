"""Who an ECG belongs to: identifiers scoped by the authority that issued them, never a bare number."""

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Sex = Literal["M", "F", "O", "U"]  # HL7 table 0001 / DICOM (0010,0040); U where unknown or not sent


#: HL7 table 0203: medical record number, patient internal identifier, patient external identifier, and none given.
PERSON_TYPES = ("MR", "PI", "PT", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One patient identifier, HL7 CX / DICOM Patient ID with its issuer.

    `value` never shows in a repr, so it cannot slip into a log or an exception text.
    """

    authority: str  #: assigning authority (CX-4, (0010,0021)); the site's default where the sender named none
    type: str = "MR"  #: HL7 table 0203: MR, PI, VN, …
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.authority or not self.value:
            raise ValueError("an identifier needs an assigning authority and a value")

    @property
    def identity(self) -> tuple[str, str, str]:
        """(authority, kind, number): equal exactly where two identifiers are one identity.

        Authorities are compared without regard to case. The types that name a person count as one kind, because one
        sender calls a number MR and the next calls it PI or nothing; a visit or account number stays of its own kind.
        """
        return self.authority.strip().casefold(), "MR" if self.type in PERSON_TYPES else self.type, self.value.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The patient as the sender named them; results go out under `identifiers[0]`."""

    identifiers: tuple[Identifier, ...] = ()
    birth_date: date | None = field(default=None, repr=False)
    sex: Sex = "U"
    family_name: str = field(default="", repr=False)  #: for the outgoing PID only
    given_name: str = field(default="", repr=False)  #: for the outgoing PID only
    #: As the hospital's register has it (the latest ADT of the first identifier), where a store knows; never sent.
    registered_birth_date: date | None = field(default=None, repr=False, compare=False)
