"""What tables of the settings have in common: strictness, ports, TLS, and what may be said of every way in."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from ecgfm_connectors.errors import Misconfigured

Port = Annotated[int, Field(ge=0, le=65535)]
AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -~]+$")]  # PS3.5 §6.2 AE


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


#: The embedded profile's place while a destination is read; no key of a file has this name.
PROFILE = "<profile>"


class Wishing(Part):
    """A destination: among its own keys a file holds those of the profile that it embeds, which says how it wants its
    results.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)  # zones, which are no keys

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: object) -> object:
        """The keys of the profile are put into one place, where it is made of them; what is unknown stays outside."""
        if not isinstance(given, Mapping):
            return given
        if PROFILE in given:
            raise ValueError(f"unknown key: {PROFILE}")
        wishes = keys_of(cls.model_fields["profile"].annotation)
        inside = {key: value for key, value in given.items() if key in wishes}
        return {key: value for key, value in given.items() if key not in wishes} | {PROFILE: inside}


def keys_of(profile: object) -> dict[str, object]:
    """Key -> its type, of an embedded type: every field of which its metadata say what it means."""
    assert isinstance(profile, type)
    assert is_dataclass(profile)
    hints = get_type_hints(profile)
    return {one.name: hints[one.name] for one in fields(profile) if "description" in one.metadata}


def _as_error(given: object, made: ValidatorFunctionWrapHandler) -> object:
    try:
        return made(given)
    except Misconfigured as error:
        raise ValueError(str(error)) from error


Made = TypeVar("Made")
#: What a connector refuses is wrong in the settings file: it is told with the place there.
AsError = Annotated[Made, WrapValidator(_as_error)]


class Tls(Part):
    """Mutual TLS for one port or peer (PS3.15 B.12, MLLP over TLS)."""

    certificate: Path = Field(description="ours, PEM", examples=["secrets/tls.crt"])
    key: Path = Field(description="its private key, PEM, readable by this user only", examples=["secrets/tls.key"])
    trusted: Path = Field(
        description="the authority whose certificates the other side must show", examples=["secrets/ca.crt"]
    )


class Reachable(Part):
    """A port or peer off this machine."""

    cleartext: Literal["", "accepted"] = Field(
        default="",
        description='"accepted": neither TLS nor allowed_hosts here, on purpose: who reaches this part reads '
        "patient data in clear",
        examples=["accepted"],
    )


class Sender(Part):
    """What may be said of every way in: whose bare numbers are meant, and what its senders may decide by themselves."""

    authority: str | None = Field(
        default=None, description="instead of site.authority for what comes in here", examples=["WARD"]
    )
    corrected_patient: Literal["hold", "follow"] = Field(
        default="hold",
        description='a recording that comes again under another patient: "hold" it for a person, or "follow": '
        "withdraw it there, send it here",
    )
    sender_withdrawal: Literal["hold", "follow"] = Field(
        default="follow",
        description='a recording that its sender takes back (OBX-11 W, D, X): "follow": withdraw its result, or '
        '"hold" it for a person',
    )
