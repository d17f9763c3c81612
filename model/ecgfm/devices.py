"""Where a computation runs: the device that a name means on this machine, and the one on which a training run began."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ecgfm.errors import RuntimeUnavailable

if TYPE_CHECKING:
    import torch

Kind: TypeAlias = Literal["cpu", "cuda"]
DEVICE = "device"  #: in a run's folder: `cpu` or `cuda`, as it was last trained


def cuda_present() -> bool:
    """Whether torch sees a CUDA device."""
    import torch

    return torch.cuda.is_available()


def gpus() -> int:
    """How many CUDA devices torch sees."""
    import torch

    return torch.cuda.device_count() if cuda_present() else 0


def choose_device(name: str) -> "torch.device":
    """`auto` (CUDA where present), `cpu`, `cuda` or `cuda:N` -> the device; raises `RuntimeUnavailable`."""
    import torch

    if name == "auto":
        return torch.device("cuda" if cuda_present() else "cpu")
    if name.startswith("cuda") and not cuda_present():
        raise RuntimeUnavailable(
            f"device {name!r} was asked for, but torch sees no CUDA device; use device 'cpu' or 'auto'"
        )
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise RuntimeUnavailable(f"{name!r} is no device; use 'auto', 'cpu' or 'cuda'") from error


def settle(device: "torch.device") -> None:
    """Wait until the device has done all that it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def training_device(asked: str, folder: Path | None = None) -> Kind:
    """`cpu` or `cuda` for the run in `folder`: the device asked for; under `auto` the one on which the run began.

    A new run takes CUDA where present. Raises `RuntimeUnavailable` where the device is not on this machine: a run moves
    to another one only when that is named, because it then ends elsewhere in the last digits.
    """
    began = None if folder is None else device_of(folder)
    if asked != "auto" or began is None:
        return "cuda" if choose_device(asked).type == "cuda" else "cpu"
    if began == "cuda" and not cuda_present():
        raise RuntimeUnavailable(
            f"the run in {folder} began on a CUDA device and torch sees none here; start it where there is one, or "
            "name device 'cpu' to go on without"
        )
    return began


def device_of(folder: Path) -> Kind | None:
    """Where the run in `folder` was last trained; None for a new one and one of a version that did not write it
    down.
    """
    path = folder / DEVICE
    if not path.exists():
        return None
    return "cuda" if path.read_text(encoding="utf-8").strip() == "cuda" else "cpu"


def keep_device(folder: Path, device: str) -> None:
    """Write down where the run in `folder` is trained."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DEVICE).write_text(f"{device}\n", encoding="utf-8")
