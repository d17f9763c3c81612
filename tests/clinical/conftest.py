"""What the hall's tests share: a clock, and a store with a way to stage ECGs as a listener would."""

from collections.abc import Callable, Iterator

import pytest

from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.testing import Clock
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Ecg


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store.open(store_url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def stage(store: Store, clock: Clock) -> Callable[[Ecg], Verdict]:
    """Puts one ECG into the store as a listener would."""

    def put(ecg: Ecg) -> Verdict:
        received = Received(
            transport="dicom", source="cart", content=repr(ecg.source_id).encode(), received_at=clock(), peer="CART"
        )
        return store.intake(received, Contents(ecgs=(ecg,)), now=clock(), actor="cart")

    return put
