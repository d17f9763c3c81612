"""Promotion, rollback, shadow and history on both databases; a service that follows without restart."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from html import escape
from pathlib import Path

import pytest
from sqlalchemy import JSON, bindparam, text

from ecgfm.checkpoint import Bundle
from ecgfm.provenance import Provenance
from ecgfm_clinical import scorers
from ecgfm_clinical.errors import GateRefused, LearningError, ModelError, NotFound, StoreError, StoreTooNew
from ecgfm_clinical.learning import governance, models
from ecgfm_clinical.learning.report import governance_pack
from ecgfm_clinical.learning.report.card import card
from ecgfm_clinical.pipeline.live import LiveScorer, ShadowScorer
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.pipeline.shadow import compared
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.model_records import DriftFinding, HeadVerdict, ModelRow
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Verdict
from ecgfm_connectors.ecg import Ecg
from tests.helpers.fakes import Clock, make_ecg
from tests.helpers.tiny_models import tiny_network, write_tiny_bundle

pytestmark = [pytest.mark.slow(10), pytest.mark.usefixtures("quick_judging", "without_pictures")]

Stage = Callable[[Ecg], Verdict]


class House:
    """An installation with a registry and three bundles on disk."""

    def __init__(self, store: Store, folder: Path, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.settings = Settings.model_validate(
            {
                "folder": folder,
                "model": {"bundle": "first", "device": "cpu"},
                "heads": {"interpretation": {"enabled": False}},
            }
        )
        self.registry = store.models
        self.rows = {}
        for seed, name in enumerate(("first", "second", "third")):
            bundle = write_tiny_bundle(folder / name, seed=seed)
            self.rows[name] = governance.model_row(bundle, path=name, now=clock())
        self.install("first")
        for name in ("second", "third"):
            self.registry.register(self.rows[name], now=clock(), actor="trainer")

    def install(self, name: str) -> None:
        settings = self.settings.model_copy(update={"model": self.settings.model.model_copy(update={"bundle": name})})
        models.live_model(settings, self.registry, now=self.clock(), actor="service")

    def judge(self, name: str, *, reasons: tuple[str, ...] = (), champion: str = "first") -> None:
        row = self.rows[name]
        for head, fingerprint in row.heads.items():
            verdict = HeadVerdict(
                model_id=row.model_id,
                head=head,
                fingerprint=fingerprint,
                champion_id=self.rows[champion].model_id,
                cohort_digest="c" * 64,
                reasons=reasons,
                report="",
            )
            self.registry.judge(verdict, now=self.clock(), actor="trainer")

    def promote(self, name: str, **more: bool) -> None:
        self.clock.advance(hours=1)
        governance.promote(self.registry, self.rows[name], now=self.clock(), actor="Dr Test", reason="better", **more)

    def rollback(self) -> ModelRow:
        self.clock.advance(hours=1)
        return governance.rollback(self.registry, now=self.clock(), actor="Dr Test", reason="worse")

    @property
    def live(self) -> str:
        row = self.registry.live()
        assert row is not None
        return row.path

    def scorer(self, row: ModelRow) -> Scorer:
        scorer = scorers.scorer_of(self.settings, self.store, row)
        scorer._clock = self.clock
        return scorer


@pytest.fixture
def house(store: Store, tmp_path: Path, clock: Clock) -> House:
    return House(store, tmp_path, clock)


def test_a_promotion_needs_a_passed_judgement_of_every_changed_head(house: House) -> None:
    with pytest.raises(GateRefused, match=r"reduced_lvef was never judged.*troponin was never judged"):
        house.promote("second")
    house.judge("second", reasons=("AUROC too low",))
    with pytest.raises(GateRefused, match="reduced_lvef: AUROC too low"):
        house.promote("second")
    assert house.live == "first"
    house.judge("second")
    house.promote("second")
    assert house.live == "second"


def test_a_judgement_against_another_model_does_not_count(house: House) -> None:
    house.judge("second")
    house.judge("third", champion="first")
    house.promote("second")
    with pytest.raises(GateRefused, match="judged against another model than the live one"):
        house.promote("third")
    house.judge("third", champion="second")
    house.promote("third")


def test_no_head_falls_silent_unless_a_person_says_so(house: House, tmp_path: Path) -> None:
    whole = tiny_network(seed=1)
    spec = whole.specs[0]
    from ecgfm.finetuning.candidate import Model, joined
    from ecgfm.finetuning.trained import with_head

    alone = joined(Model(network=tiny_network(), specs=(), origin=""), with_head(whole, spec), spec)
    bundle = Bundle.write(
        tmp_path / "alone", alone.network, name="alone", version="1", demo=True, provenance=Provenance()
    )
    house.rows["alone"] = governance.model_row(bundle, path="alone", now=house.clock())
    house.registry.register(house.rows["alone"], now=house.clock(), actor="trainer")
    house.judge("alone")
    with pytest.raises(GateRefused, match="troponin would fall silent"):
        house.promote("alone")
    house.promote("alone", drop_heads=True)
    assert house.live == "alone"


def test_what_was_live_when(house: House) -> None:
    start = house.clock()
    house.judge("second")
    house.promote("second")
    house.judge("third", champion="second")
    house.promote("third")
    house.rollback()
    at = {hours: house.registry.live(at=start + timedelta(hours=hours)) for hours in (0, 1.5, 2.5, 3.5)}
    assert {hours: row and row.path for hours, row in at.items()} == {
        0: "first",
        1.5: "second",
        2.5: "third",
        3.5: "second",
    }
    assert house.registry.live(at=start - timedelta(seconds=1)) is None
    acts = [(event.action, event.actor) for event in house.registry.history()]
    assert acts[-3:] == [("promoted", "Dr Test"), ("promoted", "Dr Test"), ("rolled-back", "Dr Test")]


def test_rollback_goes_further_back_never_to_and_fro(house: House) -> None:
    house.judge("second")
    house.promote("second")
    house.judge("third", champion="second")
    house.promote("third")
    assert [house.rollback().path, house.rollback().path] == ["second", "first"]
    with pytest.raises(NotFound, match="nothing to roll back to"):
        house.rollback()


def test_promoting_the_live_model_is_said(house: House) -> None:
    with pytest.raises(LearningError, match="is live already"):
        house.promote("first")


def test_settings_install_the_first_model_and_replace_no_live_one(house: House, tmp_path: Path) -> None:
    house.judge("second")
    house.promote("second")
    before = house.registry.history()
    house.install("first")
    house.install("second")
    assert house.live == "second", "a restart with a model that was live once changes nothing"
    bundle = Bundle.read(tmp_path / "third")
    real = Bundle.write(
        tmp_path / "real",
        bundle.network(),
        name="ours",
        version="1",
        demo=False,
        provenance=Provenance(),
        heads=bundle.heads,
    )
    with pytest.raises(
        GateRefused, match=r"model.bundle names .* never was live.*only a promotion.*model promote third"
    ):
        house.install("third")
    assert house.registry.history() == before
    house.install("real")  # the first real model takes the place of a demo model, which governs nothing
    assert house.registry.live(at=house.clock()) == governance.model_row(real, path="real", now=house.clock())
    with pytest.raises(GateRefused, match="only a promotion"):
        house.install("third")


def test_the_history_cannot_be_rewritten(house: House) -> None:
    for statement in ("UPDATE model_event SET actor = 'nobody'", "DELETE FROM model_event"):
        with pytest.raises(Exception, match="append-only"), house.store.database.writer.begin() as connection:
            connection.execute(text(statement))


def test_a_model_is_found_by_name_or_the_beginning_of_its_id(house: House) -> None:
    row = house.rows["second"]
    assert house.registry.find(row.model_id[:10]) == house.registry.find(row.name) == row
    with pytest.raises(NotFound, match="no model 'nothing'"):
        house.registry.find("nothing")


def test_every_ecg_is_scored_by_the_model_that_was_live_and_by_no_other(house: House, stage: Stage) -> None:
    live = LiveScorer(house.registry, house.scorer)
    first = stage(make_ecg(1)).ecg_ids[0]
    assert live.run_batch() == 1
    house.judge("second")
    house.promote("second")
    second = stage(make_ecg(2)).ecg_ids[0]
    assert live.run_batch() == 1
    house.rollback()
    third = stage(make_ecg(3)).ecg_ids[0]
    assert live.run_batch() == 1
    used = [house.store.ecgs.story(ecg_id).scorings[-1].model_id for ecg_id in (first, second, third)]
    assert used == [house.rows[name].model_id for name in ("first", "second", "first")]


def test_a_live_bundle_that_cannot_be_opened_makes_jobs_wait(house: House, stage: Stage, tmp_path: Path) -> None:
    house.judge("second")
    house.promote("second")
    kept = (tmp_path / "second" / "model.safetensors").read_bytes()
    (tmp_path / "second" / "model.safetensors").write_bytes(b"damaged")
    live = LiveScorer(house.registry, house.scorer)
    stage(make_ecg(1))
    assert live.run_batch() == 0
    assert house.store.questions.counts().waiting == 1
    (tmp_path / "second" / "model.safetensors").write_bytes(kept)
    assert live.run_batch() == 1


def test_another_bundle_in_the_place_of_the_registered_one_is_refused(house: House, tmp_path: Path) -> None:
    swapped = replace(house.rows["second"], path="third")
    with pytest.raises(ModelError, match="another model"):
        house.scorer(swapped)
    with pytest.raises(ModelError, match="put the registered bundle back"):
        models.opened(house.settings, swapped)


def test_the_shadow_answers_live_ecgs_and_sends_nothing(house: House, stage: Stage) -> None:
    live = LiveScorer(house.registry, house.scorer)
    shadow = ShadowScorer(
        house.registry,
        house.store.shadow_answers,
        house.scorer,
        worker="shadow",
        clock=house.clock,
        batch_size=8,
    )
    early = stage(make_ecg(1)).ecg_ids[0]
    live.run_batch()
    assert shadow.run_batch() == 0, "no shadow yet"
    house.clock.advance(minutes=1)
    house.registry.act("shadow-on", house.rows["second"].model_id, now=house.clock(), actor="Dr Test", reason="try")
    late = stage(make_ecg(2)).ecg_ids[0]
    assert shadow.run_batch() == 0, "the live model answers first"
    live.run_batch()
    assert shadow.run_batch() == 1
    assert shadow.run_batch() == 0, "once"
    assert [scoring.model_id for scoring in house.store.ecgs.story(late).scorings] == [house.rows["first"].model_id]
    assert len(house.store.ecgs.story(early).scorings) == 1
    told = compared(house.store.shadow_answers, house.rows["second"])
    assert (told.ecgs, {one.head for one in told.labels}) == (1, {"reduced_lvef", "troponin"})
    house.registry.act("shadow-off", house.rows["second"].model_id, now=house.clock(), actor="Dr Test", reason="")
    stage(make_ecg(3))
    live.run_batch()
    assert shadow.run_batch() == 0


def test_two_workers_in_the_shadow_keep_one_answer(house: House, stage: Stage) -> None:
    house.registry.act("shadow-on", house.rows["second"].model_id, now=house.clock(), actor="Dr Test", reason="")
    stage(make_ecg(1))
    LiveScorer(house.registry, house.scorer).run_batch()
    found = house.registry.shadow()
    assert found is not None
    (one,) = house.store.shadow_answers.batch(found[0].model_id, found[1], limit=5)
    for _ in range(2):
        house.store.shadow_answers.keep(found[0].model_id, {one.ecg_id: ()}, now=house.clock(), actor="shadow")
    assert house.store.shadow_answers.count(found[0].model_id) == 1


def test_states_and_card(house: House) -> None:
    house.judge("second")
    house.promote("second")
    house.registry.act("shadow-on", house.rows["third"].model_id, now=house.clock(), actor="Dr Test", reason="")
    assert {house.registry.find(model_id).path: state for model_id, state in house.registry.states().items()} == {
        "first": "retired",
        "second": "live",
        "third": "shadow",
    }
    text = card(models.opened(house.settings, house.rows["second"]))
    assert "NOT FOR CLINICAL USE" in text
    for heading in ("Purpose", "Cautions", "External validation", "Maintenance", "race, ethnicity"):
        assert heading in text


def test_the_pack_answers_every_source_attribute_or_says_who_must(house: House) -> None:
    house.judge("second")
    house.promote("second")
    bundle = models.opened(house.settings, house.rows["second"])
    verdicts = house.registry.judgements(model_id=bundle.model_id)
    made = governance_pack.pack(bundle, house.registry.history(), verdicts)
    sections = {one.title: one.fields for one in made.sections}
    attributes = sections["Source attributes (45 CFR 170.315(b)(11)(iv)(B))"]
    counts = {"1": 4, "2": 4, "3": 2, "4": 4, "5": 2, "6": 4, "7": 5, "8": 4, "9": 2}  # of the rule's nine paragraphs
    assert Counter(one.number[0] for one in attributes) == counts
    assert len({one.number for one in attributes}) == 31
    texts = {one.number: one.text for one in attributes}
    assert all(one.value or one.text.startswith("TO BE FILLED by ") for one in attributes)
    assert texts["1.i"] == "TO BE FILLED by the developer of the head"
    assert "NOT FOR CLINICAL USE" in texts["2.i"]
    assert texts["7.i"].startswith("TO BE FILLED")  # nothing is claimed of a head that came with its bundle
    assert [one.number for one in sections["TRIPOD+AI"]] == [str(number) for number in range(1, 28)]
    told = [one.text for one in sections["What was live when"]]
    assert [house.rows["first"].model_id in told[0], bundle.model_id in told[1], len(told)] == [True, True, 2]
    assert any("better" in one.value for one in sections["Change record"])
    page, text = governance_pack.html(made), governance_pack.markdown(made)
    assert all(one.name in text and escape(one.name) in page for own in sections.values() for one in own)
    assert f"{len(made.to_fill)} fields are to be filled" in page


def test_an_unknown_model_cannot_be_acted_on(house: House) -> None:
    with pytest.raises(StoreError, match="no model ffffffffffff"):
        house.registry.act("promoted", "f" * 64, now=house.clock(), actor="x", reason="")


COPIED = {
    "model_evaluation": "at, actor, model_id, head, fingerprint, champion_id, cohort_digest, passed, reasons",
    "drift_report": "at, actor, model_id, findings",
}


def copy_row(house: House, table: str, report: Mapping[str, object]) -> None:
    """The first row once more, with its JSON as another version wrote it."""
    said, number = COPIED[table], "evaluation_id" if table == "model_evaluation" else "report_id"
    with house.store.database.writer.begin() as connection:
        statement = text(
            f"INSERT INTO {table} ({said}, report) SELECT {said}, :report FROM {table} ORDER BY {number} LIMIT 1"
        )
        connection.execute(statement.bindparams(bindparam("report", type_=JSON)), {"report": report})


def test_a_row_of_the_version_before_is_read_and_one_of_a_later_version_is_named(house: House) -> None:
    house.judge("second")
    *_, kept = house.registry.judgements()
    assert (kept.passed, kept.actor, kept.report) == (True, "trainer", "")
    for told, found in (({"file": "reports/one.html"}, "reports/one.html"), ({}, "")):
        copy_row(house, "model_evaluation", told)
        assert house.registry.judgements()[0] == replace(kept, report=found)
    copy_row(house, "model_evaluation", {"format_version": 2, "file": "reports/one.html"})
    with pytest.raises(StoreTooNew, match="has format version 2, this program reads 1; update it"):
        house.registry.judgements()
    mix = DriftFinding(code="mix", month="2026-01", text="another device")
    house.registry.keep_drift(kept.model_id, [mix], "drift/one", now=house.clock(), actor="trainer")
    copy_row(house, "drift_report", {"file": "drift/one"})
    last = house.registry.last_drift()
    assert last is not None
    assert (last.findings, last.report) == ((mix,), "drift/one")
