"""Programs that may use `/api/v1`: a token each, with a role, in one file that `ecgfm-clinical token` writes.

A line is `NAME:ROLE:DIGEST`, the digest by SHA-256: a token is 256 random bits, which nobody can guess however fast
they hash. The file is read again whenever it changes, so that a token that is revoked is worth nothing with the next
request.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.web.lines_file import LinesFile
from ecgfm_clinical.web.users import NAME, Role, User

PREFIX = "ecgfm_"  #: by which a token that leaked is recognised for what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    user: User
    digest: str


class TokensFile:
    """The file of tokens, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._file = LinesFile(path, _read)

    def all(self) -> tuple[User, ...]:
        """Raises SettingsError where the file is damaged."""
        return tuple(line.user for line in self._file.lines().values())

    def holder(self, token: str) -> User | None:
        """Whose token it is. Raises SettingsError where the file is damaged."""
        digest = _digest(token)
        return next((one.user for one in self._file.lines().values() if hmac.compare_digest(one.digest, digest)), None)

    def add(self, name: str, role: Role) -> str:
        """A new token, which is nowhere else. Raises InputError where the name has one, SettingsError."""
        lines = self._file.lines()
        if not NAME.fullmatch(name):
            raise InputError("a token's name is 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit")
        if name in lines:
            raise InputError(f"{name} has a token already: `ecgfm-clinical token revoke {name}` first")
        token = PREFIX + secrets.token_urlsafe(32)
        self._write({**lines, name: _Line(user=User(name=name, role=role, way="token"), digest=_digest(token))})
        return token

    def revoke(self, name: str) -> None:
        """Raises NotFound, SettingsError."""
        lines = dict(self._file.lines())
        if lines.pop(name, None) is None:
            raise NotFound(f"{self._file.path} has no token of {name}; `ecgfm-clinical token list` shows those it has")
        self._write(lines)

    def _write(self, lines: Mapping[str, _Line]) -> None:
        self._file.write(f"{one.user.name}:{one.user.role.word}:{one.digest}" for one in lines.values())


def _read(text: str) -> tuple[str, _Line]:
    name, _, rest = text.partition(":")
    word, _, digest = rest.partition(":")
    if not NAME.fullmatch(name) or len(digest) != 64:
        raise InputError("not NAME:ROLE:DIGEST; write it by `token add`")
    return name, _Line(user=User(name=name, role=Role.of(word), way="token"), digest=digest)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()
