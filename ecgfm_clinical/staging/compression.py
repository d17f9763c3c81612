"""Signals and payloads become smaller, and come back to the last bit: NaN, negative zero and all.

A signal is float32 because readers scale integers to mV. Undone, the integers of one lead follow each other closely,
and leads III, aVR, aVL and aVF follow from I and II (Einthoven, Goldberger): what is left are small numbers. Where
scaling the integers again does not give the very same bits, the difference of the bits is kept beside them. A payload
that holds 16-bit samples, one channel after the other, is kept as differences from one sample of a channel to its next.
What is left goes through zstd (RFC 8878). The name of a coding stands beside each value, in the column `coding`.
"""

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.errors import StoreError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EARLIER = ""  #: the bytes themselves, written by a version that compressed nothing
PLAIN = "plain"  #: the bytes themselves, because they do not become smaller
SIGNAL = "signal/1"
BYTES = "bytes/1"

LEVEL = 1  #: of zstd: higher ones take longer and save little of such numbers
LEADS = 12
SAMPLE = np.dtype("<f4")  #: float32, little-endian, on every machine
#: Channels side by side in a payload: one by one, without and with the limb leads that follow from others.
STRIDES = (0, 1, 8, 12)
PROBE = 16384  #: bytes out of the middle of a payload on which the strides are tried
#: The largest integer of a lead: up to there float32 holds each of them.
LARGEST = 2**23

#: mV; where a device counts in other steps and its export rounds them, the steps seen are of several sizes.
WHOLE_MICROVOLT = 0.001

