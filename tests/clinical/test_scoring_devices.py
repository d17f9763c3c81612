"""Several GPUs: a service scores on each of them, under a name of its own, unless one is named."""

import pytest

from ecgfm import devices
from ecgfm_clinical import scorers
from ecgfm_clinical.settings import Model, Settings


@pytest.mark.parametrize(
    ("device", "gpus", "expected"),
    [
        ("auto", 0, [("score", "auto")]),
        ("auto", 1, [("score", "auto")]),
        ("auto", 3, [("score", "cuda:0"), ("score-1", "cuda:1"), ("score-2", "cuda:2")]),
        ("cuda", 2, [("score", "cuda:0"), ("score-1", "cuda:1")]),
        ("cuda:1", 2, [("score", "cuda:1")]),
        ("cpu", 2, [("score", "cpu")]),
    ],
)
def test_one_scorer_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, expected: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: gpus)
    assert list(scorers.scoring_devices(Settings(model=Model(device=device)))) == expected


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cpu:0", "CUDA", ""])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        Model(device=device)
