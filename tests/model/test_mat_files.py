"""MATLAB 5 files: read as scipy reads intact ones, and damaged ones without a crash."""

import time
import tracemalloc
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from ecgfm.errors import RecordingError
from ecgfm.mat_files import read_mat


def written(content: dict[str, Any], *, compressed: bool = False) -> bytes:
    stream = BytesIO()
    savemat(stream, content, do_compression=compressed)  # type: ignore[arg-type]
    return stream.getvalue()


SIGNAL = np.random.default_rng(3).standard_normal((12, 50)) * 100
CODE15 = written({"feats": SIGNAL.astype(np.float32), "curr_sample_rate": 500})
CPSC = written({"ECG": {"sex": "Male", "age": 60, "data": SIGNAL}})
FOLDED = written({"ECG": {"sex": "Male", "age": 60, "data": SIGNAL}}, compressed=True)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_arrays_as_scipy_reads_them(kind: str, compressed: bool) -> None:
    content = written({"feats": SIGNAL.astype(kind), "empty": np.zeros((0, 3))}, compressed=compressed)
    found, expected = read_mat(content), loadmat(BytesIO(content))  # type: ignore[arg-type]
    for name in ("feats", "empty"):
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("content", [CPSC, FOLDED])
def test_a_struct_and_its_texts(content: bytes) -> None:
    found = read_mat(content)["ECG"]
    np.testing.assert_array_equal(found["data"], SIGNAL)
    assert (found["sex"], found["age"].item()) == ("Male", 60)


def test_big_endian() -> None:
    element = np.array([6, 8, 6, 0, 5, 8, 1, 2, 1, 4], ">u4").tobytes() + b"data" + bytes(4)
    element += np.array([9, 16], ">u4").tobytes() + np.array([1.5, -2.0], ">f8").tobytes()
    head = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI"
    found = read_mat(head + np.array([14, len(element)], ">u4").tobytes() + element)
    np.testing.assert_array_equal(found["data"], [[1.5, -2.0]])


def test_cells_are_left_out_and_what_stands_beside_them_is_read() -> None:
    content = written({"cells": np.array([["a", {"b": 1}]], dtype=object), "feats": SIGNAL})
    assert list(read_mat(content)) == ["feats"]


def test_a_data_type_beyond_the_table_is_an_error() -> None:
    """It brings the whole process down in scipy 1.17."""
    with pytest.raises(RecordingError, match="data type 115"):
        read_mat(CODE15[:0xB8] + b"s" + CODE15[0xB9:])


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0", CODE15[:1000], CPSC[:-9], FOLDED[:-40]])
def test_what_ends_early(content: bytes) -> None:
    with pytest.raises(RecordingError):
        read_mat(content)


def test_a_variable_that_unfolds_without_end() -> None:
    bomb = written({"feats": np.zeros((12, 200_000))}, compressed=True)
    with pytest.raises(RecordingError, match="unfolds to more"):
        read_mat(bomb)


EDITS = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6), st.booleans()), min_size=1, max_size=4)


@pytest.mark.parametrize("content", [CODE15, CPSC, FOLDED], ids=["code15", "cpsc", "compressed"])
@settings(max_examples=150, deadline=None)
@given(edits=EDITS)
def test_damage(content: bytes, edits: list[tuple[float, bytes, bool]]) -> None:
    for place, value, early in edits:
        at = int(place * (400 if early else len(content)))
        content = content[:at] + value + content[at + len(value) :]
    tracemalloc.start()
    started = time.process_time()
    try:
        read_mat(content)
    except RecordingError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak <= 24 * 2**20 + 20 * len(content)
    assert time.process_time() - started < 2.0
