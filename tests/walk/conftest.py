"""A whole installation on loopback for every test here: settings, store, running service and a simulated EHR."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_clinical.staging import migrations
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.testing.ehr import EhrReceiver
from tests.helpers.tiny_models import copy_tiny_bundle

SETTINGS = """
[site]
name = "Test Hospital"
authority = "TEST"
[store]
url = "{store}"
[model]
bundle = "tiny"
device = "cpu"
[scoring]
every_seconds = 0.2
[[listeners.dicom]]
name = "dicom"
host = "127.0.0.1"
port = 0
[[listeners.hl7]]
name = "hl7"
host = "127.0.0.1"
port = 0
[[sources.folder]]
name = "drop"
path = "drop"
every_seconds = 0.2
stable_seconds = 0
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = {ehr}
ack_timeout_seconds = 5
"""


@pytest.fixture(scope="session", autouse=True)
def quick_commits(without_power_cuts: str) -> None:
    """Every store here is opened with them."""


@pytest.fixture
def ehr() -> Iterator[EhrReceiver]:
    receiver = EhrReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def settings(tmp_path: Path, store_url: str, ehr: EhrReceiver) -> Settings:
    copy_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "drop").mkdir()
    path = tmp_path / "settings.toml"
    path.write_text(SETTINGS.format(store=store_url, ehr=ehr.port), encoding="utf-8")
    return read_settings(path)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    migrations.upgrade(settings.store_url)  # a database of a test's own is empty
    opened = wiring.open_store(settings)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> wiring.Clock:
    """The service's."""
    return wiring.utc_now


@pytest.fixture
def service(settings: Settings, store: Store, clock: wiring.Clock) -> Iterator[Service]:
    running = Service(settings, "all", store, clock=clock)
    running.start()
    yield running
    running.stop()
