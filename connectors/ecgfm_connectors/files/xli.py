"""Expand the XLI compression of Philips ECGs: LZW over bytes, bytes of words apart, second differences.

Written from published descriptions of the format; the tests compare with `sierraecg` 0.4, which decodes the same. That
package was not taken because it reads from paths only, cuts off no calibration pulse, and expands without limit.
"""

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.context import require_length
from ecgfm_connectors.errors import Unreadable

_CODE_BITS = 10
_LAST_CODE = (1 << _CODE_BITS) - 2
_CHUNK_HEADER = 8


def expand(data: bytes, *, samples: int) -> list[NDArray[np.int16]]:
    """One array of `samples` values for each chunk of `data`, in the device's units.

    Raises Unreadable `xli` where a chunk is damaged or shorter than `samples`; Refused `too-large`.
    """
    leads = []
    offset = expanded = 0
    while offset + _CHUNK_HEADER <= len(data):
        size = int.from_bytes(data[offset : offset + 4], "little", signed=True)
        first = int.from_bytes(data[offset + 6 : offset + 8], "little", signed=True)
        offset += _CHUNK_HEADER
        if size <= 0 or offset + size > len(data):
            raise Unreadable("xli", "a compressed lead says it is longer than the data")
        # One more word than needed may be stored; anything beyond is no lead.
        packed = _lzw(data[offset : offset + size], limit=2 * samples + 4)
        expanded += len(packed) // 2
        require_length(expanded)
        leads.append(_integrate(_words(packed), first)[:samples])
        offset += size
    if any(len(lead) < samples for lead in leads):
        raise Unreadable("xli", f"a compressed lead holds fewer than {samples} samples")
    return leads


def _lzw(data: bytes, *, limit: int) -> bytes:
    """LZW with fixed ten-bit codes, first bit first; the table is full at 1022 and stays. At most `limit` bytes."""
    table = [bytes((value,)) for value in range(256)]
    out = bytearray()
    previous = b""
    buffer, held = 0, 0
    for byte in data:
        buffer = (buffer << 8) | byte
        held += 8
        if held < _CODE_BITS:
            continue
        held -= _CODE_BITS
        code = buffer >> held
        buffer &= (1 << held) - 1
        if code > _LAST_CODE:
            break
        if code < len(table):
            entry = table[code]
        elif code == len(table) and previous:
            entry = previous + previous[:1]
        else:
            raise Unreadable("xli", "a compressed lead refers to a code that does not exist yet")
        if previous and len(table) <= _LAST_CODE:
            table.append(previous + entry[:1])
        previous = entry
        out += entry
        if len(out) > limit:
            raise Unreadable("xli", "a compressed lead expands beyond its declared length")
    return bytes(out)


def _words(packed: bytes) -> NDArray[np.int64]:
    """The first half holds the high bytes, the second the low bytes of 16-bit words."""
    whole = packed + bytes(len(packed) % 2)
    half = len(whole) // 2
    parts = np.frombuffer(whole, dtype=np.uint8).astype(np.uint16)
    return ((parts[:half] << 8) | parts[half:]).astype(np.int16).astype(np.int64)


def _integrate(words: NDArray[np.int64], first: int) -> NDArray[np.int16]:
    """Undo the prediction x[i] = 2 x[i-1] - x[i-2] - e[i], where e[2] = `first` and e[i] = word[i-1] - 64 after it."""
    if len(words) < 3:
        return words.astype(np.int16)
    errors = np.concatenate(([first], words[2:-1] - 64))
    slopes = np.cumsum(np.concatenate(([words[1] - words[0]], -errors)))
    values = np.concatenate(([words[0]], words[0] + np.cumsum(slopes)))
    return values.astype(np.int16)  # the device's arithmetic has 16 bits and wraps
