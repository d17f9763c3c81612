"""Score workers of several processes open one model at the same moment: all go on, and it is written down once."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ecgfm_clinical.errors import GateRefused
from ecgfm_clinical.staging.model_records import ModelRow
from ecgfm_clinical.staging.records import Score

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WORKERS = 8


def bundle(number: int) -> ModelRow:
    return ModelRow(
        model_id=f"{number:064x}",
        name="tiny",
        version=str(number),
        path="tiny",
        demo=False,
        heads={"reduced_lvef": "f"},
        parent_id=None,
        registered_at=NOW,
    )


def test_all_install_the_same_bundle(ward: Any) -> None:
    models = ward.store.models
    for number in range(10):
        row = replace(bundle(number), demo=number < 9)
        done = ward.at_once([partial(models.register, row, now=NOW, actor=f"score{one}") for one in range(WORKERS)])
        assert len(done) == WORKERS
    ward.at_once([partial(models.install, bundle(9), now=NOW, actor=f"score{one}") for one in range(WORKERS)])
    assert [one.action for one in models.history(model_id=bundle(9).model_id)] == ["registered", "installed"]


def test_one_of_two_bundles_becomes_live(ward: Any) -> None:
    def install(number: int) -> bool:
        try:
            return bool(ward.store.models.install(bundle(number), now=NOW, actor=f"score{number}"))
        except GateRefused:
            return False

    assert sum(ward.at_once([partial(install, number) for number in range(WORKERS)])) == 1
    assert len(ward.store.models.history()) == 2


def test_all_answer_for_the_shadow(ward: Any) -> None:
    shadow = ward.store.shadow_answers
    ward.store.models.register(bundle(1), now=NOW, actor="operator")
    answers = {
        ecg_id: [Score(head="reduced_lvef", label="reduced_lvef", probability=0.5, logit=0.0)]
        for _ in range(5)
        for ecg_id in ward.take().ecg_ids
    }
    ward.at_once(
        [partial(shadow.keep, bundle(1).model_id, answers, now=NOW, actor=f"s{one}") for one in range(WORKERS)]
    )
    assert shadow.count(bundle(1).model_id) == len(answers)
