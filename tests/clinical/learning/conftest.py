"""A clinic of invented patients whose ECGs, echoes and troponins came in as messages,
staged once for all these tests.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import torch

from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.finetuning.candidate import Model, random_model
from ecgfm.finetuning.embedding import embed
from ecgfm.heads import REDUCED_LVEF
from ecgfm.network import EcgFm
from ecgfm.provenance import Provenance
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.demo.clinic import Visit
from ecgfm_clinical.learning.cohort.sources import Signals, StagedEcgs
from ecgfm_clinical.learning.report import figures
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.reading import read
from tests.helpers.fakes import Clock
from tests.helpers.prepared import once_for_all_workers

#: Enough of either kind for every split of both heads, hardly more: each test reads, judges and scores them all.
VISITS = 150
CONFIG = EncoderConfig(
    conv_layers=((32, 2, 2),) * 4, width=64, layers=2, ffn_width=128, heads=4, conv_pos_kernel=32, conv_pos_groups=8
)
CONTEXT = ReadingContext(default_authority="TEST", zone=UTC)
GATE = {
    "min_positives": 3,
    "min_negatives": 3,
    "margin": 1.0,
    "beat_baselines": False,
    "slope": (-9, 9),
    "intercept": 9,
}


def stage(store: Store, contents: Contents, content: bytes, at: datetime) -> None:
    """Stage one payload as a listener would."""
    received = Received(transport="mllp", source="feed", content=content, received_at=at)
    store.intake.record(received, contents, now=at, actor="feed")


def stage_message(store: Store, message: bytes, at: datetime) -> None:
    """Stage one HL7 message as a listener would."""
    stage(store, read(message, CONTEXT), message, at)


@pytest.fixture(scope="session")
def clinic_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store full of patients and a base bundle; copied for each test."""
    return once_for_all_workers(tmp_path_factory, "clinic", _write_clinic)


def staged_visits() -> Iterator[Visit]:
    """Of the clinic's visits all with a reduced LVEF, and every second of the others."""
    for visit in clinic.visits(VISITS, now=Clock().now):
        if visit.outcome.reduced_lvef or visit.number % 2 == 0:
            yield visit


def _write_clinic(folder: Path) -> None:
    now = Clock().now
    # Splits hash patient keys, which hash with the store's own secret: this one gives every split enough of both kinds.
    store = Store.open(f"sqlite:///{folder / 'staging.sqlite'}", create=True, random_bytes=Random(503).randbytes)
    for visit in staged_visits():
        stage(store, Contents(ecgs=(visit.ecg,)), visit.ecg.source_id.encode(), now)
        stage_message(store, clinic.echo_message(visit, sent_at=now), now)
        stage_message(store, clinic.laboratory_message(visit, sent_at=now), now)
    store.close()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = EcgFm(CONFIG, (REDUCED_LVEF,))
    Bundle.write(
        folder / "base",
        network,
        name="base",
        version="1",
        demo=True,
        provenance=Provenance(origin={"training": "none"}),
    )
    _keep_embeddings(folder)


def _keep_embeddings(folder: Path) -> None:
    """Keep what both heads' trainings and the rival with random weights embed, so that no test computes it again."""
    settings, now = settings_in(folder), Clock().now
    store = Store.open(settings.store_url)
    workshop = Workshop(settings=settings, store=store, actor="tester", clock=Clock())
    base = Model.of(Bundle.read(folder / "base"))
    members = {
        member.row.key: member.example
        for head in ("reduced_lvef", "troponin")
        for member in workshop.cohort(head, now)[0].members
    }
    read = Signals(source=StagedEcgs(store.cohorts, now))
    for model in (base, random_model(base)):
        embed(model.network, [*members.values()], read, cache=workshop.folders.cache, device="cpu")
    store.close()


@pytest.fixture(scope="module", autouse=True)
def remembering(signals_remembered: None) -> None:
    """The clinic's ECGs are the same in every test."""


@pytest.fixture(scope="module")
def without_pictures() -> Iterator[None]:
    """Reports hold empty pictures, which take half of a short training's time to draw: for files that do not look at
    any. test_documents.py, test_report.py and test_external.py draw them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_svg", lambda *_, **__: "<svg></svg>")
        yield


@pytest.fixture
def clinic_settings(clinic_template: Path, tmp_path: Path) -> Settings:
    """Settings of a copy of the clinic."""
    folder = tmp_path / "clinic"
    shutil.copytree(clinic_template, folder)
    return settings_in(folder)


def settings_in(folder: Path) -> Settings:
    """Settings of a clinic in that folder, with a gate that lets a toy through, and as few trainings as can be."""
    return Settings.model_validate(
        {
            "folder": folder,
            "site": {"name": "Test clinic"},
            "store": {"url": f"sqlite:///{folder / 'staging.sqlite'}"},
            "model": {"bundle": "base"},
            "learning": {"gate": GATE, "calibration_folds": 2, "rivals": {"beside": []}},
        }
    )


@pytest.fixture
def clinic_store(clinic_settings: Settings) -> Iterator[Store]:
    store = Store.open(clinic_settings.store_url)
    yield store
    store.close()


@pytest.fixture
def workshop(clinic_settings: Settings, clinic_store: Store) -> Workshop:
    clock = Clock()
    clock.now += timedelta(hours=1)
    return Workshop(settings=clinic_settings, store=clinic_store, actor="tester", clock=clock)


@pytest.fixture
def take() -> Callable[[Store, Contents, bytes, datetime], None]:
    """Stage decoded contents."""
    return stage


@pytest.fixture
def take_message() -> Callable[[Store, bytes, datetime], None]:
    """Stage one HL7 message."""
    return stage_message
