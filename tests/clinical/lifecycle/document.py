"""The tables of `connectors/LIFECYCLE.md`, read."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[3] / "connectors" / "LIFECYCLE.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading of the second level."""
    return re.split(r"^## ", TEXT.split(f"\n## {title}\n", 1)[1], flags=re.MULTILINE)[0]


def tables(title: str) -> list[list[list[str]]]:
    """The tables of a section, as rows of cells without their heads."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", section(title), flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
        found.append(rows[2:])
    return found


def states(title: str) -> list[str]:
    """The states of a section, in order."""
    return [row[0].strip("`") for row in tables(title)[0]]


def events(title: str) -> dict[str, list[str]]:
    """Event -> its row."""
    return {row[0]: row for row in tables(title)[1]}


def named(cell: str, title: str) -> list[str]:
    """The states that a cell names; all of them for `any`."""
    return states(title) if cell == "any" else re.findall(r"`([a-z -]+)`", cell)
