"""A console in front of a real installation, and browsers of each role."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from ecgfm_clinical.staging.records import AttemptError, Retry
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.users import Role, UsersFile
from ecgfm_clinical.web.visit import Console
from tests.helpers.fakes import Clock
from tests.helpers.installation import Installation
from tests.helpers.web_port import serving

PASSWORD = "a long test password"
#: As weak as it may be: tests check hundreds of passwords.
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

Browser = Callable[[Role | None], httpx.Client]


def add_users(path: Path) -> None:
    """One user of each role, named after it."""
    users = UsersFile(path, HASHER)
    for role in Role:
        users.add(role.name.lower(), role, PASSWORD)


def fail_for_good(site: Installation) -> None:
    """The one ECG that waits for its score gets none."""
    now = datetime.now(UTC)
    (job,) = site.store.jobs.claim(worker="scorer", limit=1, now=now, lease=timedelta(minutes=5))
    error = AttemptError(at=now, attempt=1, kind="NoSignal", text="no signal on any lead")
    site.store.jobs.fail(job, Retry(due_at=None, error=error), now=now, worker="scorer")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more='[web]\nusers = "web-users"\n')
    add_users(tmp_path / "web-users")
    yield site
    site.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def console(site: Installation) -> Console:
    return build_console(site.settings, site.store, hasher=HASHER, undo_for=timedelta(0))


@pytest.fixture
def address(console: Console) -> Iterator[str]:
    """Where the console listens."""
    with serving(console) as address:
        yield address


@pytest.fixture
def browser(address: str) -> Iterator[Browser]:
    """A browser that is signed in with a role; None: not signed in."""
    with ExitStack() as closing:

        def opened(role: Role | None) -> httpx.Client:
            here = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
            client = closing.enter_context(httpx.Client(base_url=address, headers=here, timeout=120))
            if role is not None:
                answer = client.post("/sign-in", data={"name": role.name.lower(), "password": PASSWORD})
                assert answer.status_code == 303, answer.text
            return client

        yield opened
