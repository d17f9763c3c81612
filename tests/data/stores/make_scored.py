"""Makes `dd64663/scored.sqlite.gz`: a store that the program as it was at commit dd64663 filled by its own commands.

Run with that version's packages, from an empty checkout of it:

    git archive dd64663 | tar -x -C OLD
    PYTHONPATH=OLD:OLD/model:OLD/connectors python tests/data/stores/make_scored.py tests/data/stores/dd64663

One generated ECG of nobody, in an HL7 message, is read, scored with the demo model and written to a folder as a
result. `tests/clinical/test_earlier_store.py` opens the store and replays it.
"""

import gzip
import sqlite3
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from ecgfm_clinical.cli import main as command
from ecgfm_clinical.demo.deliveries import ward

SETTINGS = """
[model]
bundle = "demo"
device = "cpu"
threads = 1
[[destinations.file]]
name = "results"
path = "results"
"""


def run(*words: str) -> None:
    sys.argv = ["ecgfm-clinical", *words]
    try:
        command()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"{words} ended with {ended.code}") from ended


def main(out: Path) -> None:
    """Write the store."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "settings.toml").write_text(SETTINGS, encoding="utf-8")
        settings = ("--settings", str(folder / "settings.toml"))
        (folder / "in").mkdir()
        (folder / "results").mkdir()
        deliveries = ward(datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
        one = next(one for one in deliveries if one.route == "MLLP")
        (folder / "in" / one.file_name).write_bytes(one.content)
        run("migrate", *settings)
        run("ingest", str(folder / "in"), *settings)
        run("score", *settings)
        run("send", *settings)
        with sqlite3.connect(folder / "staging.sqlite") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        content = (folder / "staging.sqlite").read_bytes()
    (out / "scored.sqlite.gz").write_bytes(gzip.compress(content, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
