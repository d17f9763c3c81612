"""`check` beside a running, a stopped and a killed service, and beside a stranger on its port."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from ecgfm_clinical import liveness, wiring
from ecgfm_clinical.service import ports
from ecgfm_clinical.settings import read_settings
from tests.clinical.conftest import Run
from tests.helpers.fakes import wait_until

pytestmark = pytest.mark.slow(20)

PATIENCE = 120.0


@pytest.fixture
def listening(site: Path, free_port: Callable[[], int]) -> Path:
    """Settings with two listeners on ports of their own."""
    dicom, hl7 = free_port(), free_port()
    site.write_text(
        f'[model]\nbundle = "tiny"\n[[listeners.dicom]]\nhost = "127.0.0.1"\nport = {dicom}\nallowed_callers = '
        f'["CART"]\n[[listeners.hl7]]\nhost = "127.0.0.1"\nport = {hl7}\n',
        encoding="utf-8",
    )
    return site


@pytest.fixture
def service(listening: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`run --role connect` as a process of its own; returns once it has said where it listens."""
    command = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()", "run", "--role", "connect"]
    running = subprocess.Popen([*command, "--settings", str(listening)], stderr=subprocess.DEVNULL)
    with closing(wiring.open_store(read_settings(listening))) as store:
        wait_until(lambda: len(store.coordination.leases("port ")) == 2, timeout=PATIENCE)
    yield running
    running.kill()
    running.wait(PATIENCE)


def lines(run: Run, settings: Path) -> tuple[int, dict[str, tuple[bool, str]]]:
    code, out, _ = run("check", "--settings", settings, "--json")
    return code, {line["part"]: (line["ok"], line["text"]) for line in json.loads(out)}


def test_a_healthy_running_service_is_well(run: Run, listening: Path, service: subprocess.Popen[bytes]) -> None:
    code, found = lines(run, listening)
    assert code == 0
    for name, answer in (("dicom", "answered C-ECHO"), ("hl7", "accepts connections")):
        ok, text = found[f"listener {name}"]
        assert ok
        assert f"(process {service.pid}) listens on port" in text
        assert answer in text


def test_a_service_that_ended_leaves_free_ports_and_no_trace(
    run: Run, listening: Path, service: subprocess.Popen[bytes]
) -> None:
    service.terminate()
    assert service.wait(PATIENCE) == 0
    code, found = lines(run, listening)
    assert code == 0
    assert "no `ecgfm-clinical run` listens there" in found["listener dicom"][1]
    with closing(wiring.open_store(read_settings(listening))) as store:
        assert store.coordination.leases("port ") == []


def test_a_stranger_on_the_port_of_a_killed_service_is_no_service(
    run: Run, listening: Path, service: subprocess.Popen[bytes]
) -> None:
    service.kill()
    service.wait(PATIENCE)
    port = read_settings(listening).listeners.dicom[0].port
    with socket.create_server(("127.0.0.1", port)):
        code, found = lines(run, listening)
    assert code == 1
    assert not found["listener dicom"][0]
    assert f"port {port} on 127.0.0.1 is in use, and not by" in found["listener dicom"][1]
    assert found["listener hl7"][0]


def test_a_service_that_lives_and_listens_no_more_is_found(run: Run, listening: Path) -> None:
    settings = read_settings(listening)
    port = settings.listeners.hl7[0].port
    with closing(wiring.open_store(settings)) as store:
        ports.announce(store, [port], liveness.worker_name("connect"), now=wiring.utc_now())
    code, found = lines(run, listening)
    assert code == 1
    assert f"should listen on port {port} and does not" in found["listener hl7"][1]


def test_leases_of_other_hosts_and_old_ones_tell_nothing_of_this_host(listening: Path) -> None:
    now, here = wiring.utc_now(), liveness.worker_name("connect")
    host, rest = here.split(":", 1)
    with closing(wiring.open_store(read_settings(listening))) as store:
        ports.announce(store, [11], f"not-{host}:{rest}", now=now)
        assert ports.holder_here(store, 11, now=now) is None
        ports.announce(store, [11], here, now=now)
        assert ports.holder_here(store, 11, now=now) == here
        assert ports.holder_here(store, 1, now=now) is None
        late = now + ports.TERM + timedelta(seconds=1)
        assert ports.holder_here(store, 11, now=late) is None
        ports.sweep(store, now=late)
        assert store.coordination.leases("port ") == []


def test_without_the_store_a_taken_port_is_nobodys(run: Run, listening: Path) -> None:
    settings = read_settings(listening)
    (listening.parent / "staging.sqlite").unlink()
    with socket.create_server(("127.0.0.1", settings.listeners.hl7[0].port)):
        code, found = lines(run, listening)
    assert code == 1
    assert "the store, which knows the ports of our service, does not answer" in found["listener hl7"][1]


def test_words_in_brackets_are_shown(run: Run, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    site.write_text(
        '[store]\nurl = "postgresql://nobody@127.0.0.1:1/none"\n[model]\nbundle = "tiny"\n', encoding="utf-8"
    )
    code, out, _ = run("check", "--settings", site)
    assert code == 1
    assert "pip install 'ecgfm-clinical[postgresql]'" in out


def test_a_source_without_its_library_keeps_no_other_part_from_being_tried(
    run: Run, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("paramiko", "httpx", "onnxscript"):
        monkeypatch.setitem(sys.modules, module, None)
    site.write_text(
        '[model]\nbundle = "tiny"\nruntime = "onnx"\n[[sources.sftp]]\nname = "s"\nhost = "h"\nuser = "u"\nknown_hosts '
        '= "k"\n[[sources.dicomweb]]\nname = "w"\nurl = "http://127.0.0.1:1"\n[[sources.folder]]\nname = "f"\npath = '
        '"."\n',
        encoding="utf-8",
    )
    code, found = lines(run, site)
    assert code == 1
    assert found["source f"][0]
    assert found["model"] == (False, "runtime onnx needs the extra onnx: pip install 'ecgfm-clinical[onnx]'")
    assert found["source s"][1].endswith("pip install 'ecgfm-clinical[sftp]'")
    assert found["source w"][1].endswith("pip install 'ecgfm-clinical[dicomweb]'")


def test_rules_for_a_head_that_no_model_has_are_refused(run: Run, site: Path, recording: Path) -> None:
    site.write_text(site.read_text(encoding="utf-8") + '\n[heads.reduced_lef]\nallow = ["noise"]\n', encoding="utf-8")
    code, found = lines(run, site)
    assert code == 1
    assert "heads.reduced_lef: no model at hand has a head of that name" in found["model"][1]
    assert run("ingest", recording, "--settings", site)[0] == 0
    code, _, err = run("score", "--settings", site)
    assert (code, "heads.reduced_lef" in err) == (1, True)
