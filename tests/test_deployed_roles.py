"""What compose starts, started without an engine: each role a process of its own, with the example's settings, on
PostgreSQL, from a C-STORE to the result at the EHR.

The images themselves are not built here: `test_images.py` holds what can be seen of them without an engine.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecgfm_connectors.testing import cart, dicom_writer
from ecgfm_connectors.testing.ehr import EhrReceiver
from tests.helpers.fakes import make_ecg, wait_until
from tests.helpers.postgresql import PostgresqlServer

pytestmark = [pytest.mark.slow(20), pytest.mark.peer]

DEPLOY = Path(__file__).parents[1] / "deploy"
SERVICES: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
PROGRAM = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A folder with what compose mounts, and the environment that the image sets."""

    folder: Path
    port: int  #: of the DICOM listener
    environment: Mapping[str, str]

    def start(self, service: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{service}.log").open("wb") as log:
            return subprocess.Popen(
                [*PROGRAM, *SERVICES[service]["command"]], cwd=self.folder, env=self.environment, stderr=log
            )

    def has_settled(self, service: str, process: "subprocess.Popen[bytes]") -> bool:
        """Whether it serves, or has given up."""
        return b"service.started" in self.log(service) or process.poll() is not None

    def log(self, service: str) -> bytes:
        return (self.folder / f"{service}.log").read_bytes()


@pytest.fixture
def ehr() -> Iterator[EhrReceiver]:
    receiver = EhrReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def host(tmp_path: Path, postgresql_server: PostgresqlServer, ehr: EhrReceiver, free_port: Callable[[], int]) -> Host:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "database-password").write_text("invented\n", encoding="utf-8")
    (tmp_path / "secrets" / "database-password").chmod(0o600)
    port = free_port()
    settings = (DEPLOY / "settings.example.toml").read_text(encoding="utf-8")
    for said, here in {
        r"postgresql\+psycopg://ecgfm@database/ecgfm": postgresql_server.create_database(),
        r"^port = 11112": f'host = "127.0.0.1"\nport = {port}',
        r"^port = 2575": f'host = "127.0.0.1"\nport = {free_port()}',
        r'^host = "ehr\.example"': 'host = "127.0.0.1"',
        r"^port = 6661": f"port = {ehr.port}",
        r"^min_free_mb = 2000": "min_free_mb = 0",
        r"/var/lib/ecgfm/models": str(tmp_path / "models"),
        r'^device = "auto"': 'device = "cpu"',
    }.items():
        settings, found = re.subn(said, here, settings, flags=re.MULTILINE)
        assert found, f"the example no longer says {said}"
    (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ECGFM_")}
    return Host(
        folder=tmp_path,
        port=port,
        environment=environment | {"ECGFM_SETTINGS": str(tmp_path / "settings.toml"), "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.timeout(900)
def test_what_compose_starts_brings_an_ecg_from_the_cart_to_the_ehr(host: Host, ehr: EhrReceiver) -> None:
    migrating = host.start("migrate")
    assert migrating.wait(300) == 0, host.log("migrate")
    roles = {name: host.start(name) for name in ("connect", "score", "report")}
    try:
        for name, process in roles.items():
            wait_until(partial(host.has_settled, name, process))
            assert process.poll() is None, host.log(name)
        (answer,) = cart.send([dicom_writer.write_ecg(make_ecg(1))], host="127.0.0.1", port=host.port, calling="CART1")
        assert answer.status == 0x0000
        (message,) = ehr.wait_for(1)
        assert b"NOT FOR CLINICAL USE" in message
    finally:
        for process in roles.values():
            process.send_signal(signal.SIGTERM)  # STOPSIGNAL, as `docker stop` does
        ended = {name: process.wait(120) for name, process in roles.items()}
    assert ended == dict.fromkeys(roles, 0)
