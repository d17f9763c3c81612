"""Encryption at rest of whatever can identify a person (AES-256-GCM), and the keyed digests that replace identities.

Without a key file everything is stored in the clear and `key_id` is NULL. With one, each value is sealed under the
current key; older keys in the file still open what they sealed, so keys can be rotated row by row while work goes on.
A sealed value is bound to its place (`bound_to`): copied into another row, it does not open.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ecgfm_clinical.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12  # NIST SP 800-38D §8.2: 96-bit random nonces, good for 2³² values under one key
KEY_BYTES = 32
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Keys by number; the highest seals, all open. Empty: nothing is encrypted."""

    keys: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    random_bytes: Callable[[int], bytes] = os.urandom

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a key file: one line a key, `number hex`. Raises SettingsError."""
        try:
            lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
            keys = {int(number): bytes.fromhex(key) for number, key in lines}
        except OSError as error:
            raise SettingsError(f"the key file {path} cannot be read: {error.strerror}") from error
        except ValueError:
            raise SettingsError(f"the key file {path} is not a list of `number hexadecimal-key` lines") from None
        if not keys or any(len(key) != KEY_BYTES for key in keys.values()) or len(keys) != len(lines):
            raise SettingsError(f"the key file {path} needs differently numbered keys of {KEY_BYTES} bytes each")
        return cls(keys=keys)

    @property
    def current(self) -> int | None:
        """The number of the key that seals."""
        return max(self.keys, default=None)

    def seal(self, plain: bytes, bound_to: str) -> tuple[int | None, bytes]:
        """(key number, stored bytes)."""
        number = self.current
        if number is None:
            return None, plain
        nonce = self.random_bytes(NONCE_BYTES)
        return number, nonce + _cipher(self.keys[number]).encrypt(nonce, plain, bound_to.encode())

    def open(self, number: int | None, stored: bytes, bound_to: str) -> bytes:
        """The plain bytes. Raises StoreError where the key is missing or the value was changed."""
        if number is None:
            return stored
        if number not in self.keys:
            raise StoreError(f"this part of the store is encrypted with key {number}; add that key to the key file")
        from cryptography.exceptions import InvalidTag

        try:
            nonce, sealed = stored[:NONCE_BYTES], stored[NONCE_BYTES:]
            return bytes(_cipher(self.keys[number]).decrypt(nonce, sealed, bound_to.encode()))
        except InvalidTag:
            raise StoreError(
                f"a value sealed with key {number} does not open: another key, or the row was changed"
            ) from None


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def to_json(value: object) -> bytes:
    """JSON with one spelling per value (sorted keys, ASCII, no spaces)."""
    return _JSON.encode(value).encode("ascii")


def keyed_digest(pepper: bytes, *parts: str) -> str:
    """32 hexadecimal digits that stand for `parts`; without the store's pepper nobody can try numbers against them."""
    return hmac.digest(pepper, to_json(parts), hashlib.sha256).hex()[:32]
