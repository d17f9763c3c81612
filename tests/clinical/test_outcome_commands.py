"""`outcomes` on the command line: what became a label, what did not and why, and today's rules on stored bytes."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from ecgfm_clinical.staging.schema import outcome
from ecgfm_clinical.staging.store import Store

pytestmark = pytest.mark.slow(4)

Run = Callable[..., tuple[int, str, str]]


def message(control_id: str, *obx: str, service: str = "TROP^Troponin^L") -> str:
    return "\r".join(
        (
            f"MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||ORU^R01|{control_id}|P|2.5.1",
            f"PID|1||N{control_id}^^^HOSP^MR||TESTFAMILY^ALEX||19550505|F",
            f"OBR|1|P{control_id}|F{control_id}|{service}|||20260301080000||||||||||||||||||F",
            *obx,
            "",
        )
    )


HS = "67151-1^Troponin T^LN"
MESSAGES = {
    "one": message("M1", f"OBX|1|NM|{HS}||28|ng/L|<14||||F|||20260301081500"),
    "two": message("M2", f"OBX|1|ST|{HS}||15/250|ng/L|<14||||F|||20260301081500"),
    "three": message(
        "M3",
        "OBX|1|TX|59462-2^Echo report^LN||INDICATION: EF 20%.||||||F",
        "OBX|2|TX|59462-2^Echo report^LN||LVEF 38% (55% in 2021).||||||F",
        service="93306^Echo^CPT",
    ),
    "four": message("M4", "OBX|1|NM|XYZ^Herzmarker neu^L||60|nanog|<14||||F|||20260301081500"),
}


@pytest.fixture
def filled(run: Run, site: Path) -> Path:
    folder = site.parent / "in"
    folder.mkdir()
    for name, text in MESSAGES.items():
        (folder / f"{name}.hl7").write_bytes(text.encode())
        run("ingest", folder / f"{name}.hl7", "--settings", site)
    return site


def test_results_are_listed_with_their_rule_and_without_the_patient(run: Run, filled: Path) -> None:
    code, out, _ = run("outcomes", "list", "--json", "--settings", filled)
    rows = {row["kind"]: row for row in json.loads(out)}
    assert code == 0
    assert (rows["troponin"]["value"], rows["troponin"]["rule"], rows["troponin"]["precision"]) == (
        28.0,
        "code",
        "second",
    )
    assert (rows["lvef"]["value"], rows["lvef"]["rule"]) == (38.0, "report")
    assert "NM1" not in out
    assert "LVEF 38%" not in out
    _, out, _ = run("outcomes", "list", "--phi", "--settings", filled)
    assert "NM1" in out


def test_a_result_shows_from_where_it_was_read_and_what_was_not_taken(run: Run, filled: Path) -> None:
    _, out, _ = run("outcomes", "list", "--kind", "lvef", "--json", "--settings", filled)
    (row,) = json.loads(out)
    code, out, _ = run("outcomes", "show", row["outcome_id"], "--phi", "--json", "--settings", filled)
    (shown,) = json.loads(out)
    assert code == 0
    start, end = shown["span"]
    assert shown["text"][start:end] == "38%"
    assert [one.partition(":")[0] for one in shown["not_taken"]] == ["history", "prior"]


def test_what_was_left_out_is_listed_with_its_reason(run: Run, filled: Path) -> None:
    code, out, _ = run("outcomes", "refused", "--json", "--settings", filled)
    (row,) = json.loads(out)
    assert (code, row["reason"], row["text"]) == (0, "outcome-not-numeric", "***")
    _, out, _ = run("status", "--json", "--settings", filled)
    counts = {(one["kind"], one["reason"]): one["number"] for one in json.loads(out)["outcomes"]}
    assert counts == {("troponin", ""): 1, ("lvef", ""): 1, ("troponin", "outcome-not-numeric"): 1}


def test_results_are_exported(run: Run, filled: Path) -> None:
    table = filled.parent / "outcomes.csv"
    code, _, err = run("outcomes", "export", table, "--settings", filled)
    assert code == 0, err
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["value"] for row in rows) == ["28.0", "38.0"]
    assert {row["patient"] for row in rows} == {"***"}
    assert run("outcomes", "export", filled.parent / "x.txt", "--settings", filled)[0] == 1


def test_results_are_exported_as_parquet(run: Run, filled: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = filled.parent / "outcomes.parquet"
    assert run("outcomes", "export", table, "--phi", "--settings", filled)[0] == 0
    assert sorted(parquet.read_table(table).to_pydict()["value"]) == [28.0, 38.0]


def test_rereading_shows_what_changes_before_it_does(run: Run, filled: Path) -> None:
    _, out, _ = run("outcomes", "reread", "--settings", filled)
    assert out.splitlines()[-1].startswith("0 messages")
    store = Store.open(f"sqlite:///{filled.parent / 'staging.sqlite'}")
    with store.database.writer.begin() as connection:  # as an older rule would have read it
        connection.execute(update(outcome).where(outcome.c.kind == "troponin").values(value=2.8))
    store.close()
    _, out, _ = run("outcomes", "reread", "--settings", filled)
    assert "troponin: 2.8 ng/L → 28 ng/L" in out
    assert "nothing stored" in out
    assert run("outcomes", "reread", "--apply", "--settings", filled)[0] == 0
    _, out, _ = run("outcomes", "list", "--kind", "troponin", "--json", "--settings", filled)
    assert [(row["value"], row["version"]) for row in json.loads(out)] == [(28.0, 2)]
    _, out, _ = run("outcomes", "reread", "--settings", filled)
    assert out.splitlines()[-1].startswith("0 messages")


def test_a_sites_own_table_is_tried_and_then_applied(run: Run, filled: Path) -> None:
    text = filled.read_text("utf-8")
    entry = '\n[[outcomes.codes]]\ncode = "XYZ"\nmeans = "troponin"\nassay = "hs-T"\n[[outcomes.codes]]\ncode = "QQQ"\n'
    filled.write_text(text + entry + 'means = "lvef"\n[outcomes.units]\nnanog = "ng/L"\n', "utf-8")
    _, out, _ = run("check", "--json", "--settings", filled)
    (line,) = (one for one in json.loads(out) if one["part"] == "outcomes")
    assert line["ok"]
    assert "1 of them by the site's table" in line["text"]
    assert "met nothing: QQQ" in line["text"]
    _, out, _ = run("outcomes", "reread", "--apply", "--settings", filled)
    assert "troponin: none → 60 ng/L" in out
    _, out, _ = run("outcomes", "list", "--kind", "troponin", "--json", "--settings", filled)
    assert [(row["value"], row["rule"], row["assay"]) for row in json.loads(out)] == [
        (60.0, "site-code", "hs-T"),
        (28.0, "code", "hs-T"),
    ]


def test_a_kind_that_does_not_exist_is_refused(run: Run, filled: Path) -> None:
    code, _, error = run("outcomes", "list", "--kind", "bnp", "--settings", filled)
    assert code == 2
    assert "lvef" in error


def test_a_list_says_which_results_were_withdrawn(run: Run, filled: Path) -> None:
    taken_back = message("M1", f"OBX|1|NM|{HS}||28|ng/L|<14||||W|||20260301081500")
    (filled.parent / "back.hl7").write_bytes(taken_back.encode())
    run("ingest", filled.parent / "back.hl7", "--settings", filled)
    _, out, _ = run("outcomes", "list", "--kind", "troponin", "--settings", filled)
    assert "withdrawn" in out


def test_what_a_later_message_corrected_or_withdrew_is_no_change_of_the_rules(run: Run, site: Path) -> None:
    folder = site.parent / "later"
    folder.mkdir()
    first = f"OBX|1|NM|{HS}||28|ng/L|<14||||F|||20260301081500"
    for at, obx in enumerate((first, first.replace("|28|", "|25|").replace("|F|||2", "|C|||2"))):
        text = message(f"L{at}", obx).replace("PL1|FL1", "PL0|FL0").replace("NL1^", "NL0^")
        (folder / f"{at}.hl7").write_bytes(text.encode())
        run("ingest", folder / f"{at}.hl7", "--settings", site)
    _, out, _ = run("outcomes", "list", "--json", "--settings", site)
    assert [(row["value"], row["version"]) for row in json.loads(out)] == [(25.0, 2)]
    _, out, _ = run("outcomes", "reread", "--settings", site)
    assert "0 messages say something else today" in out


def test_a_word_of_the_site_lets_a_sentence_be_read(run: Run, site: Path) -> None:
    """The site's report says `Kardiomobil`, which no table knows; the settings say that it changes nothing."""
    content = message(
        "M9", "OBX|1|TX|59462-2^Echo report^LN||Echo Kardiomobil EF 35 %.||||||F", service="93306^Echo^CPT"
    )
    (site.parent / "nine.hl7").write_bytes(content.encode())
    run("ingest", site.parent / "nine.hl7", "--settings", site)
    _, out, _ = run("outcomes", "refused", "--phi", "--json", "--settings", site)
    (row,) = json.loads(out)
    assert row["reason"] == "lvef-unknown-words"
    assert "Kardiomobil" in row["unused"]
    _, out, _ = run("outcomes", "refused", "--phi", "--settings", site)
    assert "unused" in out
    _, out, _ = run("outcomes", "refused", "--reason", "no-such-reason", "--settings", site)
    assert "nothing was left out as no-such-reason" in out
    said = re.sub(r"(\n\[outcomes\][^\n]*\n)", r'\1words = ["kardiomobil"]\n', site.read_text("utf-8"))
    site.write_text(said, "utf-8")
    _, out, err = run("outcomes", "reread", "--apply", "--settings", site)
    assert "lvef: none → 35 %" in out, err
    site.write_text(site.read_text("utf-8").replace('["kardiomobil"]', '["two words"]'), "utf-8")
    code, _, err = run("outcomes", "list", "--settings", site)
    assert code == 1
    assert "single words" in err
