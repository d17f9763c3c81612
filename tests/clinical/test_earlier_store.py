"""A store that the version before filled opens, is brought up, and scores the same ECG again as it did then."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow(3)

Run = Callable[..., tuple[int, str, str]]

SCORED = Path(__file__).parents[1] / "data" / "stores" / "dd64663" / "scored.sqlite.gz"  # made by make_scored.py there
SETTINGS = """
[model]
bundle = "demo"
runtime = "torch"
device = "cpu"
threads = 1
[[destinations.file]]
name = "results"
path = "results"
"""
#: Of a probability scored on another processor: sums of float32 in another order.
ROUNDING = 2e-5


@pytest.fixture
def earlier(tmp_path: Path, run: Run) -> Path:
    """The settings of an installation with that store, migrated."""
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "results").mkdir()
    (tmp_path / "staging.sqlite").write_bytes(gzip.decompress(SCORED.read_bytes()))
    assert run("migrate", "--settings", tmp_path / "settings.toml")[0] == 0
    return tmp_path / "settings.toml"


def test_it_counts_tells_and_has_nothing_left_to_do(earlier: Path, run: Run) -> None:
    status = json.loads(run("status", "--json", "--settings", earlier)[1])
    assert (status["ecgs"]["received"], status["ecgs"]["scored"]) == (1, 1)
    assert "message.acknowledged" in run("show", "1", "--settings", earlier)[1]
    assert run("score", "--settings", earlier)[0] == run("send", "--settings", earlier)[0] == 0
    assert not list((earlier.parent / "results").iterdir()), "everything was sent by the program of then"


def test_what_show_prints_of_it_is_the_same_to_the_byte(earlier: Path, run: Run) -> None:
    """As text and as JSON: scripts of hospitals read it."""
    printed = [run("show", "1", *how, "--settings", earlier)[1] for how in ((), ("--json",))]
    assert "".join(printed) == SCORED.with_name("shown.txt").read_text(encoding="utf-8")


def test_its_ecg_is_read_and_scored_again_to_the_stored_probabilities(earlier: Path, run: Run) -> None:
    """To the last bit, but for the rounding of another processor's sums."""
    code, out, _ = run("replay", 1, "--json", "--settings", earlier)
    found = json.loads(out)
    assert found["compared"] >= 19
    assert (code == 0) is found["exact"]
    for difference in found["differences"]:
        values = re.fullmatch(r"\S+/.+ was (\S+) \((threshold \S+)\), is (\S+) \(\2\)", difference)
        assert values, difference
        assert float(values[3]) == pytest.approx(float(values[1]), abs=ROUNDING)


def test_its_signal_and_payload_are_compressed_by_a_command_and_say_the_same(earlier: Path, run: Run) -> None:
    before = run("replay", "1", "--settings", earlier)  # exact or not, as this processor sums
    told = [run("store", "compress", "--settings", earlier) for _ in range(2)]
    assert [code for code, _, _ in told] == [0, 0]
    assert told[0][1].startswith("2 values compressed")
    assert told[1][1].startswith("0 values compressed")
    assert run("replay", "1", "--settings", earlier)[:2] == before[:2]
