"""Scores a reader of outcomes on the labelled evaluation set.

    python -m tests.connectors.outcomes.evaluate --part frozen
    python -m tests.connectors.outcomes.evaluate --part open --show
    python -m tests.connectors.outcomes.evaluate --reader some.module:function

A reader is a function from the bytes of an HL7 message to a list of `Answer`. Each item of the set becomes one ORU^R01:
a report text as an echo report, a result as one OBX. `--show` prints the items that went wrong; it is refused for the
frozen third, which was written before the rules and must never be tuned on. The second set was written apart, without a
look at the rules or at the other texts, and committed before it was scored for the first time; so was the third, after
the rules had been mended with the second. The fourth was written after the third by someone who knew the rules, the
fifth by someone who had not seen them, half of it to mislead, the sixth by the same one after mending, the
seventh to eleventh by people who had read no rule. Four reports of the tenth give an LVEF by MRI or SPECT alone; its
author was told of echocardiograms only and answered none. The other sets count such values, so `BY_IMAGING` makes them
as right as none. The development set was written by who changes the rules, with its answers before its first run.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.reading import read

FOLDER = Path(__file__).parent / "evaluation"
PARTS = (
    "open",
    "frozen",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "development",
)
AS_SENT = ("eighth",)  #: whose author wrote values in the unit as sent; all others are in ng/L
#: Values that the author gave none for, since told of an echocardiogram only; by the definition of all other sets a
#: report's only value counts whichever examination it comes from, so these are as right as none.
BY_IMAGING = {
    "tenth": {"n10-en-025": 44.0, "n10-de-021": 38.0, "n10-fr-021": 48.0, "n10-pt-021": 49.0},
}
_Z = 1.959964  # 95 %
#: What makes a value a positive: LVEF of at most 40 %, troponin above its limit.
REDUCED = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One outcome that a reader found; percent or ng/L."""

    kind: str
    value: float
    upper: float | None = None
    comparator: str = ""
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One labelled text or result."""

    id: str
    kind: str  #: the phenomenon
    message: bytes
    expected: Answer | None
    positive: bool
    reason: str
    also: Answer | None = None  #: an answer that is as right as none


Reader = Callable[[bytes], Sequence[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a reader did."""

    items: int
    expected: int
    found: int
    right: int
    positives: tuple[int, int]  #: right, of how many
    negatives: tuple[int, int]
    limits: tuple[int, int]
    by_kind: dict[str, Counter[str]]
    failed: tuple[tuple[Item, tuple[Answer, ...]], ...]


def our_reader(content: bytes) -> list[Answer]:
    """The reader of this project."""
    context = ReadingContext(default_authority="HOSP", zone=ZoneInfo("Europe/Berlin"))
    try:
        contents = read(content, context)
    except PayloadError:
        return []
    return [
        Answer(
            kind=one.kind,
            value=one.value,
            upper=one.upper_value,
            comparator=one.comparator,
            limit=one.upper_reference_limit,
        )
        for one in contents.outcomes
        if one.status != "withdrawn"
    ]


def load(part: str) -> list[Item]:
    """The items of one part of the set: reports, then results."""
    reports = rows(FOLDER / f"{part}_reports.jsonl")
    results = rows(FOLDER / f"{part}_results.jsonl")
    if part in AS_SENT:
        results = [_in_ng_per_l(row) for row in results]
    items = [_report(row) for row in reports] + [_result(row) for row in results]
    imaging = {id: Answer(kind="lvef", value=value) for id, value in BY_IMAGING.get(part, {}).items()}
    return [replace(one, also=imaging[one.id]) if one.id in imaging else one for one in items]


def _in_ng_per_l(row: dict[str, Any]) -> dict[str, Any]:
    """A result whose values stand in the unit of its OBX-6."""
    if row["expected"] is None or row["obx_6"].lower() not in ("ng/ml", "\u00b5g/l", "ug/l"):
        return row
    expected, limit = row["expected"], row["limit"]
    value = round(1000 * expected["value"], 6)
    return row | {
        "expected": expected | {"value": value},
        "limit": None if limit is None else round(1000 * limit, 6),
    }


def score(reader: Reader, items: Iterable[Item]) -> Score:
    """Compare a reader's answers with the labels. A wrong answer is worse than none, so the two are counted apart."""
    by_kind: dict[str, Counter[str]] = {}
    failed = []
    counts: Counter[str] = Counter()
    for item in items:
        answers = tuple(reader(item.message))
        verdict = _judge(item, answers)
        by_kind.setdefault(item.kind, Counter())[verdict] += 1
        counts["items"] += 1
        counts["found"] += len(answers)
        counts["right"] += verdict == "right"
        if item.expected is not None:
            side = "positives" if item.positive else "negatives"
            counts[side] += 1
            counts[f"right {side}"] += verdict == "right"
            if item.expected.kind == "troponin" and verdict == "right":
                counts["limits"] += 1
                counts["right limits"] += answers[0].limit == item.expected.limit
        if verdict in ("wrong", "missing", "invented"):
            failed.append((item, answers))
    return Score(
        items=counts["items"],
        expected=counts["positives"] + counts["negatives"],
        found=counts["found"],
        right=counts["right"],
        positives=(counts["right positives"], counts["positives"]),
        negatives=(counts["right negatives"], counts["negatives"]),
        limits=(counts["right limits"], counts["limits"]),
        by_kind=by_kind,
        failed=tuple(failed),
    )


