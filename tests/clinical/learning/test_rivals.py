"""Rivals learn from the patients that the head learns from, and stand in its report."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ecgfm.finetuning.dataset import Example
from ecgfm.finetuning.split import Split
from ecgfm.rivals import scratch
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.settings import Learning

pytestmark = [pytest.mark.slow(15), pytest.mark.usefixtures("quick_judging", "without_pictures")]

TINY = {
    "beside": ["forest", "cnn", "s4d"],
    "convolutional_width": 2,
    "state_space_width": 4,
    "state_space_depth": 1,
    "epochs": 1,
}


def test_every_rival_stands_in_the_report_and_saw_no_test_patient(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = Learning.model_validate(workshop.settings.learning.model_dump() | {"rivals": TINY})
    crowded = replace(workshop, settings=workshop.settings.model_copy(update={"learning": learning}))
    learnt: list[Split] = []
    train = scratch.train_from_scratch

    def watched(network: object, labels: Sequence[str], split: Split, *how: object, **more: object) -> object:
        learnt.append(split)
        return train(network, labels, split, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(scratch, "train_from_scratch", watched)
    done = crowded.retrain("reduced_lvef", replicates=20)
    assert done is not None
    told = json.loads((done.report.parent / "report.json").read_text(encoding="utf-8"))
    names = {"age and sex", "random encoder", "random forest", "convolutional network", "S4D network", "champion"}
    assert told["labels"]["reduced_lvef"]["compared"].keys() == names
    page = done.report.read_text(encoding="utf-8")
    assert "earn" in page
    assert "its keep here" in page

    def patients(examples: Sequence[Example]) -> set[str]:
        return {one.patient for one in examples}

    assert len(learnt) == 2
    for split in learnt:
        assert patients(split.train) == patients(done.cohort.examples("train"))
        assert patients(split.validation) == patients(done.cohort.examples("validation"))
    crowded.evaluate("reduced_lvef", model=done.bundle.model_id, replicates=20)
    assert len(learnt) == 2, "a network that was trained on these very ECGs is not trained again"
