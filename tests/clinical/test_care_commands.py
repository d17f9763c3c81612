"""Care of the store on the command line: keys, backup, retention, the audit trail."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.schema import audit
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.errors import Refused

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]


def _with(settings: Path, commented: str, line: str) -> None:
    """Replace the first such line that the written settings hold as a comment."""
    text = settings.read_text(encoding="utf-8")
    old = next(one for one in text.splitlines() if one.startswith(commented))
    settings.write_text(text.replace(old, line, 1), encoding="utf-8")


def test_encryption_is_turned_on_and_its_key_changed(run: Run, site: Path, recording: Path) -> None:
    assert run("ingest", recording, "--settings", site)[0] == 0
    code, _, err = run("keys", "new", "--settings", site)
    assert (code, "store.key_file is not set" in err) == (1, True)
    _with(site, "# key_file =", 'key_file = "keys"')
    for _ in range(2):
        assert run("keys", "new", "--settings", site)[0] == 0
        code, out, _ = run("keys", "apply", "--settings", site)
        assert code == 0
        assert int(out.split()[0]) >= 5
    assert (site.parent / "keys").stat().st_mode & 0o077 == 0
    code, out, _ = run("show", "1", "--phi", "--settings", site)
    assert code == 0
    kept = (site.parent / "keys").rename(site.parent / "copy of the keys")
    code, _, err = run("keys", "new", "--settings", site)
    assert (code, "encrypted with key 2; add that key" in err) == (1, True)
    assert not (site.parent / "keys").exists()
    kept.rename(site.parent / "keys")
    assert "TESTFAMILY" not in (site.parent / "staging.sqlite").read_bytes().decode("latin-1")
    (site.parent / "keys").write_text("3 " + "ab" * 32)
    code, _, err = run("show", "1", "--settings", site)
    assert (code, "encrypted with key 2" in err) == (1, True)


def test_no_key_takes_the_number_of_a_lost_one(run: Run, site: Path, recording: Path) -> None:
    """What a running service goes on sealing with the lost key could not be told from what the new one sealed."""
    _with(site, "# key_file =", 'key_file = "keys"')
    assert run("keys", "new", "--settings", site)[0] == 0
    assert run("ingest", recording, "--settings", site)[0] == 0
    (site.parent / "keys").unlink()
    code, _, err = run("keys", "new", "--settings", site)
    assert (code, "sealed with key 1: put the file back" in err) == (1, True)
    assert not (site.parent / "keys").exists()


def test_a_store_is_backed_up_and_put_back(run: Run, site: Path, recording: Path) -> None:
    assert run("ingest", recording, "--settings", site)[0] == 0
    copy = site.parent / "copy.sqlite"
    assert run("backup", copy, "--settings", site)[0] == 0
    assert run("backup", copy, "--settings", site)[0] == 1
    for path in site.parent.glob("staging.sqlite*"):
        path.unlink()
    copy.rename(site.parent / "staging.sqlite")
    _, out, _ = run("status", "--json", "--settings", site)
    assert json.loads(out)["ecgs"]["received"] == 1
    assert run("score", "--settings", site)[0] == 0


def test_retention_keeps_what_is_not_scored(run: Run, site: Path, recording: Path) -> None:
    _with(site, "# payload_days =", "payload_days = 1")
    assert run("ingest", recording, "--settings", site)[0] == 0
    code, out, _ = run("retain", "--json", "--settings", site)
    found = json.loads(out)
    assert (code, found["payloads"], found["signals"], found["messages"], found["attempts"]) == (0, 0, 0, 0, 0)


def test_retention_counts_no_time_that_nobody_saw_pass(run: Run, site: Path) -> None:
    """A payload of long ago in a store that was last looked at just then: the clock may have jumped."""
    _with(site, "# payload_days =", "payload_days = 1")
    store = Store.open(f"sqlite:///{site.parent / 'staging.sqlite'}")
    long_ago = wiring.utc_now() - timedelta(days=3650)
    store.elapsed.look(long_ago)
    store.intake.record(
        Received(transport="dicom", source="cart", content=b"not an ECG", received_at=long_ago),
        Refused("not-12-lead", "one lead only"),
        now=long_ago,
        actor="cart",
    )
    store.close()
    _, out, _ = run("retain", "--dry-run", "--settings", site)
    for words in ("0 payloads", "would be removed", "--clock-is-right"):
        assert words in out
    _, out, _ = run("retain", "--dry-run", "--clock-is-right", "--json", "--settings", site)
    assert json.loads(out)["payloads"] == 1
    _, out, _ = run("retain", "--settings", site)
    assert "0 payloads" in out
    _, out, _ = run("retain", "--clock-is-right", "--json", "--settings", site)
    assert json.loads(out)["payloads"] == 1


@pytest.mark.parametrize("tampered", [False, True])
def test_the_trail_is_printed_and_checked(run: Run, site: Path, recording: Path, tampered: bool) -> None:
    assert run("ingest", recording, "--settings", site)[0] == 0
    _, out, _ = run("audit", "--settings", site)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["action"] for line in lines] == [
        "store.epoch-began",
        "store.settled",
        "payload.received",
        "ecg.staged",
    ]
    store = Store.open(f"sqlite:///{site.parent / 'staging.sqlite'}")
    with store.database.writer.begin() as connection:
        if tampered:
            connection.exec_driver_sql("DROP TRIGGER audit_no_update")
            connection.execute(audit.update().values(actor="nobody"))
    store.close()
    code, out, _ = run("audit", "--verify", "--settings", site)
    assert (code, "was changed" in out) == (int(tampered), tampered)


def test_a_new_installation_signs_its_trail_and_verifies_against_it(run: Run, site: Path, recording: Path) -> None:
    assert run("ingest", recording, "--settings", site)[0] == 0
    code, out, _ = run("audit", "--verify", "--settings", site)
    assert code == 0
    assert "no heads were signed yet" in out
    settings = read_settings(site)
    with closing(wiring.open_store(settings)) as store:
        export = wiring.build_heads_export(settings, store)
        assert export is not None
        export.run()
    code, out, _ = run("audit", "--verify", "--settings", site)
    assert (code, "1 signed lines" in out) == (0, True)
    copy = site.parent / "copy.jsonl"
    (site.parent / "audit-heads.jsonl").rename(copy)
    (site.parent / "audit-key").rename(site.parent / "elsewhere")
    public = site.parent / "audit-key.pub"
    assert run("audit", "--verify", "--heads", copy, "--public-key", public, "--settings", site)[0] == 0
    with closing(wiring.open_store(settings)) as store, store.database.writer.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_delete")
        connection.execute(audit.delete().where(audit.c.action == "ecg.staged"))
    code, out, _ = run("audit", "--verify", "--heads", copy, "--public-key", public, "--settings", site)
    assert (code, "which was signed, is gone" in out) == (1, True)


def test_an_installation_of_the_version_before_goes_on_and_is_told_how_to_sign(run: Run, site: Path) -> None:
    _with(site, 'key_file = "audit-key"', "")
    code, out, _ = run("audit", "--verify", "--settings", site)
    assert (code, "audit.key_file" in out) == (0, True)
    _with(site, "# heads_file =", 'key_file = "later/key"')
    assert run("audit", "--new-key", "--settings", site)[0] == 0
    assert run("audit", "--new-key", "--settings", site)[0] == 1
