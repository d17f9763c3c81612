"""Read what recordings need of a MATLAB 5 file: plain arrays, texts, and structs of one element.

Own code rather than `scipy.io.loadmat`, which a damaged file brings down with the whole process (a data type beyond its
table) or lets claim memory for any shape. After the MathWorks' "MAT-File Format" (Level 5).
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # Any: values of MATLAB files

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import RecordingError

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
#: Data type of an element -> numpy's.
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_TEXTS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_STRUCT, _CHAR, _NUMERIC = 2, 4, range(6, 16)
#: What a compressed variable may unfold to: bytes, and as a multiple of the file.
_UNFOLDED, _TIMES = 1 << 23, 8
_DEEPEST = 8


def read_mat(content: bytes) -> dict[str, Any]:
    """Variable -> array as it is stored, text, or struct (field -> the same). What is of another class is left out.

    Raises RecordingError where the file is of another version, ends early or contradicts itself.
    """
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise RecordingError("no MATLAB file of version 5; a bare `val` needs its .hea header beside it")
    order = "<" if content[126:128] == b"IM" else ">"
    found: dict[str, Any] = {}
    left = _UNFOLDED + _TIMES * len(content)
    for kind, data in _elements(content[_HEADER:], order):
        if kind == _COMPRESSED:
            unfolded = _unfold(data, left)
            left -= len(unfolded)
            (kind, data), *_ = [*_elements(unfolded, order), (0, b"")]
        if kind == _MATRIX:
            name, value = _Matrix(order=order, depth=0).read(data)
            if value is not None:
                found[name] = value
    return found


def _unfold(data: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        unfolded = unpacker.decompress(data, max(most, 1))
    except zlib.error as error:
        raise RecordingError("a compressed variable is damaged") from error
    if unpacker.unconsumed_tail:
        raise RecordingError("a compressed variable unfolds to more than any recording of its size")
    return unfolded


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Data type and bytes of one element after the other."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # the small form: size and type in one word, the data in the other
            size, kind, start, end = kind >> 16, kind & 0xFFFF, at + 4, at + 8
            if size > 4:
                raise RecordingError("a small element of a MATLAB file holds more than it can")
        else:
            start = at + 8
            end = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise RecordingError("the MATLAB file ends early")
        yield kind, data[start : start + size]
        at = end


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrix:
    order: str
    depth: int  #: structs around it

    def read(self, data: bytes) -> tuple[str, Any]:
        """Name and value of a matrix element; None for a class that is not read."""
        parts = list(_elements(data, self.order))
        if len(parts) < 3:
            return "", None
        flags, shape = self._numbers(*parts[0]), self._numbers(*parts[1])
        name = parts[2][1].decode("latin-1")
        if flags.dtype.kind not in "iu" or shape.dtype.kind not in "iu" or not len(flags) or (shape < 0).any():
            raise RecordingError("an array of a MATLAB file has no class or no shape")
        kind, length = int(flags[0]) & 0xFF, math.prod(int(size) for size in shape)
        if kind == _STRUCT and length == 1:
            return name, self._struct(parts[3:])
        if kind == _CHAR and len(parts) > 3:
            return name, parts[3][1].decode(_TEXTS.get(parts[3][0], "latin-1"), errors="replace")
        if kind not in _NUMERIC or len(parts) != 4:  # a fifth part is an imaginary one
            return name, None
        values = self._numbers(*parts[3])
        if len(values) != length:
            raise RecordingError("an array of a MATLAB file holds another number of values than its shape")
        return name, values.reshape([int(size) for size in shape], order="F")

    def _numbers(self, kind: int, data: bytes) -> NDArray[Any]:
        if kind not in _NUMBERS:
            raise RecordingError(f"data type {kind} in a MATLAB file is no number")
        dtype = np.dtype(self.order + _NUMBERS[kind])
        return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)

    def _struct(self, parts: list[tuple[int, bytes]]) -> dict[str, Any]:
        if len(parts) < 2 or self.depth >= _DEEPEST:
            raise RecordingError("a struct of a MATLAB file has no fields, or lies too deep in others")
        width = int(self._numbers(*parts[0])[:1].sum())
        names = parts[1][1]
        if width <= 0 or len(names) // width != len(parts) - 2:
            raise RecordingError("a struct of a MATLAB file has other fields than names")
        inner = _Matrix(order=self.order, depth=self.depth + 1)
        fields: dict[str, Any] = {}
        for number, (kind, data) in enumerate(parts[2:]):
            name = names[number * width : (number + 1) * width].partition(b"\0")[0].decode("latin-1")
            value = inner.read(data)[1] if kind == _MATRIX else None
            if value is not None:
                fields[name] = value
        return fields
