"""Correct, withdraw, replay on the command line, with a receiver at the other end."""

import gc
import io
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.schema import scoring, signal
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.hl7.message import Message, parse
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.testing import dicom_writer
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault
from tests.helpers.fakes import make_ecg
from tests.helpers.tiny_models import copy_prepared_tiny, write_tiny_bundle

pytestmark = pytest.mark.slow(10)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ehr() -> Iterator[EhrReceiver]:
    receiver = EhrReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def sent(site: Path, run: Run, recording: Path, ehr: EhrReceiver) -> Path:
    """A site with one ECG staged, scored and sent; the path of its settings."""
    site.write_text(
        site.read_text() + f'\n[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = {ehr.port}\n',
        encoding="utf-8",
    )
    for words in (["ingest", recording], ["score"], ["send"]):
        assert run(*words, "--settings", site)[0] == 0
    return site


def _store(settings: Path) -> Store:
    return Store.open(read_settings(settings).store_url)


def _statuses(body: bytes) -> set[str]:
    return {line.split("|")[11] for line in body.decode().split("\r") if line.startswith("OBX")}


def _patient_id(body: bytes) -> str:
    return next(line.split("|")[3] for line in body.decode().split("\r") if line.startswith("PID"))


def test_a_withdrawal_is_shown_first_then_sent(
    run: Run, sent: Path, ehr: EhrReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, _ = run("withdraw", "1", "--settings", sent)
    assert code != 0
    assert "1 results of 1 ECGs would be withdrawn" in out
    assert run("withdraw", "1", "--reason", "wrong gain", "--yes", "--settings", sent)[0] == 0
    assert run("send", "--settings", sent)[0] == 0
    first, second = ehr.messages
    assert _statuses(second) == {"W"}
    assert isinstance(parse(first), Message)
    code, out, _ = run("show", "1", "--settings", sent, "--json")
    act = next(event for event in json.loads(out)["events"] if event["action"] == "ecg.withdrawn")
    assert act["reason"] == "wrong gain"
    assert "@" in act["actor"]


def test_a_connection_is_closed_when_all_is_sent(run: Run, sent: Path) -> None:
    assert run("withdraw", "1", "--reason", "test run", "--yes", "--settings", sent)[0] == 0
    gc.collect()  # what other tests left
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ResourceWarning)
        assert run("send", "--settings", sent)[0] == 0
        gc.collect()
    assert not [str(one.message) for one in said if "socket" in str(one.message)]


def test_a_deletion_is_told_as_one(run: Run, sent: Path, ehr: EhrReceiver) -> None:
    assert run("withdraw", "1", "--delete", "--reason", "test run", "--yes", "--settings", sent)[0] == 0
    assert run("send", "--settings", sent)[0] == 0
    assert _statuses(ehr.messages[1]) == {"D"}


