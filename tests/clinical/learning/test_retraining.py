"""A head is trained from messages, judged, registered, resumed after a kill;
what cannot teach is refused and leaves nothing.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ecgfm.calibration import NoOperatingPoint
from ecgfm.checkpoint import Bundle
from ecgfm.errors import EcgFmError, NoHead, TrainingError
from ecgfm.finetuning.candidate import Model
from ecgfm.finetuning.embedding import encoder_digest
from ecgfm.finetuning.settings import FineTuning
from ecgfm.operating_rule import OperatingRule
from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm_clinical import scorers, wiring
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.errors import InputError, LearningError, ModelError
from ecgfm_clinical.learning.cohort.members import split_of
from ecgfm_clinical.learning.documents import plain
from ecgfm_clinical.learning.drift.watch import watch
from ecgfm_clinical.learning.judged import Judged
from ecgfm_clinical.learning.judging.comparison import Judge
from ecgfm_clinical.learning.provenance import (
    FINE_TUNED,
    HeadRecord,
    TrainingRecord,
    after,
    head_records,
    teachings,
)
from ecgfm_clinical.learning.report.card import card
from ecgfm_clinical.learning.taught import before_teaching
from ecgfm_clinical.learning.training import Training
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.contents import Contents, Merge
from ecgfm_connectors.patient import Identifier
from tests.clinical.learning.conftest import staged_visits
from tests.helpers.fakes import Clock
from tests.helpers.learning import with_learning

pytestmark = [pytest.mark.slow(25), pytest.mark.usefixtures("quick_judging", "without_pictures")]

Take = Callable[[Store, Contents, bytes, datetime], None]
TakeMessage = Callable[[Store, bytes, datetime], None]
QUICK = FineTuning(learning_rate=1e-3, batch_size=64, micro_batch=32, max_epochs=1, device="cpu")


def retrained(workshop: Workshop, head: str, **how: Any) -> Judged:
    """What the first process of a run gives; helpers of a distributed run would give None."""
    done = workshop.retrain(head, **how)
    assert done is not None
    return done


def trained(done: Judged, head: str = "reduced_lvef") -> TrainingRecord:
    """How the bundle says that its head was trained."""
    told = head_records(done.bundle)[head].trained
    assert told is not None
    return told


def test_a_head_is_trained_judged_and_registered(workshop: Workshop) -> None:
    done = retrained(workshop, "reduced_lvef", note="simulated", replicates=50)
    assert [spec.name for spec in done.bundle.heads] == ["reduced_lvef"]
    spec = done.bundle.heads[0]
    assert spec.calibration is not None
    assert 0 < spec.operating_points["reduced_lvef"] < 1
    told = trained(done)
    assert told.cohort.digest == done.cohort.digest
    assert told.note == "simulated"
    assert told.code_version
    assert told.metrics["reduced_lvef"].metrics["auroc"].value > 0
    assert done.bundle.provenance.lineage[-1].name == "base"
    assert done.bundle.demo, "what is trained from a demo model is one"
    row = workshop.registry.find(done.bundle.model_id)
    (judged,) = workshop.registry.judgements(model_id=row.model_id)
    assert (judged.head, judged.cohort_digest, judged.passed) == ("reduced_lvef", done.cohort.digest, True)
    assert workshop.registry.live() != row, "a candidate is not live"


def test_the_same_data_give_the_same_model(workshop: Workshop) -> None:
    first = retrained(workshop, "troponin", replicates=20)
    again = retrained(workshop, "troponin", replicates=20)
    assert first.bundle.path != again.bundle.path
    assert first.bundle.weights_sha256 == again.bundle.weights_sha256
    assert first.cohort.digest == again.cohort.digest


def test_a_linear_head_stands_beside_those_that_share_its_encoder(workshop: Workshop) -> None:
    lvef = retrained(workshop, "reduced_lvef", replicates=20)
    both = retrained(workshop, "troponin", base=lvef.bundle.model_id, replicates=20)
    assert [spec.name for spec in both.bundle.heads] == ["reduced_lvef", "troponin"]
    mine = workshop.registry.find(both.bundle.model_id)
    assert mine.heads["reduced_lvef"] == workshop.registry.find(lvef.bundle.model_id).heads["reduced_lvef"]


def test_fine_tuning_gives_an_encoder_of_its_own_and_the_next_training_does_not_start_from_it(
    workshop: Workshop,
) -> None:
    lvef = retrained(workshop, "reduced_lvef", replicates=20)
    tuned = retrained(workshop, "troponin", method="lora", base=lvef.bundle.model_id, fine_tuning=QUICK, replicates=20)
    assert [(spec.name, spec.encoder) for spec in tuned.bundle.heads] == [("reduced_lvef", 0), ("troponin", 1)]
    assert tuned.bundle.weights_sha256 != lvef.bundle.weights_sha256
    assert set(tuned.bundle.provenance.heads) == {"reduced_lvef", "troponin"}
    _the_next_training_starts_from_the_encoder_before(workshop, lvef.bundle, tuned.bundle)


def _the_next_training_starts_from_the_encoder_before(workshop: Workshop, before: Bundle, tuned: Bundle) -> None:
    """What is held out of a fold is scored by an encoder that never saw its label."""
    said: list[str] = []
    watched = replace(workshop, progress=lambda what, *_: said.append(what))
    again = retrained(watched, "troponin", base=tuned.model_id, replicates=20).bundle
    assert [one.model_id for one in again.provenance.lineage][-1] == before.model_id
    assert encoder_digest(Model.of(again).network) == encoder_digest(Model.of(before).network)
    assert any("fine-tuned on labels of patients who are to be held out" in what for what in said)
    known = teachings(tuned)
    assert [(one.head, one.site) for one in known] == [("troponin", "Test clinic")]
    assert teachings(again) == ()
    other = after(tuned, "mortality", HeadRecord(), ["mortality"])
    assert other.origin[FINE_TUNED] == [plain(known[0])], "although that head is gone"
    with pytest.raises(LearningError, match="None of the models that it was made from is at hand"):
        before_teaching(tuned, "Test clinic", lambda _: None)
    assert before_teaching(tuned, "another hospital", lambda _: None) is tuned


def test_an_interrupted_run_goes_on_as_of_its_own_moment(
    workshop: Workshop, clinic_store: Store, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ecgfm_clinical.learning.experiment.Judge.compare", killed)
        with pytest.raises(KeyboardInterrupt):
            retrained(workshop, "reduced_lvef", replicates=20)
    assert workshop.registry.judgements() == [], "nothing is registered"
    assert isinstance(workshop.clock, Clock)
    workshop.clock.advance(days=1)
    before, _ = workshop.cohort("reduced_lvef", workshop.clock.now - timedelta(days=1))
    late = next(clinic.visits(1, now=Clock().now, seed=5))
    take(clinic_store, Contents(ecgs=(late.ecg,)), b"late", workshop.clock())
    one, other = (Identifier(authority="DEMO", value=f"CLINIC-{number:05d}") for number in (2, 4))
    merge = Merge(retired=one, surviving=other, event="A40")
    take(clinic_store, Contents(identity_events=(merge,)), b"merged while it was away", workshop.clock())
    done = retrained(workshop, "reduced_lvef", replicates=20)
    assert trained(done).as_of == workshop.clock.now - timedelta(days=1)
    assert done.cohort.digest == before.digest
    assert workshop.cohort("reduced_lvef", workshop.clock())[0].digest != before.digest


def test_a_clock_that_jumps_meanwhile_dates_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained came to stand in the registry ten years before its own ECGs."""
    clock = workshop.clock
    assert isinstance(clock, Clock)
    began = clock.now
    whole = workshop.cohort("reduced_lvef", began)[0].digest

    def jumping(year: int, act: Callable[..., Any]) -> Callable[..., Any]:
        def jumps(*asked: Any, **how: Any) -> Any:
            clock.now = began.replace(year=year)
            return act(*asked, **how)

        return jumps

    def is_now(at: datetime) -> bool:
        return timedelta() <= at - began < timedelta(hours=1)

    monkeypatch.setattr(Training, "train", jumping(2046, Training.train))
    monkeypatch.setattr(Judge, "compare", jumping(2016, Judge.compare))
    steady = replace(workshop, clock=wiring.steady_clock(clock))
    done = retrained(steady, "reduced_lvef", replicates=20)
    assert clock.now.year == 2016
    assert is_now(trained(done).as_of)
    assert done.cohort.digest == whole
    assert is_now(workshop.registry.find(done.bundle.model_id).registered_at)
    (judged,) = workshop.registry.judgements()
    assert is_now(judged.at)
    assert f"-{began:%Y%m%dT%H}" in done.bundle.path.name
    assert f"-{began:%Y%m%dT%H}" in done.report.parent.name


