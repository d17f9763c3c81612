"""Why a PostgreSQL server does not serve us, in words: down, unknown host, no database, wrong password, no role, …

The driver gives no SQLSTATE for a connection that did not come about, so its text is read. It names hosts, databases
and roles, which come from our settings, and never a row; only these names are repeated.
"""

import re

#: What the driver's text says -> our sentence. `{0}` is what the pattern caught.
_FAULTS: tuple[tuple[str, str], ...] = (
    (r"failed to resolve host '([^']*)'", "no host is known by the name {0}: mend store.url, or the name service"),
    (r"could not translate host name \"([^\"]*)\"", "no host is known by the name {0}: mend store.url"),
    (
        r"at \"([^\"]*)\"(?:.|\n)*Connection refused",
        "nothing listens on {0} at that port: the server is down, or store.url names another",
    ),
    (r"\"([^\"]*)\" failed: No such file or directory", "no server has its socket at {0}: it is down"),
    (r"lock timeout|deadlock", "another transaction does not let go of what this one needs"),
    (
        r"timeout expired|[Tt]imed out|timeout",
        "the server did not answer in time: it is away, or a firewall lies between",
    ),
    (
        r"database \"([^\"]*)\" does not exist",
        "the server runs and has no database {0}: create it (createdb {0}), or mend store.url",
    ),
    (
        r"role \"([^\"]*)\" does not exist",
        "the server runs and has no role {0}: create it (createuser {0}), or mend store.url",
    ),
    (r"role \"([^\"]*)\" is not permitted to log in", "the role {0} may not log in: ALTER ROLE {0} LOGIN"),
    (
        r"password authentication failed for user \"([^\"]*)\"",
        "wrong password for the role {0}, or no such role: see store.password_file",
    ),
    (r"no password supplied", "the server asks for a password and none is given: name store.password_file"),
    (
        r"(?:Peer|Ident) authentication failed for user \"([^\"]*)\"",
        "the server takes the role {0} only from the account of that name: see its pg_hba.conf",
    ),
    (
        r"no pg_hba\.conf entry for host \"([^\"]*)\"",
        "the server does not admit this machine ({0}) with this role and database: see its pg_hba.conf",
    ),
    (r"permission denied for database \"([^\"]*)\"", "the role may not connect to the database {0}: GRANT CONNECT"),
    (r"too many clients|connection slots are reserved", "the server has no free connection: raise max_connections"),
    (r"starting up|shutting down|in recovery mode", "the server is starting up or shutting down: wait a moment"),
    (
        r"certificate|SSL error|not support SSL|SSL is required",
        "the server and this machine do not agree on TLS: see sslmode and sslrootcert",
    ),
    (r"server closed the connection|terminating connection", "the server ended the connection"),
    (r"could not extend file|No space left", "the server's disk is full"),
)


def cause(text: str) -> str | None:
    """The sentence for the driver's text; None where the text is none that is known to name no data."""
    for pattern, sentence in _FAULTS:
        if found := re.search(pattern, text):
            return sentence.format(*found.groups())
    return None
