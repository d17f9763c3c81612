"""Expand the Huffman coding of SCP-ECG samples (EN 1064 §5.7.2 and annex C)."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.errors import Unreadable

DEFAULT_TABLE = 19999  #: what section 2 holds where the standard's own table is used
_ENTRY_BYTES = 9


@dataclass(frozen=True, slots=True)
class Entry:
    """One code: its value, and how many further bits hold a literal (0: none) or another table's number."""

    value: int
    literal_bits: int
    switch: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Codes as strings of 0 and 1."""

    entries: dict[str, Entry]
    longest: int


def default_table() -> Table:
    """The standard's table: n one-bits, a zero-bit and a sign for ±n up to 8; larger values are literals of 8 or 16
    bits.
    """
    entries = {"0": Entry(0, 0)}
    for magnitude in range(1, 9):
        entries["1" * magnitude + "00"] = Entry(magnitude, 0)
        entries["1" * magnitude + "01"] = Entry(-magnitude, 0)
    entries["1111111110"] = Entry(0, 8)
    entries["1111111111"] = Entry(0, 16)
    return Table(entries, 10)


def parse_tables(section: bytes) -> list[Table]:
    """The tables of section 2. Raises Unreadable `huffman`."""
    count = int.from_bytes(section[:2], "little")
    if count == DEFAULT_TABLE:
        return [default_table()]
    tables, position = [], 2
    for _ in range(count):
        size = int.from_bytes(section[position : position + 2], "little")
        position += 2
        if size == 0 or position + size * _ENTRY_BYTES > len(section):
            raise Unreadable("huffman", "a Huffman table is longer than its section")
        rows = [section[position + n * _ENTRY_BYTES : position + (n + 1) * _ENTRY_BYTES] for n in range(size)]
        tables.append(_table(rows))
        position += size * _ENTRY_BYTES
    if not tables:
        raise Unreadable("huffman", "section 2 holds no Huffman table")
    return tables


def _table(rows: list[bytes]) -> Table:
    entries = {}
    for row in rows:
        prefix, whole, mode = row[0], row[1], row[2]
        if not 1 <= prefix <= 32 or whole < prefix or whole - prefix > 32:
            raise Unreadable("huffman", "a Huffman code has an impossible length")
        code = f"{int.from_bytes(row[5:9], 'little'):032b}"[::-1][:prefix]  # stored with its first bit lowest
        value = int.from_bytes(row[3:5], "little", signed=True)
        entries[code] = Entry(value, whole - prefix, switch=mode == 0)
    return Table(entries, max(map(len, entries)))


def expand(data: bytes, tables: list[Table], *, count: int) -> tuple[NDArray[np.int64], str]:
    """`count` values of a bit stream, and the bits left over.

    Raises Unreadable `huffman` where the stream is damaged or ends early.
    """
    if count > 8 * len(data):
        raise Unreadable("huffman", f"{count} samples are declared in {len(data)} bytes")
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
    if len(tables) == 1 and (whole := _all_at_once(bits, tables[0], count)) is not None:
        return whole
    return _one_by_one(bits, tables, count)


def _one_by_one(bits: str, tables: list[Table], count: int) -> tuple[NDArray[np.int64], str]:
    """As `expand`, for tables that switch to one another."""
    out = np.empty(count, dtype=np.int64)
    patterns = [re.compile(_pattern(table)) for table in tables]
    meanings: list[dict[str, Entry]] = [{} for _ in tables]
    current, position, done = 0, 0, 0
    while done < count:
        token = patterns[current].match(bits, position)
        if token is None:
            _next(bits, position, tables[current])  # tells what is wrong with the code
            raise Unreadable("huffman", "the coded samples end early")
        entry = meanings[current].get(token[0])
        if entry is None:
            entry = meanings[current][token[0]] = _meaning(token[0], tables[current])
        position = token.end()
        if not entry.switch:
            out[done] = entry.value
            done += 1
        elif 1 <= entry.value <= len(tables):
            current = entry.value - 1
        else:
            raise Unreadable("huffman", "a code switches to a table that does not exist")
    return out, bits[position:]


def _all_at_once(bits: str, table: Table, count: int) -> tuple[NDArray[np.int64], str] | None:
    """As `expand`, ten times as fast, for a table that never switches to another; None where the stream is damaged."""
    if any(entry.switch for entry in table.entries.values()):
        return None
    found = re.findall(_pattern(table), bits)[:count]
    coded = "".join(found)
    if len(found) < count or not bits.startswith(coded):
        return None
    meaning = {token: _meaning(token, table).value for token in set(found)}
    return np.array([meaning[token] for token in found], dtype=np.int64), bits[len(coded) :]


def _pattern(table: Table) -> str:
    """Any code with its literal; the shortest that fits counts."""
    codes = sorted(table.entries, key=len)
    return "|".join(
        f"{code}[01]{{{0 if (entry := table.entries[code]).switch else entry.literal_bits}}}" for code in codes
    )


def _meaning(token: str, table: Table) -> Entry:
    """What one code with its literal stands for."""
    entry, end = _next(token, 0, table)
    return entry if entry.switch or not entry.literal_bits else Entry(_literal(token[end:]), 0)


def _literal(bits: str) -> int:
    """The value of a literal, in two's complement."""
    return int(bits, 2) - (1 << len(bits)) if bits[0] == "1" else int(bits, 2)


def _next(bits: str, position: int, table: Table) -> tuple[Entry, int]:
    entries = table.entries
    for length in range(1, table.longest + 1):
        entry = entries.get(bits[position : position + length])
        if entry is not None:
            return entry, position + length
        if position + length > len(bits):
            raise Unreadable("huffman", "the coded samples end early")
    raise Unreadable("huffman", "a bit pattern that is no code of the table")
