"""The reader's figures on the labelled set: on the open part, and on the third that was frozen before the rules."""

import hashlib
from collections.abc import Callable

import pytest

from tests.connectors.outcomes import evaluate

pytestmark = pytest.mark.slow(8)

#: The frozen third as committed before the first rule, and the later sets as they were before their first scoring; the
#: development set is always seen.
FROZEN = {
    "frozen_reports.jsonl": "24ca62027dd16d878df334eac53f706a8ad45c2eb10b182d3a340ff311d997ca",
    "frozen_results.jsonl": "12aa93b415861ef5641e122a9f3dcd83dba96592d17172e719f5e5d69f0b09e8",
    "second_reports.jsonl": "0fb2b872351c5c79bd03bd323406203c2ccd40a458cf58d95c98a8bb6113238e",
    "second_results.jsonl": "d86d78b8a2b36ba005d598fcb52473c9cc57268580253b7c14c0d10059bfbd45",
    "third_reports.jsonl": "cee11d221d8896212f1f5cc392c770cf62f3fbc27866e361dc73f27debdeda86",
    "third_results.jsonl": "75de5dba1d1373888c5cfa3a0073b3d9a07ab22fd1c13459ddc2a8bc6ec32f9b",
    "fourth_reports.jsonl": "abe6a9f83cc437355f6d24e578740c4df70ddf1e3747d5944a77ec384e8436eb",
    "fourth_results.jsonl": "3ea71f0450e9b60a58dca7fdf59be975da11b5e49ff14fe359dcd54215ba038e",
    "fifth_reports.jsonl": "d41913f456054f258549832d0bf32ce9ddf0cf29ddb7f2281aee0fae44305bac",
    "fifth_results.jsonl": "c23918973561df24fe067bc3e541436b2028c31b79474fb1bcb0dc98c094c619",
    "sixth_reports.jsonl": "f74ec99ecd0e6717a7ae8a2f5b8cb558b0de903bfbeada59818c304967304d8f",
    "sixth_results.jsonl": "5485ee92273f641486edb46a3ce924fc92bc85e373ce2be027a49d4369b5fb21",
    "seventh_reports.jsonl": "d04ad0d3b04b720db79d298d78907f3f95564d6cb234e22789b2785be2376606",
    "seventh_results.jsonl": "adf56ed831a834c26516cb6a80e8a5ce6dadd561818ccc21e45ed3203563d3fe",
    "eighth_reports.jsonl": "119788408e492b1c426b1536273d0e2e6285a5b2e0f858e7815ad633c52eaf2c",
    "eighth_results.jsonl": "daac89e05cf86e17fa42a64518793550e3d4724151697b35db1b4ff9c31cb0fb",
    "ninth_reports.jsonl": "c9b0aceb20a836a78be88412f15d2bd2f9af6f8b54e8c2f30783454eb75a86ec",
    "ninth_results.jsonl": "a1dd2d7bd7b7689fdeca86c5d95d7472a6db3bd5f13917dbe383ce11dd8bc10a",
    "tenth_reports.jsonl": "75da0da138f1195bd77c42c58555d5068eae3b0ef1b841613a1e9b3feae03b83",
    "tenth_results.jsonl": "f2f90f43288705247f1136755719e1090a57ee60a29de3cddba899c3da5d6e23",
    "eleventh_reports.jsonl": "74c6ec83951f33add6750fea311d7a49f231527f2b5239085272dc43f49ba7fa",
    "eleventh_results.jsonl": "275606afc6161f6ab70ff465651c71b4b2e6b149c6878fca83b3e4270cde6ae5",
    "development_reports.jsonl": "bc7b5fcaf7cd72dd1d369e476453b2d552fd78e62d5cd41fbaad297dbfc4bd74",
    "development_results.jsonl": "8d121b6f81b565e70277f9312e7b4e9f4cdf80b46a2a22080b86ccba09fd3f31",
}


def test_the_frozen_parts_are_as_they_were() -> None:
    found = {name: hashlib.sha256((evaluate.FOLDER / name).read_bytes()).hexdigest() for name in FROZEN}
    assert found == FROZEN


def test_the_set_is_large_and_varied_enough() -> None:
    for what in ("reports", "results"):
        rows = [row for part in evaluate.PARTS for row in evaluate.rows(evaluate.FOLDER / f"{part}_{what}.jsonl")]
        assert len(rows) >= 600
        assert len({row["country"] for row in rows}) >= 6
        assert all(row["reason"] for row in rows)
        assert what == "results" or len({row["language"] for row in rows}) == 8


@pytest.mark.parametrize("part", evaluate.PARTS)
def test_precision_and_recall(part: str) -> None:
    found = evaluate.score(evaluate.our_reader, evaluate.load(part))
    assert found.right / found.found >= 0.995
    for right, of in (found.positives, found.negatives):
        assert right / of >= 0.90


def test_a_reader_that_says_anything_scores_badly() -> None:
    def careless(content: bytes) -> list[evaluate.Answer]:
        return [evaluate.Answer(kind="lvef", value=55.0)]

    reader: Callable[[bytes], list[evaluate.Answer]] = careless
    found = evaluate.score(reader, evaluate.load("open"))
    assert found.right / found.found < 0.2
    assert found.by_kind["history"]["invented"] > 0


def test_intervals_are_wilsons() -> None:
    low, high = evaluate.wilson(95, 100)
    assert (round(low, 4), round(high, 4)) == (0.8882, 0.9785)
