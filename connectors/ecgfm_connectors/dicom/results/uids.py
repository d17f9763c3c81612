"""UIDs that follow from the message, so every repeat stores the same objects (PS3.5 B.2: 2.25 and a UUID)."""

import uuid

_OURS = uuid.UUID("6a2f1c04-3c6e-5d0b-9a53-5f3f8d4b7c11")


def uid(*parts: str) -> str:
    """At most 44 characters; equal parts give an equal UID, other parts another one."""
    name = "\x1f".join(parts)
    return f"2.25.{uuid.uuid5(_OURS, name).int}"
