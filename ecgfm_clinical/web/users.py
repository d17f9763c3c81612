"""Who may sign in to the console: names, roles and password hashes in one file, as `ecgfm-clinical user` writes it.

A line is `NAME:ROLE:HASH`, the hash by argon2id (RFC 9106). The file is read again whenever it changes, so that whoever
is removed from it is out with the next click.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from threading import BoundedSemaphore
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ecgfm_clinical.errors import InputError, NotFound, SettingsError

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
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
    way: Literal["file", "proxy", "oidc"] = "file"

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
        self._path = path
        self._hasher = hasher or PasswordHasher()
        self._stamp: tuple[int, int, int] | None = None
        self._lines: Mapping[str, _Line] = {}
        #: What an unknown name is checked against, so that the answer takes as long as for a known one.
        self._nobody = self._hasher.hash(os.urandom(16).hex())

    def all(self) -> tuple[User, ...]:
        """Everybody who may sign in. Raises SettingsError where the file is damaged."""
        return tuple(line.user for line in self._read().values())

    def find(self, name: str) -> User | None:
        """Raises SettingsError where the file is damaged."""
        line = self._read().get(name)
        return None if line is None else line.user

    def verified(self, name: str, password: str) -> User | None:
        """The user with this name and password. Raises SettingsError where the file is damaged."""
        line = self._read().get(name)
        with _AT_ONCE:
            fits = self._fits(line.hashed if line is not None else self._nobody, password[:LONGEST_PASSWORD])
        return line.user if line is not None and fits else None

    def add(self, name: str, role: Role, password: str) -> None:
        """Add somebody, or give them another role and password. Raises InputError, SettingsError."""
        if not _NAME.fullmatch(name):
            raise InputError("a user's name is 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit")
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise InputError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        line = _Line(user=User(name=name, role=role), hashed=self._hasher.hash(password))
        self._write({**self._read(), name: line})

    def remove(self, name: str) -> None:
        """Raises NotFound, SettingsError."""
        lines = dict(self._read())
        if lines.pop(name, None) is None:
            raise NotFound(f"{self._path} has no user {name}; `ecgfm-clinical user list` shows whom it has")
        self._write(lines)

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _read(self) -> Mapping[str, _Line]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SettingsError(f"{self._path} cannot be read: {error.strerror}") from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._lines, self._stamp = {line.user.name: line for line in self._parsed()}, stamp
        return self._lines

    def _parsed(self) -> Iterator[_Line]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self._path} cannot be read as text") from error
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, rest = line.partition(":")
            word, _, hashed = rest.partition(":")
            if not _NAME.fullmatch(name) or not hashed.startswith("$argon2"):
                raise SettingsError(f"{self._path}, line {number}: not NAME:ROLE:HASH; write it by `user add`")
            try:
                yield _Line(user=User(name=name, role=Role.of(word)), hashed=hashed)
            except InputError as error:
                raise SettingsError(f"{self._path}, line {number}: {error}") from error

    def _write(self, lines: Mapping[str, _Line]) -> None:
        """Whole or not at all, readable by this user only."""
        text = "".join(f"{one.user.name}:{one.user.role.word}:{one.hashed}\n" for one in lines.values())
        beside = self._path.with_name(self._path.name + ".new")
        try:
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            beside.replace(self._path)
        except OSError as error:
            raise SettingsError(f"{self._path} cannot be written: {error.strerror}") from error