def test_the_prediction_of_the_service_is_that_of_the_judgement(workshop: Workshop, clinic_store: Store) -> None:
    done = retrained(workshop, "reduced_lvef", replicates=20)
    (staged,) = clinic_store.ecgs.load([1])
    predictor = Predictor.from_bundle(done.bundle.path, device="cpu")
    (found,) = predictor.predict([Record(signal=staged.ecg.signal, sampling_rate=500.0)])
    assert found.heads[0].threshold == done.bundle.heads[0].operating_points["reduced_lvef"]


def test_an_operating_point_that_cannot_be_reached_is_refused(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(labels: object, probabilities: object, rule: object) -> float:
        raise NoOperatingPoint(f"no threshold gives {rule}; the best on these ECGs is 0.100")

    monkeypatch.setattr("ecgfm.finetuning.candidate.choose_threshold", unreachable)
    with pytest.raises(LearningError, match=r"no threshold gives sensitivity >= 0.9; .* ask for less in \[learning\."):
        retrained(workshop, "reduced_lvef", replicates=20)
    assert workshop.registry.judgements() == []
    assert not list((workshop.settings.folder / "models").glob("bundles/*"))


def test_too_few_positives_are_refused_and_nothing_is_registered(workshop: Workshop) -> None:
    few = with_learning(workshop, lvef={"threshold": 30, "window_days": 0.05})
    with pytest.raises(LearningError, match=r"needed.*Collect more outcomes"):
        retrained(few, "reduced_lvef", replicates=20)
    assert workshop.registry.judgements() == []
    assert not list((few.settings.folder / "models").glob("bundles/*"))
    flow = next((few.settings.folder / "models" / "runs").glob("*/cohort.json"))
    assert json.loads(flow.read_text())["considered"] > 0, "the flow says where they went"


def test_an_unknown_head_or_model_is_named(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rules for a head 'potassium'"):
        retrained(workshop, "potassium")
    with pytest.raises(NoHead, match="has no head 'troponin'"):
        workshop.evaluate("troponin")


def test_a_damaged_base_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    folder = workshop.settings.folder / "base"
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        retrained(workshop, "reduced_lvef")


def test_a_base_of_another_architecture_is_refused(workshop: Workshop) -> None:
    path = workshop.settings.folder / "base" / "bundle.json"
    told = json.loads(path.read_text())
    told["encoder"]["layers"] += 1
    path.write_text(json.dumps(told))
    with pytest.raises(EcgFmError, match=r"model\.safetensors: tensors missing .*layers\.2"):
        retrained(workshop, "reduced_lvef")
    assert workshop.registry.models() == []


def test_a_full_disk_is_said_and_the_run_goes_on_later(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    shutil.rmtree(workshop.settings.folder / "models" / "embeddings")
    with monkeypatch.context() as patch:
        patch.setattr("ecgfm.finetuning.embedding.np.savez", full)
        with pytest.raises(TrainingError, match="No space left on device"):
            retrained(workshop, "reduced_lvef", replicates=20)
    assert retrained(workshop, "reduced_lvef", replicates=20).bundle.path.exists()


def test_a_withdrawn_echo_teaches_nothing_and_a_corrected_one_counts_anew(
    workshop: Workshop, clinic_store: Store, take_message: TakeMessage
) -> None:
    before, _ = workshop.cohort("reduced_lvef", workshop.clock())
    members = {member.example.key for member in before.members}
    low, key = next(
        (visit, f"ecg:{number}")
        for number, visit in enumerate(staged_visits(), start=1)
        if visit.outcome.reduced_lvef and f"ecg:{number}" in members
    )
    message = clinic.echo_message(low, sent_at=Clock().now).replace(b"|||||F|||", b"|||||W|||")
    withdrawn = message.replace(b"|ORU^R01^ORU_R01|ECHO", b"|ORU^R01^ORU_R01|WDRW")
    take_message(clinic_store, withdrawn, workshop.clock())
    after, _ = workshop.cohort("reduced_lvef", workshop.clock())
    assert len(after.members) == len(before.members) - 1
    assert after.outcomes_left_out["withdrawn"] == 1
    corrected = clinic.echo_message(low, sent_at=Clock().now).replace(f"||{low.outcome.lvef:g}|%".encode(), b"||65|%")
    corrected = corrected.replace(b"|||||F|||", b"|||||C|||").replace(
        b"|ORU^R01^ORU_R01|ECHO", b"|ORU^R01^ORU_R01|CORR"
    )
    take_message(clinic_store, corrected, workshop.clock())
    final, _ = workshop.cohort("reduced_lvef", workshop.clock())
    labels = {member.example.key: member.example.labels[0] for member in final.members}
    assert labels[key] == 0.0
    again, _ = workshop.cohort("reduced_lvef", workshop.clock() - timedelta(minutes=30))
    assert again.digest == before.digest, "the past stays as it was known then"


def test_a_merged_patient_brings_echo_and_ecg_together(
    workshop: Workshop, clinic_store: Store, take: Take, take_message: TakeMessage
) -> None:
    visit = next(clinic.visits(1, now=Clock().now, seed=9))
    stranger = Identifier(authority="DEMO", value="OTHER-NUMBER")
    ecg = replace(visit.ecg, source_id="1.2.3.4", patient=replace(visit.ecg.patient, identifiers=(stranger,)))
    known = Identifier(authority="DEMO", value="CLINIC-99999")
    numbered = replace(visit, ecg=replace(visit.ecg, patient=replace(visit.ecg.patient, identifiers=(known,))))
    at = workshop.clock()
    take(clinic_store, Contents(ecgs=(ecg,)), b"stranger", at)
    take_message(clinic_store, clinic.echo_message(numbered, sent_at=at).replace(b"ECHO0", b"ECHO9"), at)
    count = len(workshop.cohort("reduced_lvef", at)[0].members)
    event = Merge(retired=stranger, surviving=known, event="A40")
    take(clinic_store, Contents(identity_events=(event,)), b"merge", at)
    merged, _ = workshop.cohort("reduced_lvef", at)
    assert len(merged.members) == count + 1
    (member,) = (one for one in merged.members if len(one.row.patient_keys) == 2)
    assert member.split == split_of(member.row.patient_keys)


def test_ecgs_whose_signal_retention_removed_are_counted_out(workshop: Workshop, clinic_store: Store) -> None:
    before, _ = workshop.cohort("reduced_lvef", workshop.clock())
    with clinic_store.database.writer.begin() as connection:
        connection.execute(text("DELETE FROM signal WHERE ecg_id <= 3"))
    after, _ = workshop.cohort("reduced_lvef", workshop.clock())
    assert {step.code: step.excluded for step in after.steps}["no-signal"] == 3
    assert {one.row.key for one in before.members} - {one.row.key for one in after.members} <= {
        "ecg:1",
        "ecg:2",
        "ecg:3",
    }
    retrained(workshop, "reduced_lvef", replicates=20)
    with clinic_store.database.writer.begin() as connection:
        connection.execute(text("DELETE FROM signal"))
    told = watch(workshop).told
    assert "retention" in told.inputs_missing
    assert "reduced_lvef" in told.heads


def test_each_site_meets_its_own_operating_point_of_one_bundle(workshop: Workshop, clinic_store: Store) -> None:
    points = {
        "North": {"reduced_lvef": {"what": "specificity", "at_least": 0.95}},
        "nowhere": {"reduced_lvef": {"what": "ppv", "at_least": 0.2, "prevalence": 0.2}},
    }
    done = retrained(with_learning(workshop, site_operating_points=points), "reduced_lvef", replicates=20)
    (spec,) = Bundle.read(done.bundle.path).heads
    assert spec.threshold("reduced_lvef", "South") == spec.operating_points["reduced_lvef"]
    north = spec.threshold("reduced_lvef", "North")
    assert north not in (None, spec.operating_points["reduced_lvef"])
    made = trained(done).site_operating_points
    assert "of this site" in made["North"].chosen_on
    assert "too few of this site (0)" in made["nowhere"].chosen_on
    staged = clinic_store.ecgs.load(range(1, 9))
    predictor = Predictor.from_bundle(done.bundle.path, device="cpu")
    scorer = scorers.build_scorer(workshop.settings, clinic_store, predictor)
    for one in staged:
        (score,) = scorer.evaluate(one, now=workshop.clock()).scores
        assert score.probability is None or score.threshold == spec.threshold("reduced_lvef", one.site)
    assert {one.site for one in staged} == {"North", "South"}
    point = OperatingRule(what="specificity", at_least=0.6)
    again = workshop.recalibrate("reduced_lvef", point, site="South", model=done.bundle.model_id, replicates=20)
    (new,) = again.bundle.heads
    assert new.threshold("reduced_lvef", "North") == north
    assert (new.operating_points, new.calibration) == (spec.operating_points, spec.calibration)
    assert set(new.site_operating_points) == {"North", "South", "nowhere"}


def test_evaluate_and_recalibrate_judge_again_and_keep_the_weights(workshop: Workshop) -> None:
    first = retrained(workshop, "reduced_lvef", replicates=20)
    judged = workshop.evaluate("reduced_lvef", model=first.bundle.model_id, replicates=20)
    assert judged.judgement.labels["reduced_lvef"].metrics["auroc"].value > 0
    point = OperatingRule(what="specificity", at_least=0.8)
    again = workshop.recalibrate("reduced_lvef", point, model=first.bundle.model_id, replicates=20)
    assert again.bundle.weights_sha256 == first.bundle.weights_sha256
    assert again.bundle.model_id != first.bundle.model_id
    recalibrated = head_records(again.bundle)["reduced_lvef"].recalibrated
    assert recalibrated is not None
    assert recalibrated.operating_point == "specificity >= 0.8"
    assert isinstance(Bundle.read(again.bundle.path), Bundle)


def test_a_head_that_came_with_its_bundle_has_a_card_after_it_was_recalibrated(workshop: Workshop) -> None:
    done = workshop.recalibrate("reduced_lvef", OperatingRule(what="sensitivity", at_least=0.7), replicates=20)
    assert "Not recorded in this bundle" in card(done.bundle)
    record = head_records(done.bundle)["reduced_lvef"]
    assert record.trained is None
    assert record.recalibrated is not None
    assert record.recalibrated.operating_point == "sensitivity >= 0.7"