def wilson(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927)."""
    if of == 0:
        return 0.0, 1.0
    share = right / of
    middle = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2)) / (1 + _Z**2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def _judge(item: Item, answers: tuple[Answer, ...]) -> str:
    wanted = item.expected or item.also
    if not answers:
        return "missing" if item.expected else "rightly none"
    if wanted and _same(answers, wanted):
        return "right"
    return "wrong" if item.expected else "invented"


def _same(answers: tuple[Answer, ...], wanted: Answer) -> bool:
    first = answers[0]
    same = len(answers) == 1 and first.kind == wanted.kind and math.isclose(first.value, wanted.value)
    return same and first.comparator == wanted.comparator and first.upper == wanted.upper


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _answer(kind: str, told: dict[str, Any] | None, limit: float | None = None) -> Answer | None:
    if told is None:
        return None
    return Answer(kind=kind, value=told["value"], upper=told["upper"], comparator=told["comparator"], limit=limit)


def _report(row: dict[str, Any]) -> Item:
    lines = row["text"].split("\n")
    observations = [
        f"OBX|{at}|TX|59462-2^Echo report^LN||{_escaped(line)}||||||F" for at, line in enumerate(lines, start=1)
    ]
    expected = _answer("lvef", row["lvef"])
    return Item(
        id=row["id"],
        kind=row["kind"],
        message=_message(row["id"], "F", "93306^Echocardiography, Transthoracic^CPT", observations),
        expected=expected,
        positive=expected is not None and _reduced(expected),
        reason=row["reason"],
        also=_answer("lvef", row.get("also")),
    )


def _result(row: dict[str, Any]) -> Item:
    status = row["obx_11"]
    value = f"{row['obx_3']}||{row['obx_5']}|{row['obx_6']}|{row['obx_7']}"
    obx = f"OBX|1|{row['obx_2']}|{value}||||{status}|||20260301081500"
    expected = _answer(row["quantity"] or "", row["expected"], row["limit"])
    positive = expected is not None and (_reduced(expected) if expected.kind == "lvef" else _raised(expected))
    return Item(
        id=row["id"],
        kind=row["kind"],
        message=_message(row["id"], row["sex"], row["obr_4"], [obx]),
        expected=expected,
        positive=positive,
        reason=row["reason"],
        also=_answer(row["quantity"] or "", row.get("also"), row["limit"]),
    )


def _reduced(answer: Answer) -> bool:
    return answer.value <= REDUCED and answer.comparator not in (">", ">=")


def _raised(answer: Answer) -> bool:
    return answer.comparator not in ("<", "<=") and answer.value > (answer.limit or 0.0)


def _message(control_id: str, sex: str, service: str, observations: list[str]) -> bytes:
    segments = [
        f"MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||ORU^R01^ORU_R01|{control_id}|P|2.5.1|||||||UNICODE UTF-8",
        f"PID|1||{control_id}^^^HOSP^MR||TESTPERSON^ALEX||19550505|{sex}",
        f"OBR|1|P{control_id}|F{control_id}|{service}|||20260301080000||||||||||||||||||F",
        *observations,
    ]
    return ("\r".join(segments) + "\r").encode()


def _escaped(line: str) -> str:
    for char, code in (("\\", "E"), ("|", "F"), ("^", "S"), ("&", "T"), ("~", "R")):
        line = line.replace(char, f"\\{code}\\")
    return line


def _share(name: str, right: int, of: int) -> str:
    low, high = wilson(right, of)
    return f"{name}: {right}/{of} = {right / of if of else math.nan:.3f} (95 % {low:.3f}–{high:.3f})"


def tell(found: Score) -> list[str]:
    """The figures as lines."""
    lines = [
        f"items: {found.items}, with a value: {found.expected}",
        _share("precision", found.right, found.found),
        _share("recall, positives", *found.positives),
        _share("recall, negatives", *found.negatives),
        _share("reference limits of those read", *found.limits),
    ]
    for kind, counts in sorted(found.by_kind.items()):
        lines.append(f"  {kind:16} " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return lines


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Score a reader of outcomes on the labelled evaluation set.")
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--reader", default="", help="module:function, from message bytes to a list of Answer")
    parser.add_argument("--show", action="store_true", help="print what went wrong (never of the frozen third)")
    chosen = parser.parse_args()
    reader: Reader = our_reader
    if chosen.reader:
        module, _, name = chosen.reader.partition(":")
        reader = getattr(import_module(module), name)
    for part in PARTS if chosen.part == "all" else (chosen.part,):
        found = score(reader, load(part))
        print(f"== {part} ==", *tell(found), sep="\n")
        if chosen.show and part != "frozen":
            for item, answers in found.failed:
                print(item.id, item.kind, item.expected, answers, item.message.decode().split("\r")[3:], sep="\n  ")


if __name__ == "__main__":
    main()
