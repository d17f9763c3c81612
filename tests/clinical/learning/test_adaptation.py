"""An encoder goes on learning from this site's own ECGs: never a test patient's, once for all heads."""

import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch

from ecgfm.adaptation import Bound
from ecgfm.finetuning.candidate import Model, fingerprints
from ecgfm.finetuning.embedding import encoder_digest
from ecgfm.recording_files import Recording
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning import adaptation
from ecgfm_clinical.learning.adaptation import Adaptation, Unlabelled
from ecgfm_clinical.learning.cohort.members import split_of
from ecgfm_clinical.learning.models import read_bundle
from ecgfm_clinical.learning.workshop import Workshop
from tests.helpers.fakes import Clock
from tests.helpers.learning import with_learning

pytestmark = [pytest.mark.slow(15), pytest.mark.usefixtures("quick_judging", "without_pictures")]

QUICK = Adaptation(bound=Bound(updates=2), pairs=4)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some ECGs teach, so that a test ends soon."""
    teaches = adaptation._teaches
    monkeypatch.setattr(adaptation, "_teaches", lambda row: teaches(row) and int(row.key.split(":")[1]) <= 40)


def test_no_recording_of_a_test_patient_reaches_the_loader(workshop: Workshop) -> None:
    rows = {row.key: row for row in workshop.store.cohorts.ecgs()}
    taught = set(Unlabelled.of(workshop.store).keys())
    tested = {key for key, row in rows.items() if split_of(row.patient_keys) == "test"}
    assert len(tested) > 10
    assert not taught & tested
    assert taught | tested == set(rows)
    for head in ("reduced_lvef", "troponin"):
        cohort, _ = workshop.cohort(head, workshop.clock())
        assert not taught & {member.example.key for member in cohort.of("test")}


def test_who_objects_or_is_not_known_teaches_nothing(workshop: Workshop) -> None:
    row = next(row for row in workshop.store.cohorts.ecgs() if split_of(row.patient_keys) != "test")
    assert adaptation._teaches(row)
    for change in ({"objected": True}, {"identified": False}, {"test_data": True}, {"doubtful": True}, {"kept": False}):
        out: dict[str, Any] = dict(change)
        assert not adaptation._teaches(replace(row, **out))


@pytest.mark.usefixtures("few")
def test_an_adapted_encoder_serves_every_head_until_it_is_made_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = Unlabelled.read

    def watched(self: Unlabelled, key: str) -> Recording:
        read.append(key)
        return original(self, key)

    monkeypatch.setattr(Unlabelled, "read", watched)
    done = workshop.retrain("reduced_lvef", adaptation=QUICK, replicates=20)
    assert done is not None
    rows = {row.key: row for row in workshop.store.cohorts.ecgs()}
    assert read
    assert all(split_of(rows[key].patient_keys) != "test" for key in read)
    base = read_bundle(workshop.settings.folder / "base")
    assert encoder_digest(Model.of(done.bundle).network) != encoder_digest(Model.of(base).network)
    (folder,) = workshop.folders.adapted.iterdir()
    adapted = read_bundle(folder)
    assert adapted.heads == ()
    told = done.bundle.provenance
    assert [one.name for one in told.lineage] == ["base", "base adapted"]
    how: Any = told.origin["adaptation"]
    assert (how["updates"], how["test_patients"], how["recordings"]) == (2, "none", len(read))
    seen = len(read)
    both = workshop.retrain("troponin", adaptation=QUICK, base=str(done.bundle.path), replicates=20)
    assert both is not None
    assert len(read) == seen, "the last adaptation is used again"
    assert [spec.name for spec in both.bundle.heads] == ["reduced_lvef", "troponin"]
    adapter, taught = workshop.adapter(), folder / adaptation.TAUGHT
    assert adapter.last(base, QUICK) is not None
    keys = json.loads(taught.read_text(encoding="utf-8"))
    assert set(keys) == set(read)
    tested = next(key for key, row in rows.items() if split_of(row.patient_keys) == "test")
    taught.write_text(json.dumps([*keys, tested]), encoding="utf-8")
    assert adapter.last(base, QUICK) is None, "it learnt from an ECG that is a test patient's by now"
    with pytest.raises(LearningError, match="start from the model before its adaptation"):
        adapter.last(adapted, QUICK)
    assert isinstance(workshop.clock, Clock)
    workshop.clock.advance(days=1)
    again = workshop.retrain("troponin", adaptation=replace(QUICK, again=True), replicates=20)
    assert again is not None
    assert len(read) > seen
    assert len(list(workshop.folders.adapted.iterdir())) == 2
    assert [(spec.name, spec.encoder) for spec in again.bundle.heads] == [("reduced_lvef", 0), ("troponin", 1)]
    assert "adaptation" not in again.bundle.provenance.origin, "the base's encoder is as it was"
    how = again.bundle.provenance.heads["troponin"]["training"]
    assert how["adaptation"]["updates"] == 2
    assert fingerprints(Model.of(again.bundle))["reduced_lvef"] == fingerprints(Model.of(base))["reduced_lvef"]


@pytest.mark.usefixtures("few")
def test_an_adaptation_ends_when_its_time_is_over_and_begins_with_the_base(workshop: Workshop) -> None:
    base = read_bundle(workshop.settings.folder / "base")
    hours = Adaptation(bound=Bound(seconds=25.0), pairs=4)
    ticks = count()
    timed = replace(workshop, seconds=lambda: 10.0 * next(ticks)).adapter()
    made = timed.adapted(base, hours, now=workshop.clock())
    how: Any = made.provenance.origin["adaptation"]
    assert how["updates"] == 3
    before, after = Model.of(base).network.encoder.state_dict(), Model.of(made).network.encoder.state_dict()
    assert any((before[name] != after[name]).any() for name in before)
    largest = max(
        float((before[name] - after[name]).abs().max()) for name in before if before[name].is_floating_point()
    )
    assert largest < 1e-3, "three updates of a learning rate that rises from 0 leave the weights near the base's"
    assert torch.isfinite(torch.tensor(largest))


def test_too_few_outcomes_are_said_before_an_adaptation_begins(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    monkeypatch.setattr(adaptation, "adapt", lambda *how, **more: begun.append(how))
    few = with_learning(workshop, lvef={"threshold": 30, "window_days": 0.05})
    with pytest.raises(LearningError, match=r"needed.*Collect more outcomes"):
        few.retrain("reduced_lvef", adaptation=QUICK, replicates=20)
    assert not begun


def test_a_store_that_teaches_nothing_is_said(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "_teaches", lambda row: False)
    with pytest.raises(LearningError, match="no ECG in the store may teach"):
        workshop.retrain("reduced_lvef", adaptation=QUICK, replicates=20)
