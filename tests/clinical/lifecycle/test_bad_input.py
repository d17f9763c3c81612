"""What no hospital should send, and some do: an identity merged into itself, and chains of a thousand merges."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import event

from ecgfm_clinical.staging import identity, merging
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.contents import Merge
from tests.clinical.lifecycle.hospital import START, identifier


def _statements(store: Store, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """How many statements each merge costs."""
    cost, count = [], 0

    def one_more(*_: Any) -> None:
        nonlocal count
        count += 1

    event.listen(store.database.writer, "before_cursor_execute", one_more)
    with store.database.writing(START, "adt") as tx:
        for retired, surviving in pairs:
            before = count
            merged = Merge(retired=identifier(f"N{retired}"), surviving=identifier(f"N{surviving}"), event="A40")
            merging.record(tx, None, merged)
            cost.append(count - before)
    return cost


@pytest.mark.parametrize(
    ("links", "pairs"),
    [
        pytest.param(1000, lambda links: ((n, n + 1) for n in range(links)), id="each survivor is retired next"),
        pytest.param(250, lambda links: ((n, n - 1) for n in range(links, 0, -1)), id="downwards"),
        pytest.param(250, lambda links: ((n + 1, n) for n in range(links)), id="each newcomer into the last"),
    ],
)
@pytest.mark.slow
def test_a_chain_of_merges_costs_no_more_at_its_end(
    tmp_path: Any, links: int, pairs: Callable[[int], Iterable[tuple[int, int]]]
) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)
    cost = _statements(store, pairs(links))
    half = links // 2
    assert sum(cost[half:]) <= 1.1 * sum(cost[:half])
    with store.database.reading() as ask:
        first = {
            identity.resolve(ask.connection, identity.identifier_key(ask, identifier(f"N{n}"))) for n in (0, links)
        }
    assert len(first) == 1
    store.close()


def test_an_identity_merged_into_itself_changes_nothing(tmp_path: Any) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)
    with store.database.writing(START, "adt") as tx:
        merging.record(tx, None, Merge(retired=identifier("A"), surviving=identifier("A"), event="A40"))
        assert not identity.is_retired(tx.connection, identity.identifier_key(tx, identifier("A")))
    store.close()
