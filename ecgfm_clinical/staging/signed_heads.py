"""Signed heads of the audit trail, kept in a file that whoever administers the database does not write.

The trail's hash chain has no key: whoever can write the table can rewrite it with fresh hashes, or cut its end. So from
time to time the newest entry of each strand is written into a file, signed with an Ed25519 key (RFC 8032) that is not
in the store. Each line holds the strands that went on since the line before it, and that line's signature, so that no
line can be taken out of the middle. An entry that a signed line names must stand in the trail with that hash, and all
before it are fixed by the chain.
"""

import base64
import binascii
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ecgfm_clinical import log
from ecgfm_clinical.durable import sync_new
from ecgfm_clinical.errors import InputError, SettingsError
from ecgfm_clinical.staging.audit import Head
from ecgfm_clinical.staging.sealing import to_json

#: Strands a line: a line of a long trail stays short enough to be sent on.
STRANDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeads:
    """One line of the file."""

    at: datetime
    heads: tuple[Head, ...]  #: of the strands that went on since the line before
    previous: str  #: signature of the line before; empty in the first
    key: str  #: fingerprint of the public key
    signature: str  #: Ed25519, base64

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return _signed(self.at, self.heads, self.previous, self.key)

    def text(self) -> str:
        """The line, without its end."""
        return json.dumps(
            {
                "at": self.at.isoformat(),
                "heads": [[one.strand, one.number, one.hash] for one in self.heads],
                "previous": self.previous,
                "key": self.key,
                "signature": self.signature,
            }
        )

    @classmethod
    def read(cls, line: str) -> "SignedHeads":
        """Raises ValueError where the line is none of ours."""
        try:
            told = json.loads(line)
            return cls(
                at=datetime.fromisoformat(told["at"]),
                heads=tuple(Head(strand=str(one[0]), number=int(one[1]), hash=str(one[2])) for one in told["heads"]),
                previous=str(told["previous"]),
                key=str(told["key"]),
                signature=str(told["signature"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError("not a line of signed heads") from error


class Signer:
    """The key that signs heads."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.fingerprint = fingerprint(self.public)

    @classmethod
    def read(cls, path: Path) -> "Signer":
        """Raises SettingsError."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise SettingsError(
                f"audit.key_file {path} cannot be read: {error.strerror}; `ecgfm-clinical audit --new-key` makes one"
            ) from error
        except (ValueError, TypeError) as error:
            raise SettingsError(f"audit.key_file {path} holds no private key without a password in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SettingsError(f"audit.key_file {path} holds a key of another kind than Ed25519")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> "Signer":
        """A new key in a file that its owner alone reads, and the public key beside it.

        Raises InputError: it exists.
        """
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
            beside = path.with_name(path.name + ".pub")
            beside.write_bytes(public)
            for one in (path, beside):
                sync_new(one)
        except FileExistsError as error:
            raise InputError(
                f"{path} exists; what it signed can be verified by it alone, so it is left as it is"
            ) from error
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
        return cls(key)

    def sign(self, heads: tuple[Head, ...], *, previous: str, at: datetime) -> SignedHeads:
        signature = self._key.sign(_signed(at, heads, previous, self.fingerprint))
        return SignedHeads(
            at=at,
            heads=heads,
            previous=previous,
            key=self.fingerprint,
            signature=base64.b64encode(signature).decode(),
        )


def public_key(path: Path) -> Ed25519PublicKey:
    """A public key in PEM, for whoever verifies elsewhere. Raises InputError."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no public key in PEM that can be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} holds a key of another kind than Ed25519")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """16 hexadecimal characters of the SHA-256 of a public key."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


class HeadsFile:
    """The file of one host, to which lines are added."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self._path = path
        self._signer = signer
        self._size = -1  #: of the file as known here
        self._known: dict[str, Head] = {}
        self._last = ""

    def add(self, heads: Sequence[Head], *, at: datetime) -> tuple[SignedHeads, ...]:
        """Add what went on since the last line; the lines that were written, none where nothing did. Raises OSError.

        Another process of this host may add to the same file.
        """
        with self._path.open("a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._catch_up()
            new = [one for one in heads if self._known.get(one.strand) != one]
            written = []
            for begin in range(0, len(new), STRANDS):
                line = self._signer.sign(tuple(new[begin : begin + STRANDS]), previous=self._last, at=at)
                file.write(line.text() + "\n")
                self._take(line)
                written.append(line)
            file.flush()
            os.fsync(file.fileno())
            self._size = file.tell()
        return tuple(written)

    def _catch_up(self) -> None:
        size = self._path.stat().st_size
        if size == self._size:
            return
        if size < self._size:
            log.event("audit.heads-cut", logging.ERROR, bytes=self._size - size)
        self._known, self._last = {}, ""
        for line in lines(self._path):
            if line is not None:
                self._take(line)

    def _take(self, line: SignedHeads) -> None:
        self._known |= {one.strand: one for one in line.heads}
        self._last = line.signature


def lines(path: Path) -> Iterator[SignedHeads | None]:
    """Every line of a file; None for one that is none of ours, such as a line cut off by a full disk."""
    with path.open(encoding="ascii", errors="replace") as file:
        for text in file:
            try:
                yield SignedHeads.read(text)
            except ValueError:
                yield None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a file of signed heads says of a trail."""

    faults: tuple[str, ...]
    lines: int
    last_at: datetime | None
    heads: Mapping[str, Head]  #: the newest signed entry of each strand


def verify(path: Path, key: Ed25519PublicKey) -> Verified:
    """Whether the file itself holds together. Raises InputError where it cannot be read."""
    faults: list[str] = []
    heads: dict[str, Head] = {}
    previous, count, last_at = "", 0, None
    try:
        for count, line in enumerate(lines(path), 1):
            if line is None:
                faults.append(f"{path.name}: line {count} cannot be read")
                continue
            if not _is_signed_by(key, line):
                faults.append(f"{path.name}: line {count} is not signed by this key")
            if line.previous != previous:
                faults.append(f"{path.name}: lines are missing before line {count}, or stand in another order")
            previous, last_at = line.signature, line.at
            for one in line.heads:
                if one.strand in heads and one.number < heads[one.strand].number:
                    faults.append(f"{path.name}: line {count} goes back in strand {one.strand}")
                heads[one.strand] = one
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; name the file of exported heads") from error
    return Verified(faults=tuple(faults), lines=count, last_at=last_at, heads=heads)


def _is_signed_by(key: Ed25519PublicKey, line: SignedHeads) -> bool:
    try:
        key.verify(base64.b64decode(line.signature, validate=True), line.signed)
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _signed(at: datetime, heads: tuple[Head, ...], previous: str, key: str) -> bytes:
    return to_json([at.isoformat(), [[one.strand, one.number, one.hash] for one in heads], previous, key])
