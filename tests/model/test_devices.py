"""A run trains where it was told to, or where it began, and never moves to another device by itself."""

from pathlib import Path

import pytest

from ecgfm import devices
from ecgfm.errors import RuntimeUnavailable


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torch saw a CUDA device."""
    monkeypatch.setattr(devices, "cuda_present", lambda: True)


@pytest.mark.usefixtures("cuda")
def test_a_new_run_takes_cuda_where_there_is_one_unless_told_otherwise(tmp_path: Path) -> None:
    assert devices.training_device("auto", tmp_path) == "cuda"
    assert devices.training_device("cpu", tmp_path) == "cpu"


def test_without_cuda_a_new_run_trains_on_the_cpu(tmp_path: Path) -> None:
    assert devices.training_device("auto", tmp_path) == "cpu"
    with pytest.raises(RuntimeUnavailable, match="sees no CUDA device"):
        devices.training_device("cuda", tmp_path)


@pytest.mark.usefixtures("cuda")
def test_a_run_goes_on_where_it_began(tmp_path: Path) -> None:
    devices.keep_device(tmp_path / "run", "cpu")
    assert devices.training_device("auto", tmp_path / "run") == "cpu"
    assert devices.training_device("cuda", tmp_path / "run") == "cuda", "it moves where that is asked for"


def test_a_run_that_began_on_cuda_does_not_go_on_elsewhere_unasked(tmp_path: Path) -> None:
    devices.keep_device(tmp_path, "cuda")
    with pytest.raises(RuntimeUnavailable, match=r"began on a CUDA device.*name device 'cpu' to go on"):
        devices.training_device("auto", tmp_path)
    assert devices.training_device("cpu", tmp_path) == "cpu"
