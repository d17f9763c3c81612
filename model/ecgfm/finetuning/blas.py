"""One thread for the matrix products of small fits."""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """For a logistic regression, which is thousands of tiny products: threads that wait for each other cost twenty
    times as much.
    """
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> "ThreadpoolController":
    """Those of this process, looked for once: it takes as long as a small fit."""
    from threadpoolctl import ThreadpoolController  # the extra `train`: a machine that only scores goes without

    return ThreadpoolController()
