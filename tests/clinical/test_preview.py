"""`preview` shows the message that would go, field by field; it sends and writes nothing."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from ecgfm_connectors.hl7.named_fields import MOST_SHOWN, named_fields
from ecgfm_connectors.message_text import text_of
from tests.clinical.conftest import Run

DEPLOY = Path(__file__).parents[2] / "deploy"
MESSAGE = (
    b"MSH|^~\\&|ECGFM|SITE|||20310506070809+0000||ORU^R01^ORU_R01|E1|P|2.5.1\r"
    b"OBX|1|ED|ECGFM-PAGE^AI-ECG result page^99ECGFM|1|^AP^PDF^Base64^" + b"A" * 5000 + b"||||||F\r"
    b"ZZZ|x\r"
)


def test_each_field_has_its_name_and_long_data_is_cut() -> None:
    found = {one.place: one for one in named_fields(MESSAGE)}
    assert (found["MSH-9"].name, found["MSH-9"].value) == ("message type", "ORU^R01^ORU_R01")
    assert found["MSH-2"].value == "^~\\&"
    assert found["OBX-3"].name == "observation identifier"
    assert found["OBX-11"].name == "observation result status"
    assert found["OBX-5"].value.startswith("^AP^PDF^Base64^AAAA")
    assert len(found["OBX-5"].value) < MOST_SHOWN + 30
    assert (found["ZZZ-1"].name, found["ZZZ-1"].value) == ("", "x")


def test_a_page_in_a_message_is_cut_short_where_people_read_it() -> None:
    told = text_of(MESSAGE)
    assert "A" * 40 + "… (5000 letters)||||||F" in told
    assert len(told) < 400
    assert text_of(b"MSH|^~\\&|short") == "MSH|^~\\&|short"


@pytest.mark.slow(20)
def test_a_message_is_shown_and_nothing_is_written(site: Path, recording: Path, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    with site.open("a", encoding="utf-8") as file:
        file.write(f'\n[[destinations.file]]\nname = "folder"\npath = "{folder}"\nversion = "2.4"\n')
    for words in (("migrate",), ("ingest", recording)):
        assert run(*words, "--settings", site)[0] == 0
    early = run("preview", "1", "--destination", "folder", "--settings", site)
    assert early[0] == 1
    assert "no score yet" in early[2]
    assert run("score", "--settings", site)[0] == 0
    before = _rows(site)
    code, out, _ = run("preview", "1", "--destination", "folder", "--settings", site)
    assert code == 0
    assert "first result" in out
    assert "waiting" in out
    fields = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert "message control id" in fields["MSH-10"]
    assert "***" in fields["PID-3"]
    assert "TESTFAMILY" not in out
    assert "2.4" in fields["MSH-12"]
    told = json.loads(run("preview", "1", "--destination", "folder", "--json", "--settings", site)[1])
    assert any("OBX-5" in line for line in told["lines"])
    assert _rows(site) == before
    assert not list(folder.glob("*")), "nothing was sent"
    unknown = run("preview", "1", "--destination", "nowhere", "--settings", site)
    assert (unknown[0], "there are: folder" in unknown[2]) == (1, True)
    assert "TESTFAMILY" in run("preview", "1", "--destination", "folder", "--phi", "--settings", site)[1]


@pytest.mark.slow(20)
def test_the_examples_by_receiver_are_previewed(site: Path, recording: Path, run: Run) -> None:
    with site.open("a", encoding="utf-8") as file:
        file.write("\n" + (DEPLOY / "receivers.example.toml").read_text(encoding="utf-8"))
    for words in (("migrate",), ("ingest", recording), ("score",)):
        code, _, error = run(*words, "--settings", site)
        assert code == 0, error
    lines = {}
    for name in ("epic-like", "oracle-health-like", "oracle-health-like-page", "muse-like", "point-of-care"):
        code, out, error = run("preview", "1", "--destination", name, "--json", "--settings", site)
        assert code == 0, error
        told = json.loads(out)["lines"]
        lines[name] = {line.split()[0]: line for line in reversed(told)}  # of several segments the first
    assert "ECGFM-" in lines["epic-like"]["OBX-4"]
    assert "2.3" in lines["oracle-health-like"]["MSH-12"]
    assert "MDM^T02" in lines["muse-like"]["MSH-9"]
    assert "ORU^R30^ORU_R30" in lines["point-of-care"]["MSH-9"]
    assert "11524-6&EKG study&LN" in lines["point-of-care"]["OBR-26"]


def _rows(site: Path) -> dict[str, int]:
    """Table -> how many rows."""
    engine = create_engine(f"sqlite:///{site.parent / 'staging.sqlite'}")
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        found = {table: connection.scalar(text(f'SELECT count(*) FROM "{table}"')) or 0 for table in tables}
    engine.dispose()
    return found
