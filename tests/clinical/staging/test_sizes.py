"""By how much a store grows, from its own past."""

from datetime import UTC, datetime, timedelta

import pytest

from ecgfm_clinical.staging.sizes import Growth
from ecgfm_clinical.staging.store import Store

pytestmark = pytest.mark.slow(2)

NOW = datetime(2026, 3, 20, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_growth_is_that_of_the_last_week(store_url: str) -> None:
    store = Store.open(store_url, create=True)
    sizes = store.sizes
    assert sizes.growth(100, now=NOW) is None
    for days, size in ((40, 1), (20, 10), (6, 1000), (2, 5000)):
        assert sizes.is_due(NOW - days * DAY)
        sizes.note(size, now=NOW - days * DAY)
    growth = sizes.growth(7000, now=NOW)
    assert growth is not None
    assert growth.per_day == pytest.approx(6000 / 6, rel=0.01)
    assert growth.days_until(10_000) == pytest.approx(10, rel=0.01)
    assert growth.days_until(-1) == 0
    sizes.note(7000, now=NOW)
    assert not sizes.is_due(NOW + timedelta(minutes=29))
    store.close()


def test_of_less_than_a_day_nothing_is_said_and_a_clock_that_was_ahead_is_forgotten(store_url: str) -> None:
    store = Store.open(store_url, create=True)
    store.sizes.note(1, now=NOW + 1000 * DAY)
    store.sizes.note(100, now=NOW - timedelta(hours=20))
    assert store.sizes.growth(200, now=NOW) is None
    assert store.sizes.growth(200, now=NOW + timedelta(hours=5)) is not None
    assert store.sizes.growth(200, now=NOW + 1001 * DAY) is None
    store.close()


def test_a_store_that_shrinks_is_never_full() -> None:
    assert Growth(grown=-5, during=DAY).days_until(100) is None
