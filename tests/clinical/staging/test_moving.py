"""A store goes into another database with every row, and goes on there."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.staging import moving
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(3)


@pytest.fixture
def site(tmp_path: Path) -> Installation:
    site = Installation(tmp_path)
    site.dicom(ecg(1, "A"))
    site.dicom(ecg(2, "B"))
    site.dicom(b"no recording")
    site.go_on()
    site.send_until(2)
    return site


def _elsewhere(site: Installation, url: str) -> None:
    """Let the settings name the new place, as the operator does."""
    text = site.path.read_text()
    site.path.write_text(text.replace("sqlite:///staging.sqlite", url))


def test_a_store_moved_to_postgresql_goes_on_there(site: Installation, postgresql_url: str) -> None:
    before = site.document("status")["ecgs"]
    code, text = site.command("store", "move", "--to", postgresql_url)
    assert code == 0, text
    assert "ecg                  2 rows, each equal" in text
    site.store.close()
    _elsewhere(site, postgresql_url)
    assert site.document("status")["ecgs"] == before
    code, text = site.command("audit", "--verify")
    assert code == 0, text
    assert site.command("replay", "1")[0] == 0
    assert "lies elsewhere" in site.command("store", "adopt", "--as", "moved", answer="n\n")[1]
    assert site.command("store", "adopt", "--as", "moved", "--yes")[0] == 0
    assert site.command("ingest", _file(site))[0] == 0  # new rows get numbers of their own
    assert site.document("status")["ecgs"]["received"] == before["received"] + 1
    site.ehr.stop()


def _file(site: Installation) -> Path:
    from ecgfm_connectors.testing import dicom_writer

    path = site.path.with_name("new.dcm")
    path.write_bytes(dicom_writer.write_ecg(ecg(3, "C")))
    return path


def test_a_target_with_rows_is_refused(site: Installation, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    assert site.command("store", "move", "--to", url)[0] == 0
    code, text = site.command("store", "move", "--to", url)
    assert code == 1
    assert "holds rows already" in text
    site.close()


def test_nothing_is_moved_while_somebody_serves_the_store(site: Installation, tmp_path: Path) -> None:
    service = Service(site.settings, "report", site.store)
    service.start()
    site.store.processes.lives("host:1:2:service", roles="report", started_at=_now(), now=_now())
    code, text = site.command("store", "move", "--to", f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert code == 1
    assert "stop them first" in text
    service.stop()
    site.close()


def _now() -> datetime:
    return datetime.now(UTC)


def test_a_row_that_came_back_otherwise_keeps_nothing(
    site: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(old: Connection, new: Connection, table: Table) -> None:
        copy(old, new, table)
        if table.name == "message":
            new.execute(table.update().where(table.c.message_id == 1).values(priority=99))

    copy: Callable[[Connection, Connection, Table], None] = moving._copy
    monkeypatch.setattr(moving, "_copy", forgetful)
    path = tmp_path / "other.sqlite"
    with pytest.raises(StoreError, match="table message came back"):
        moving.move(site.store.database, f"sqlite:///{path}")
    monkeypatch.setattr(moving, "_copy", copy)
    assert moving.move(site.store.database, f"sqlite:///{path}")  # the target was left empty
    site.close()
