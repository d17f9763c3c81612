"""What tables of the settings have in common: strictness, ports, TLS, and what may be said of every way in."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -~]+$")]  # PS3.5 §6.2 AE


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


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
