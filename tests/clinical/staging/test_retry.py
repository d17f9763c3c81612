"""Waits after failed attempts, as a table; and that foreign error texts, which may hold names, are not kept."""

from datetime import UTC, datetime, timedelta

import pytest

from ecgfm_clinical.staging.retry import after_failure, refused, wait
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.result import Ack

NOW = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "jitter", "seconds"),
    [(1, 1, 2), (1, 0, 1), (2, 1, 4), (3, 1, 8), (8, 1, 256), (9, 1, 300), (9, 0, 150), (10_000, 1, 300)],
)
def test_waits_double_up_to_five_minutes(attempts: int, jitter: float, seconds: float) -> None:
    assert wait(attempts, jitter) == timedelta(seconds=seconds)


def test_gives_up_at_the_limit_and_never_without_one() -> None:
    cause = Unreachable("connection refused")
    assert after_failure(cause, attempts=2, limit=3, now=NOW, jitter=1).due_at == NOW + timedelta(seconds=4)
    assert after_failure(cause, attempts=3, limit=3, now=NOW).due_at is None
    assert after_failure(cause, attempts=10**6, limit=None, now=NOW).due_at is not None


def test_the_error_names_its_kind_and_quotes_only_our_own_texts() -> None:
    assert (
        after_failure(Unreachable("no answer in 30 s"), attempts=1, limit=3, now=NOW).error.text == "no answer in 30 s"
    )
    foreign = after_failure(KeyError("Testperson^Ada"), attempts=1, limit=3, now=NOW).error
    assert foreign.kind == "KeyError"
    assert "Testperson" not in foreign.text
    ack = Ack(code="AE", control_id="1", text="unknown patient Testperson", error_code="204")
    error = refused(ack, attempts=1, now=NOW).error
    assert (error.kind, error.text) == ("AE", "the receiver answered AE, ERR-3 204")
