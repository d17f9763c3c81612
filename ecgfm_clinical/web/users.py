"""Who may sign in to the console: names, roles and password hashes in one file, as `ecgfm-clinical user` writes it.

A line is `NAME:ROLE:HASH`, the hash by argon2id (RFC 9106). The file is read again whenever it changes, so that whoever
is removed from it is out with the next click.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from threading import BoundedSemaphore
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.web.lines_file import LinesFile

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
#: Who vouches for somebody.
Way = Literal["file", "proxy", "oidc", "token", "link"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
#: Each check takes 64 MiB: so many at once, and no more.
_AT_ONCE = BoundedSemaphore(2)


class Role(IntEnum):
    """What somebody may do; a higher one may all that a lower one may."""

    VIEWER = 1  #: look, and open a patient's identity, which is noted
    OPERATOR = 2  #: send again, read again, judge again: what repeats
    ADMINISTRATOR = 3  #: decide whose a recording is, withdraw, promote models

    @property
    def word(self) -> str:
        return {1: "viewer", 2: "operator", 3: "clinical-administrator"}[self.value]

    @classmethod
    def of(cls, word: str) -> "Role":
        """Raises InputError."""
        for role in cls:
            if role.word == word:
                return role
        raise InputError(f"no role {word!r}; there are {', '.join(role.word for role in cls)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who is signed in: a line of the file, without its hash, or whom a proxy or provider vouches for."""

    name: str
    role: Role
    way: Way = "file"
    password: str = field(default="", repr=False, compare=False)  #: a digest of its hash: another one ends sign-ins

    @property
    def signature(self) -> str:
        """Who it is in the audit trail: two people of one name are told apart by who vouches for them."""
        return self.name if self.way == "file" else f"{self.name} ({self.way})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    user: User
    hashed: str


class UsersFile:
    """The file of users, read again when it has changed."""

    def __init__(self, path: Path, hasher: PasswordHasher | None = None) -> None:
        self._file = LinesFile(path, _read)
        self._hasher = hasher or PasswordHasher()
        #: What an unknown name is checked against, so that the answer takes as long as for a known one.
        self._nobody = self._hasher.hash(os.urandom(16).hex())

    def all(self) -> tuple[User, ...]:
        """Everybody who may sign in. Raises SettingsError where the file is damaged."""
        return tuple(line.user for line in self._file.lines().values())

    def find(self, name: str) -> User | None:
        """Raises SettingsError where the file is damaged."""
        line = self._file.lines().get(name)
        return None if line is None else line.user

    def verified(self, name: str, password: str) -> User | None:
        """The user with this name and password. Raises SettingsError where the file is damaged."""
        line = self._file.lines().get(name)
        with _AT_ONCE:
            fits = self._fits(line.hashed if line is not None else self._nobody, password[:LONGEST_PASSWORD])
        return line.user if line is not None and fits else None

    def add(self, name: str, role: Role, password: str) -> None:
        """Add somebody, or give them another role and password. Raises InputError, SettingsError."""
        if not NAME.fullmatch(name):
            raise InputError("a user's name is 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit")
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise InputError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        line = _Line(user=User(name=name, role=role), hashed=self._hasher.hash(password))
        self._write({**self._file.lines(), name: line})

    def remove(self, name: str) -> None:
        """Raises NotFound, SettingsError."""
        lines = dict(self._file.lines())
        if lines.pop(name, None) is None:
            raise NotFound(f"{self._file.path} has no user {name}; `ecgfm-clinical user list` shows whom it has")
        self._write(lines)

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _write(self, lines: Mapping[str, _Line]) -> None:
        self._file.write(f"{one.user.name}:{one.user.role.word}:{one.hashed}" for one in lines.values())


def _read(text: str) -> tuple[str, _Line]:
    name, _, rest = text.partition(":")
    word, _, hashed = rest.partition(":")
    if not NAME.fullmatch(name) or not hashed.startswith("$argon2"):
        raise InputError("not NAME:ROLE:HASH; write it by `user add`")
    password = sha256(hashed.encode()).hexdigest()
    return name, _Line(user=User(name=name, role=Role.of(word), password=password), hashed=hashed)