def test_results_go_to_a_folder_too(run: Run, sent: Path, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    sent.write_text(sent.read_text() + f'\n[[destinations.file]]\nname = "folder"\npath = "{tmp_path / "results"}"\n')
    (line,) = (line for line in run("check", "--settings", sent)[1].splitlines() if "folder" in line)
    assert "can be written" in line
    recording.write_bytes(dicom_writer.write_ecg(make_ecg(2)))
    for words in (["ingest", recording], ["score"], ["send"]):
        assert run(*words, "--settings", sent)[0] == 0
    (path,) = (tmp_path / "results").iterdir()
    assert path.read_bytes().split(b"|")[9] == path.stem.encode()
    assert _patient_id(path.read_bytes()).startswith("T2^^^TEST")
    assert run("withdraw", "2", "--yes", "--settings", sent)[0] == 0
    assert run("send", "--settings", sent)[0] == 0
    assert sorted(_statuses(one.read_bytes()) != {"W"} for one in (tmp_path / "results").iterdir()) == [False, True]


def test_a_recall_by_model_finds_its_results_and_no_others(run: Run, sent: Path) -> None:
    for named in (("--model", "zzz"), ("--since", "2999-01-01"), ("--model", "0000", "--json")):
        code, out, err = run("withdraw", *named, "--yes", "--settings", sent)
        assert (code, out) == (1, "")
        assert "no result stands that this names" in err
    code, out, _ = run("withdraw", "--since", "2020-01-01", "--yes", "--json", "--settings", sent)
    assert len(json.loads(out)["messages"]) == 1


def test_a_result_moves_to_the_right_patient(
    run: Run, sent: Path, ehr: EhrReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("TESTHOSP|MR|RIGHT1\n"))
    assert run("correct", "1", "--wrong-patient", "--force", "--reason", "mix-up", "--yes", "--settings", sent)[0] == 0
    assert run("score", "--settings", sent)[0] == 0  # age, sex and patient are part of the judgement
    assert run("send", "--settings", sent)[0] == 0
    first, withdrawal, fresh = ehr.messages
    assert (_statuses(withdrawal), _patient_id(withdrawal)) == ({"W"}, _patient_id(first))
    assert _statuses(fresh) == {"F"}
    assert _patient_id(fresh).startswith("RIGHT1^^^TESTHOSP")


def test_a_correction_is_a_c_under_a_new_number(run: Run, sent: Path, ehr: EhrReceiver) -> None:
    assert run("correct", "1", "--yes", "--settings", sent)[0] == 0
    assert run("score", "--settings", sent)[0] == 0  # age, sex and patient are part of the judgement
    assert run("send", "--settings", sent)[0] == 0
    first, second = ehr.messages
    assert _statuses(second) == {"C"}
    assert first.split(b"|")[9] != second.split(b"|")[9]


@pytest.mark.parametrize("patient", ["4711", "A||4711", "A|MR|"])
def test_a_bare_number_is_no_patient(run: Run, sent: Path, patient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{patient}\n"))
    code, _, err = run("correct", "1", "--wrong-patient", "--yes", "--settings", sent)
    assert code == 1
    assert "AUTHORITY|TYPE|NUMBER" in err
    assert "4711" not in err


def test_a_replay_gives_exactly_the_stored_score(run: Run, sent: Path) -> None:
    code, out, _ = run("replay", "1", "--settings", sent, "--json")
    found = json.loads(out)
    assert (code, found["exact"], found["differences"]) == (0, True, [])
    assert found["compared"] > 0


def test_a_replay_shows_a_store_that_no_longer_means_what_it_said(run: Run, sent: Path) -> None:
    store = _store(sent)
    changed = store.ecgs.load([1])[0].ecg.signal.copy()
    changed[0, 0] += 1.0
    with store.database.writer.begin() as connection:
        connection.execute(signal.update().values(samples=changed.tobytes(), coding=""))
    store.close()
    code, out, _ = run("replay", "1", "--settings", sent)
    assert code == 1
    assert "the signal decodes differently" in out


def test_a_replay_with_another_model_is_refused(run: Run, sent: Path, site: Path) -> None:
    write_tiny_bundle(site.parent / "other", seed=1)
    code, _, err = run("replay", "1", "--model", "other", "--settings", sent)
    assert code == 1
    assert "name that bundle with --model" in err


def test_a_replay_opens_the_model_that_scored_though_another_scores_now(run: Run, sent: Path) -> None:
    write_tiny_bundle(sent.parent / "newer", seed=1)
    sent.write_text(sent.read_text().replace('bundle = "tiny"', 'bundle = "newer"'))
    code, out, _ = run("replay", "1", "--settings", sent, "--json")
    assert (code, json.loads(out)["exact"]) == (0, True)


def _scored_by(settings: Path, runtime: str) -> None:
    """As if the scoring had been computed by another runtime."""
    store = _store(settings)
    with store.database.writer.begin() as connection:
        connection.execute(scoring.update().values(runtime=runtime))
    store.close()


def test_a_replay_takes_the_runtime_of_the_score_whatever_the_settings_name_now(run: Run, sent: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    sent.write_text(sent.read_text().replace('# runtime = "auto"', 'runtime = "onnx"'))
    code, out, _ = run("replay", "1", "--settings", sent, "--json")
    assert (code, json.loads(out)["differences"]) == (0, [])


def test_a_replay_of_a_score_from_a_gpu_says_what_it_needs(run: Run, sent: Path) -> None:
    _scored_by(sent, "torch-cuda-fp32-x64@NVIDIA_H100_80GB_HBM3/570.86.15")
    code, _, err = run("replay", "1", "--settings", sent)
    assert code == 1
    said = " ".join(err.split())
    assert "was computed by torch-cuda-fp32-x64@NVIDIA_H100_80GB_HBM3/570.86.15" in said
    assert "torch sees no CUDA device" in said


def test_a_change_of_runtime_is_in_the_audit_trail_once(
    run: Run, sent: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    copy_prepared_tiny(tmp_path_factory, sent.parent / "tiny.runtimes")
    sent.write_text(sent.read_text().replace('# runtime = "auto"', 'runtime = "onnx"'))
    for _ in range(2):
        assert run("score", "--settings", sent)[0] == 0
    trail = [json.loads(line) for line in run("audit", "--settings", sent)[1].splitlines()]
    changes = [one for one in trail if one["action"] == "model.runtime"]
    assert [(one["before"], one["runtime"]) for one in changes] == [
        ("", "torch-cpu-fp32"),
        ("torch-cpu-fp32", "onnxruntime-cpu-fp32"),
    ]
    assert "unmeasured" in changes[0]["why"]
    assert changes[1]["why"] == "named by the settings"


def test_what_was_refused_is_read_again(run: Run, sent: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.dcm").write_bytes(b"Dear colleague," * 20)
    run("ingest", tmp_path / "letter.dcm", "--settings", sent)
    code, out, _ = run("replay", "--refused", "--list", "--settings", sent, "--json")
    (listed,) = json.loads(out)
    assert (code, listed["source"], listed["disposition"]) == (0, "ingest", "unreadable")
    (line,) = run("replay", "--refused", "--list", "--settings", sent)[1].splitlines()
    assert f"{listed['code']}: {listed['text']}" in line
    code, out, _ = run("replay", "--refused", "--settings", sent, "--json")
    assert code == 0
    assert sum(json.loads(out).values()) == 1


def test_a_dead_letter_is_sent_again(run: Run, site: Path, recording: Path, ehr: EhrReceiver) -> None:
    site.write_text(
        site.read_text() + f'\n[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = {ehr.port}\n',
        encoding="utf-8",
    )
    ehr.plan(Fault.AE)
    for words in (["ingest", recording], ["score"]):
        assert run(*words, "--settings", site)[0] == 0
    assert run("send", "--settings", site)[0] == 1
    _, out, _ = run("replay", "--dead", "--list", "--settings", site)
    assert "ECG 1 to ehr, F, " in out
    assert "the receiver answered AE" in out
    (listed,) = json.loads(run("replay", "--dead", "--list", "--json", "--settings", site)[1])
    assert (listed["ecg_id"], listed["destination"], listed["kind"]) == (1, "ehr", "F")
    assert "the receiver answered AE" in listed["error"]["text"]
    _, out, _ = run("replay", "--dead", "--message", "99", "--settings", site, "--json")
    assert json.loads(out)["sent again"] == 0
    _, out, _ = run("replay", "--dead", "--settings", site, "--json")
    assert json.loads(out) == {"sent again": 1, "overtaken or replaced": 0}
    assert run("send", "--settings", site)[0] == 0
    first, second = ehr.messages
    assert first == second


def _with_receiver(site: Path, ehr: EhrReceiver) -> Path:
    destination = f'\n[[destinations.hl7]]\nname = "ehr"\nhost = "127.0.0.1"\nport = {ehr.port}\n'
    site.write_text(site.read_text(encoding="utf-8") + destination, encoding="utf-8")
    return site


def test_the_answer_of_a_receiver_that_refuses_is_shown_with_its_text_only_on_demand(
    run: Run, site: Path, recording: Path, ehr: EhrReceiver
) -> None:
    """The receiver's words (ERR-8) may quote the message, so `show` keeps them back without --phi."""
    _with_receiver(site, ehr)
    ehr.plan(Fault.AE)
    for words in (["ingest", recording], ["score"], ["send"]):
        run(*words, "--settings", site)
    _, hidden, _ = run("show", "1", "--settings", site)
    assert "the receiver answered AE" in hidden
    assert "simulated" not in hidden
    _, shown, _ = run("show", "1", "--phi", "--settings", site)
    (line,) = (line for line in shown.splitlines() if line.startswith("    answer AE "))
    assert "simulated" in line


def test_an_ecg_without_a_patient_is_set_aside_until_a_person_says_whose_it_is(
    run: Run, site: Path, recording: Path, ehr: EhrReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that the runbook describes."""
    _with_receiver(site, ehr)
    recording.write_bytes(dicom_writer.write_ecg(make_ecg(1, patient=Patient())))
    for words in (["ingest", recording], ["score"], ["send"]):
        run(*words, "--settings", site)
    _, listed, _ = run("replay", "--dead", "--list", "--settings", site)
    assert "no-identifier" in listed
    monkeypatch.setattr("sys.stdin", io.StringIO("TESTHOSP|MR|RIGHT1\n"))
    assert (
        run("correct", "1", "--wrong-patient", "--force", "--reason", "no patient", "--yes", "--settings", site)[0] == 0
    )
    assert run("score", "--settings", site)[0] == 0
    assert run("send", "--settings", site)[0] == 0
    (result,) = ehr.messages  # the only one that ever came
    assert _statuses(result) == {"F"}
    assert _patient_id(result).startswith("RIGHT1^^^TESTHOSP")
    _, after, _ = run("replay", "--dead", "--list", "--settings", site)
    assert "no-identifier" not in after


def test_a_replay_of_nothing_is_refused(run: Run, site: Path) -> None:
    code, _, err = run("replay", "--settings", site)
    assert (code, "say what to replay" in err) == (1, True)
