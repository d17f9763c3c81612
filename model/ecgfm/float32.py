"""On a GPU float32 means float32: TF32, which keeps 10 of 23 bits of a factor, is off while our arithmetic runs.

cuDNN would take TF32 for convolutions unasked and move a probability by 1e-4. The switch is the process's own, so it is
put back as it was: whoever uses this package beside other networks keeps their settings.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from types import ModuleType
from typing import Any  # Any: torch's switches, of which two versions name them differently

import torch

Switch = tuple[Any, str, Any]  #: (object, attribute, value)

_lock = Lock()
_inside = 0
_before: tuple[Switch, ...] = ()


@contextmanager
def exact_float32() -> Iterator[None]:
    """Products and convolutions of float32 tensors in float32 inside; the settings of before afterwards.

    Safe in several threads at once: the first to enter keeps the settings, the last to leave puts them back.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = _settings()
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for holder, name, value in _before:
                    setattr(holder, name, value)


def _settings() -> tuple[Switch, ...]:
    """The two switches as they stand: by torch's older interface, by the newer one where that made the settings."""
    return (
        _switch(torch.backends.cudnn, lambda: getattr(torch.backends.cudnn, "conv")),  # noqa: B009  torch leaves it untyped
        _switch(torch.backends.cuda.matmul, lambda: torch.backends.cuda.matmul),
    )


def _switch(older: Any, newer: Callable[[], ModuleType | Any]) -> Switch:
    try:
        return older, "allow_tf32", older.allow_tf32
    except RuntimeError:
        return newer(), "fp32_precision", newer().fp32_precision
