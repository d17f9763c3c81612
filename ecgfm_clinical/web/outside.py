"""People whom somebody else has signed in: a reverse proxy or a provider says who they are and in which groups."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

from starlette.datastructures import Headers

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.web.users import Role, User

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Web, WebRoles

#: As in the file of users, and with the backslash of a Windows domain.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@\\-]{0,63}")


def role_of(groups: Collection[str], roles: "WebRoles") -> Role | None:
    """The highest role that one of these groups gives."""
    given = {
        Role.ADMINISTRATOR: roles.clinical_administrator,
        Role.OPERATOR: roles.operator,
        Role.VIEWER: roles.viewer,
    }
    return next((role for role, named in given.items() if set(named) & set(groups)), None)


def user_from(name: object, groups: Collection[str], roles: "WebRoles", *, way: Literal["oidc", "proxy"]) -> User:
    """Raises InputError where that is nobody who may come in."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError("you have no name there that the audit trail can hold: letters, digits and . _ @ - \\")
    role = role_of(groups, roles)
    if role is None:
        raise InputError("you are known there, and in no group that has a role here: ask who keeps the settings")
    return User(name=name, role=role, way=way)


def by_proxy(headers: Headers, web: "Web") -> User | None:
    """Whom the reverse proxy names; None where it names nobody, nobody with a role, or more than one.

    Only addresses in `web.proxies` get as far as this: whoever else connects is refused before.
    """
    if web.header is None or not web.proxies:
        return None
    names = headers.getlist(web.header.user)
    if len(names) != 1:
        return None
    groups = [one.strip() for line in headers.getlist(web.header.groups) for one in line.split(",")]
    try:
        return user_from(names[0].strip(), groups, web.roles, way="proxy")
    except InputError:
        return None