_Integers = NDArray[np.int32]
_Scale = Literal[0, 1]  #: float32 times float32, or float64 times float64 and then rounded
#: How a lead is predicted: from nothing, its last sample, its last two, or leads I and II.
_ALONE, _LAST, _LINE, _LIMB = range(4)
#: scale (255: no integers), samples a lead, quantum in mV, predictions, length of the integers' frame
_HEADER = struct.Struct("<BId12sI")
_NO_INTEGERS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A value as it is stored, before it is sealed."""

    coding: str
    value: bytes = field(repr=False)


def pack_payload(content: bytes) -> Packed:
    """The bytes of a payload."""
    return _smaller(Packed(coding=BYTES, value=_pack_bytes(content)), content)


def unpack_payload(packed: Packed) -> bytes:
    """The bytes that were packed. Raises StoreError where that cannot be."""
    if packed.coding in (EARLIER, PLAIN):
        return packed.value
    if packed.coding != BYTES:
        raise _unknown(packed.coding)
    return _unpack_bytes(packed.value)


def pack_signal(signal: NDArray[np.float32]) -> Packed:
    """(12, N) float32 in mV."""
    plain = np.ascontiguousarray(signal, dtype=SAMPLE)
    return _smaller(Packed(coding=SIGNAL, value=_pack_signal(plain)), plain.tobytes())


def unpack_signal(packed: Packed) -> NDArray[np.float32]:
    """(12, N) float32, every bit as it was. Raises StoreError where that cannot be."""
    if packed.coding in (EARLIER, PLAIN):
        found = np.frombuffer(packed.value, dtype=SAMPLE).reshape(LEADS, -1)
    elif packed.coding == SIGNAL:
        found = _unpack_signal(packed.value)
    else:
        raise _unknown(packed.coding)
    return found.astype(np.float32, copy=False)


def _smaller(packed: Packed, plain: bytes) -> Packed:
    return packed if len(packed.value) < len(plain) else Packed(coding=PLAIN, value=plain)


def _unknown(coding: str) -> StoreError:
    return StoreError(
        f"a value of the store is packed as {coding!r}: a newer ecgfm-clinical wrote it; upgrade this one"
    )


def _pack_bytes(plain: bytes) -> bytes:
    start = (len(plain) // 2 - PROBE // 2) & ~1
    probe = plain[max(0, start) :][:PROBE]
    best = min(STRIDES, key=lambda stride: len(_compress(_differences(probe, stride))))
    return bytes([best]) + _compress(_differences(plain, best))


def _unpack_bytes(packed: bytes) -> bytes:
    return _sums(_decompress(packed[1:]), packed[0])


@np.errstate(all="ignore")  # what is no ECG may overflow: its bits are kept all the same
def _pack_signal(signal: NDArray[np.float32]) -> bytes:
    if not signal.size:
        return signal.tobytes()
    finite = np.where(np.isfinite(signal), signal, np.float32(0))
    quantum, scale = _quantum(finite)
    integers = np.rint(finite / quantum) if quantum else finite
    if not quantum or not np.abs(integers).max() <= LARGEST:
        return _pack_floats(signal)
    whole = integers.astype(np.int32)
    rest = signal.view("<i4") - _scaled(whole, quantum, scale).view("<i4")
    how, left = _predicted(whole)
    frame = _compress(_narrow(left))
    packed = _HEADER.pack(scale, signal.shape[1], quantum, how, len(frame)) + frame
    if rest.any():
        packed += _compress(_planes(rest.view(np.uint8).reshape(-1, 4)))
    return packed if len(packed) < signal.nbytes // 3 else min(packed, _pack_floats(signal), key=len)


def _pack_floats(signal: NDArray[np.float32]) -> bytes:
    """Samples that are no integers times anything."""
    planes = _compress(_planes(signal.view(np.uint8).reshape(-1, 4)))
    return _HEADER.pack(_NO_INTEGERS, signal.shape[1], 0.0, bytes(LEADS), 0) + planes


def _unpack_signal(packed: bytes) -> NDArray[np.float32]:
    try:
        scale, samples, quantum, how, length = _HEADER.unpack_from(packed)
        frames = packed[_HEADER.size :]
        if scale == _NO_INTEGERS:
            return _from_planes(_decompress(frames), 4).view("<f4").reshape(LEADS, samples)
        whole = _recovered(how, _wide(_decompress(frames[:length]), LEADS * samples).reshape(LEADS, samples))
        signal = _scaled(whole, quantum, scale)
        if len(frames) > length:
            rest = _from_planes(_decompress(frames[length:]), 4).view("<i4").reshape(LEADS, samples)
            signal = (signal.view("<i4") + rest).view("<f4")
        return signal
    except (struct.error, ValueError) as error:
        raise _damaged() from error


def _quantum(signal: NDArray[np.float32]) -> tuple[float, _Scale]:
    """mV per integer, and how readers multiplied; 0 where the samples are no multiples of anything."""
    lead = max(signal[[1, 0, 6]], key=lambda one: int(np.count_nonzero(one)))
    steps = np.abs(np.diff(lead))
    steps = steps[steps > 0]
    if not steps.size:
        return 0.0, 0
    guess = float(steps.min())
    for reach in (30, 1000, 40_000):  # each step knows the quantum well enough for integers so large
        near = lead[np.abs(lead) < reach * guess].astype(np.float64)
        counts = np.rint(near / guess)
        if square := float(counts @ counts):
            guess = float(near @ counts) / square
    spellings = [one for one in _spellings(guess) if np.isfinite(one[0]) and one[0] > 0]
    return min(spellings, key=lambda one: _misses(lead, *one), default=(0.0, 0))


def _spellings(quantum: float) -> Iterator[tuple[float, _Scale]]:
    """The numbers that a file may have stated, of which `quantum` is the estimate."""
    yield float(np.float32(quantum)), 0
    stated = {float(f"{quantum:.4g}"), float(f"{quantum:.6g}"), WHOLE_MICROVOLT}
    if (gain := round(1 / quantum, 2)) > 0:
        stated.add(1 / gain)
    for one in sorted(stated):
        yield float(np.float32(one)), 0
        yield one, 1


def _misses(lead: NDArray[np.float32], quantum: float, scale: _Scale) -> int:
    """How many samples are not such a multiple to the last bit."""
    some = lead[:1000]
    return int(np.count_nonzero(_scaled(np.rint(some / quantum), quantum, scale) != some))


def _scaled(integers: NDArray[np.float32] | _Integers, quantum: float, scale: int) -> NDArray[np.float32]:
    if scale == 0:
        return np.asarray(integers.astype("<f4") * np.float32(quantum), dtype="<f4")
    return np.asarray((integers * np.float64(quantum)).astype("<f4"))


def _limb(lead: int, one: _Integers, two: _Integers) -> _Integers:
    """III, aVR, aVL or aVF from I and II, rounded down."""
    return (two - one, -(one + two) >> 1, (2 * one - two) >> 1, (2 * two - one) >> 1)[lead - 2]


def _predicted(whole: _Integers) -> tuple[bytes, _Integers]:
    """How each lead is best predicted, judged by its first samples, and what is left then."""
    how, left = bytearray(LEADS), np.empty_like(whole)
    for lead in range(LEADS):
        ways = [_ALONE, _LAST, _LINE, *([_LIMB] if 2 <= lead <= 5 else [])]
        how[lead] = min(ways, key=lambda way: int(np.abs(_left(whole[:, :600], lead, way)).sum()))
        left[lead] = _left(whole, lead, how[lead])
    return bytes(how), left


def _left(whole: _Integers, lead: int, way: int) -> _Integers:
    own: _Integers = whole[lead]
    if way == _LIMB:
        return own - _limb(lead, whole[0], whole[1])
    left = own.copy()
    for _ in range(way):
        left[1:] = left[1:] - left[:-1]
    return left


def _recovered(how: bytes, left: _Integers) -> _Integers:
    """The inverse of `_predicted`."""
    for lead in (0, 1, *range(6, LEADS), 2, 3, 4, 5):
        if how[lead] == _LIMB:
            left[lead] += _limb(lead, left[0], left[1])
        for _ in range(how[lead] if how[lead] != _LIMB else 0):
            np.cumsum(left[lead], out=left[lead])
    return left


def _narrow(left: _Integers) -> bytes:
    """Small numbers of either sign as small positive ones, in as few bytes each as the largest needs."""
    folded = ((left << 1) ^ (left >> 31)).view(np.uint32).reshape(-1)
    width = 1 if folded.max() < 2**8 else 2 if folded.max() < 2**16 else 4
    return _planes(folded.astype(f"<u{width}").view(np.uint8).reshape(-1, width))


def _wide(narrow: bytes, count: int) -> _Integers:
    """The inverse of `_narrow`."""
    width = len(narrow) // count if count else 4
    folded = _from_planes(narrow, width).view(f"<u{width}").astype(np.uint32)
    return ((folded >> 1) ^ -(folded & 1)).view(np.int32)


def _planes(numbers: NDArray[np.uint8]) -> bytes:
    """The first bytes of all numbers, then the second of all: like beside like. (numbers, width)"""
    return np.ascontiguousarray(numbers.T).tobytes()


def _from_planes(planes: bytes, width: int) -> NDArray[np.uint8]:
    """The inverse of `_planes`, plane by plane: numpy turns a table of few rows byte by byte, six times as slowly."""
    table = np.frombuffer(planes, np.uint8).reshape(width, -1)
    numbers = np.empty((table.shape[1], width), np.uint8)
    for place, plane in enumerate(table):
        numbers[:, place] = plane
    return numbers.reshape(-1)


def _differences(plain: bytes, stride: int) -> bytes:
    """16-bit numbers less those `stride` before, folded and in planes; stride 0: as it is."""
    if not stride or len(plain) < 2 * stride + 2:
        return plain
    even = len(plain) & ~1
    numbers = np.frombuffer(plain, "<i2", even // 2)
    left = numbers.copy()
    left[stride:] -= numbers[:-stride]
    folded = (left << 1) ^ (left >> 15)
    return _planes(folded.astype("<i2").view(np.uint8).reshape(-1, 2)) + plain[even:]


def _sums(left: bytes, stride: int) -> bytes:
    """The inverse of `_differences`."""
    if not stride or len(left) < 2 * stride + 2:
        return left
    even = len(left) & ~1
    folded = _from_planes(left[:even], 2).view("<u2")
    numbers = ((folded >> 1) ^ -(folded & 1)).view(np.int16)
    whole = np.zeros(-(-len(numbers) // stride) * stride, np.int16)
    whole[: len(numbers)] = numbers
    summed = np.cumsum(whole.reshape(-1, stride), axis=0, dtype=np.int16).reshape(-1)[: len(numbers)]
    return summed.astype("<i2").tobytes() + left[even:]


def _compress(plain: bytes) -> bytes:
    return zstd.compress(plain, LEVEL)


def _decompress(packed: bytes) -> bytes:
    try:
        return zstd.decompress(packed)
    except zstd.ZstdError as error:
        raise _damaged() from error


def _damaged() -> StoreError:
    return StoreError("a compressed value of the store does not unpack: its row was changed; restore it from a backup")
