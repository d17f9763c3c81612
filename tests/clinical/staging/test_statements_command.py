"""`ecgfm-clinical statements`: what is not understood, by device and software version, without a word of a patient."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ecgfm_clinical.cli import app, look
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.ecg import Device

#: Software version -> statements. The second version changed its wording.
SAID = (
    ("1.0", ("Sinus rhythm",)),
    ("1.0", ("Vorhofflimmern",)),
    ("2.0", ("Xyz", "Qwertz Testperson")),
    ("2.0", ("Sinus rhythm",)),
)


@pytest.fixture
def ask(ward: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command's output on the ward's store."""

    @contextmanager
    def opened(path: Path | None) -> Iterator[tuple[None, Store]]:
        yield None, ward.store

    def run(*words: str) -> str:
        told = CliRunner().invoke(app, ["statements", *words], catch_exceptions=False)
        assert told.exit_code == 0
        return told.output

    monkeypatch.setattr(look, "opened", opened)
    return run


def test_a_changed_wording_shows_at_its_software_version(ward: Any, ask: Any) -> None:
    for software, statements in SAID:
        ward.take(device=Device(manufacturer="GE", model="MAC 5500", software=software), statements=statements)
    ward.take(statements=("Xyz",))
    lines = ask().splitlines()
    assert sorted(lines) == [
        "GE MAC 5500 1.0: 2 ECGs, 0 statements not understood in 0 of them",
        "GE MAC 5500 2.0: 2 ECGs, 2 statements not understood in 1 of them",
        "unknown device: 1 ECGs, 1 statements not understood in 1 of them",
    ]
    found = {one["software"]: one for one in json.loads(ask("--json"))}
    assert {software: (one["ecgs"], one["unread"]) for software, one in found.items()} == {
        "1.0": (2, 0),
        "2.0": (2, 2),
        "": (1, 1),
    }
    assert found["2.0"]["last_received_at"].startswith(f"{ward.now:%Y-%m-%d}")
    assert "Testperson" not in ask() + ask("--json")


def test_a_store_without_ecgs_has_nothing_to_tell(ask: Any) -> None:
    assert (ask(), json.loads(ask("--json"))) == ("", [])
