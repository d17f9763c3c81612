"""Verifying the audit trail: its chain, and the signed heads that were exported from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging import signed_heads
from ecgfm_clinical.staging.signed_heads import Signer

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailVerdict:
    """What a verification found."""

    faults: tuple[str, ...]  #: the trail, or the file of heads, was tampered with
    remarks: tuple[str, ...]  #: how far the verification reaches


def make_key(settings: Settings) -> tuple[Path, str]:
    """The new key's file and fingerprint. Raises SettingsError, InputError where it exists."""
    if settings.audit.key_file is None:
        raise SettingsError("audit.key_file is not set: name the file that shall hold the key")
    path = settings.resolve(settings.audit.key_file)
    return path, Signer.create(path).fingerprint


def verify_trail(
    settings: Settings, store: "Store", *, heads: Path | None = None, public_key: Path | None = None
) -> TrailVerdict:
    """Check the chain and, where heads were signed, that it is the chain they were taken from.

    Raises InputError where the named files cannot be read, SettingsError where the key cannot.
    """
    faults = store.care.audit_faults()
    remarks = [] if faults else [f"{store.care.audit_length()} entries, none changed or missing"]
    remarks += [
        f"{step}: the clock was set back, or the entry was written elsewhere" for step in store.care.audit_clock_steps()
    ]
    path = heads or settings.resolve(settings.audit.heads_file)
    if public_key is None and settings.audit.key_file is None:
        remarks.append("not signed: a trail rewritten as a whole would not be found; set audit.key_file")
        return TrailVerdict(faults=tuple(faults), remarks=tuple(remarks))
    if heads is None and not path.exists():
        remarks.append(f"no heads were signed yet: {path} does not exist; `run` writes it")
        return TrailVerdict(faults=tuple(faults), remarks=tuple(remarks))
    if public_key is not None:
        key = signed_heads.public_key(public_key)
    else:
        assert settings.audit.key_file is not None
        key = Signer.read(settings.resolve(settings.audit.key_file)).public
    verified = signed_heads.verify(path, key)
    faults += [*verified.faults, *store.care.audit_missing(verified.heads.values())]
    remarks.append(
        f"{verified.lines} signed lines, the last of {verified.last_at:%Y-%m-%d %H:%M:%S} UTC, key "
        f"{signed_heads.fingerprint(key)}"
        if verified.last_at is not None
        else f"{path} holds no signed line"
    )
    unsigned = sum(
        one.number - (verified.heads[one.strand].number if one.strand in verified.heads else 0)
        for one in store.care.audit_heads()
    )
    if unsigned > 0:
        remarks.append(f"{unsigned} entries are newer than the last signed line")
    return TrailVerdict(faults=tuple(faults), remarks=tuple(remarks))
