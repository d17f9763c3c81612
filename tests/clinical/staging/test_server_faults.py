"""Each way in which a PostgreSQL server does not serve is told apart, by a real server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging import migrations, server_faults
from ecgfm_clinical.staging.store import Store
from tests.helpers.fakes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.peer]


@pytest.fixture(scope="module")
def guarded(postgresql_server: Any) -> Iterator[str]:
    """The URL of a database on a server that lets the role `hospital` in without, `asked` only with its password."""
    server = postgresql_server.another()
    server.start()
    url = server.create_database()
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text("CREATE ROLE asked LOGIN PASSWORD 'right'"))
            connection.execute(text("CREATE ROLE idle"))
            hba = connection.scalar(text("SHOW hba_file"))
            Path(str(hba)).write_text(
                "host all asked 127.0.0.1/32 scram-sha-256\nhost all hospital,idle,nobody 127.0.0.1/32 trust\n",
                encoding="ascii",
            )
            connection.execute(text("SELECT pg_reload_conf()"))
        wait_until(lambda: "asks for a password" in told(url.replace("hospital@", "asked@")))
        yield url
    finally:
        engine.dispose()
        server.close()


def told(url: str) -> str:
    """What opening the store there says; empty where it opens."""
    try:
        Store.open(url, create=True).close()
    except StoreUnavailable as error:
        return str(error)
    return ""


def _changed(**parts: Any) -> Callable[[str], str]:
    return lambda url: make_url(url).set(**parts).render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_changed(port=1), "nothing listens on 127.0.0.1 at that port"),
        (_changed(host="no-such-host.invalid"), "no host is known by the name no-such-host.invalid"),
        (_changed(database="nothing_here"), "has no database nothing_here: create it (createdb nothing_here)"),
        (_changed(username="nobody"), "has no role nobody: create it (createuser nobody)"),
        (_changed(username="asked", password="wrong"), "wrong password for the role asked"),
        (_changed(username="asked"), "the server asks for a password and none is given: name store.password_file"),
        (_changed(username="idle"), "the role idle may not log in"),
        (_changed(username="stranger"), "the server does not admit this machine (127.0.0.1)"),
    ],
)
def test_each_fault_is_told_apart(guarded: str, change: Callable[[str], str], sentence: str) -> None:
    found = told(change(guarded))
    assert sentence in found
    assert "OperationalError" not in found
    assert "wrong@" not in found


def test_the_same_is_said_by_migrate(guarded: str) -> None:
    with pytest.raises(StoreUnavailable, match="has no database nothing_here"):
        migrations.revision(_changed(database="nothing_here")(guarded))


def test_a_right_password_opens_the_store(guarded: str) -> None:
    with create_engine(guarded, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("CREATE DATABASE theirs OWNER asked"))
    assert told(_changed(username="asked", password="right", database="theirs")(guarded)) == ""


def test_a_server_that_is_read_only_takes_nothing_and_says_so(guarded: str) -> None:
    """A standby: `check` found it well, and the service failed without a word of why."""
    url = _changed(database="standby")(guarded)
    with create_engine(guarded, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("CREATE DATABASE standby"))
        Store.open(url, create=True).close()
        connection.execute(text("ALTER DATABASE standby SET default_transaction_read_only = on"))
    standby = Store.open(url)
    try:
        assert standby.questions.counts().received == 0
        with pytest.raises(StoreUnavailable, match="is read-only, as a standby is"):
            standby.coordination.release("check", "nobody")
    finally:
        standby.close()


def test_an_unknown_text_is_not_repeated() -> None:
    assert server_faults.cause("ERROR: duplicate key value DETAIL: Key (name)=(TESTFAMILY)") is None
