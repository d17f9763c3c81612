"""The command line as an engineer meets it: one sentence for each mistake, a non-zero exit, nothing half-written."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgfm_connectors.ecg import LEADS
from ecgfm_connectors.testing import aecg_writer
from tests.helpers.fakes import make_ecg

pytestmark = pytest.mark.slow(15)

Run = Callable[..., tuple[int, str, str]]


def test_help_names_every_command_and_loads_quickly(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in ("init", "check", "run", "ingest", "pull", "score", "send", "status", "show", "inspect", "predict"):
        assert command in out
        assert run(command, "--help")[0] == 0


def test_init_refuses_to_overwrite(run: Run, site: Path) -> None:
    before = site.read_text()
    code, _, err = run("init", site.parent)
    assert code == 1
    assert err.startswith("error: ")
    assert str(site) in err
    assert site.read_text() == before


def test_check_says_part_by_part_what_is_wrong(run: Run, site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.write_text(
            f'[model]\nbundle = "nowhere"\n[[listeners.dicom]]\nname = "d"\nhost = "127.0.0.1"\nport = {port}\n'
            '[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = '
            '1\n[[sources.folder]]\nname="f"\npath="none"'
        )
        code, out, _ = run("check", "--settings", site, "--json")
    lines = {line["part"]: line for line in json.loads(out)}
    assert code == 1
    assert {part for part, line in lines.items() if line["ok"]} == {"store"}
    assert "ecgfm-clinical model import" in lines["model"]["text"]
    assert f"port {port}" in lines["listener d"]["text"]
    assert "ehr" in lines["destination ehr"]["text"]
    assert "none" in lines["source f"]["text"]


def test_ingest_score_show_by_hand(run: Run, site: Path, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "two.xml").write_bytes(aecg_writer.write_ecg(make_ecg(2)))
    (tmp_path / "cut.dcm").write_bytes(recording.read_bytes()[:2000])
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.4 no ECG")
    names = ("one.dcm", "two.xml", "cut.dcm", "letter.pdf", "one.dcm")
    code, out, _ = run("ingest", *(tmp_path / name for name in names), "--settings", site, "--json")
    lines = json.loads(out)
    assert code == 1
    assert [line["status"] for line in lines[:2] + lines[4:]] == ["staged", "staged", "duplicate"]
    assert all(line["status"] in ("refused", "unreadable") and line["reasons"] for line in lines[2:4])

    assert run("score", "--settings", site)[0] == 0
    code, out, _ = run("status", "--settings", site, "--json")
    told = json.loads(out)
    ecgs = told["ecgs"]
    assert (code, told["needs_person"]["unreadable"]) == (1, 1), "the file that was cut off is a person's matter"
    assert ecgs == {"received": 4, "scored": 2, "not_evaluable": 0, "failed": 2, "waiting": 0}

    story = json.loads(run("show", "1", "--settings", site, "--json")[1])
    assert story["state"] == "scored"
    assert len(story["scorings"][0]["scores"]) == 19
    assert json.loads(run("show", "1.2.3.1", "--settings", site, "--json")[1])["ecg_id"] == story["ecg_id"]
    for masked in (json.dumps(story), run("show", "1", "--settings", site)[1]):
        assert "TESTFAMILY" not in masked
        assert "1960-05-17" not in masked
    assert "1960-05-17" in run("show", "1", "--settings", site, "--phi", "--json")[1]


def test_predict_gives_the_numbers_that_the_service_stores(
    run: Run, site: Path, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut.dcm").write_bytes(recording.read_bytes()[:2000])
    code, out, _ = run("predict", recording, tmp_path / "cut.dcm", "--model", site.parent / "tiny", "--json")
    found, broken = json.loads(out)
    assert code == 1
    assert "cut.dcm" in broken["error"]
    assert found["segments"] == 2
    run("ingest", recording, "--settings", site)
    run("score", "--settings", site)
    (scoring,) = json.loads(run("show", "1", "--settings", site, "--json")[1])["scorings"]
    assert (scoring["model_id"], scoring["input_digest"]) == (found["model_id"], found["input_digest"])
    assert [(s["label"], s["probability"], s["logit"]) for s in scoring["scores"]] == [
        (h["label"], h["probability"], h["logit"]) for h in found["heads"]
    ]


def test_inspect_gives_signal_picture_and_masked_identity(run: Run, recording: Path, tmp_path: Path) -> None:
    npz, png = tmp_path / "out.npz", tmp_path / "out.png"
    code, out, _ = run("inspect", recording, "--npz", npz, "--png", png, "--json")
    read = json.loads(out)
    assert code == 0
    assert (read["sampling_rate"], read["duration_seconds"], read["missing_leads"]) == (500.0, 10.0, [])
    assert "TESTFAMILY" not in out
    assert "TESTFAMILY" in run("inspect", recording, "--phi")[1]
    with np.load(npz) as saved:
        assert tuple(saved["leads"]) == LEADS
        assert saved["signal"].dtype == np.float32
        np.testing.assert_allclose(saved["signal"], make_ecg(1).signal, atol=0.0026)  # within one step of the format
        assert float(saved["sampling_rate"]) == 500.0
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("status",), "settings.toml does not exist"),
        (("show", "99", "--settings", "SITE"), "no ECG 99"),
        (("show", "1.2.3", "--settings", "SITE"), "no ECG with that number"),
        (("ingest", "nowhere.dcm", "--settings", "SITE"), "nowhere.dcm does not exist"),
        (("ingest", "EMPTY", "--settings", "SITE"), "no files in"),
        (("inspect", "TEXT"), "note.txt"),
        (("pull", "nobody", "--settings", "SITE"), "no source named nobody"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_non_zero_exit(
    run: Run, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("not an ECG")
    real = {"SITE": str(site), "EMPTY": "empty", "TEXT": "note.txt"}
    code, _, err = run(*(real.get(word, word) for word in words))
    assert code == 1
    assert err.startswith("error: ")
    assert told in err
    assert len(err.strip().splitlines()) == 1


def test_a_missing_model_stops_scoring_and_leaves_the_work_waiting(run: Run, site: Path, recording: Path) -> None:
    assert run("ingest", recording, "--settings", site)[0] == 0
    site.write_text(site.read_text().replace('bundle = "tiny"', 'bundle = "gone"'))
    code, _, err = run("score", "--settings", site)
    assert code == 1
    assert "no model bundle at" in err
    assert json.loads(run("status", "--settings", site, "--json")[1])["ecgs"]["waiting"] == 1


def test_a_store_from_a_newer_version_is_left_alone(run: Run, site: Path) -> None:
    import sqlite3

    database = site.parent / "staging.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    code, _, err = run("status", "--settings", site)
    assert code == 1
    assert "upgrade ecgfm-clinical" in err


def test_a_port_in_use_stops_run_with_one_sentence(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.write_text(
            f'[model]\nbundle = "tiny"\n[[listeners.dicom]]\nname = "d"\nhost = "127.0.0.1"\nport = {port}\n'
        )
        command = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()", "run", "--role", "connect"]
        done = subprocess.run(
            [*command, "--settings", str(site)], capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 1
    (told,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert str(port) in told


def test_what_lies_beside_the_recordings_of_an_archive_is_passed_over_and_counted(
    run: Run, site: Path, recording: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "physionet"
    (archive / "records").mkdir(parents=True)
    (archive / "records" / "one.dcm").write_bytes(recording.read_bytes())
    (archive / "records" / "cut.dcm").write_bytes(b"not a recording, and not named like what lies beside one")
    for name in ("LICENSE.txt", "SHA256SUMS.txt", "RECORDS", "ptbxl_database.csv", "example_physionet.py"):
        (archive / name).write_text("ecg_id,patient_id,age,sex\n1,2,3,0\n", encoding="utf-8")
    message = "MSH|^~\\&|A|B|C|D|20260301||ORU^R01|1|P|2.5.1\r"
    (archive / "message.txt").write_text(message, encoding="utf-8")  # named like a text, and one of our formats
    code, out, err = run("ingest", archive, "--settings", site, "--json")
    status = {Path(line["path"]).name: line["status"] for line in json.loads(out)}
    assert code == 1
    assert set(status) == {"one.dcm", "cut.dcm", "message.txt"}
    assert status["one.dcm"] == "staged"
    assert "5 files that are no recordings passed over" in err
    assert json.loads(run("status", "--settings", site, "--json")[1])["ecgs"]["received"] <= 3
    code, out, _ = run("ingest", archive / "LICENSE.txt", "--settings", site, "--json")
    assert (code, json.loads(out)[0]["status"]) == (1, "unreadable"), "a file that is named is never passed over"
