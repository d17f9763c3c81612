"""Whoever can write the whole table can rewrite the trail with fresh hashes: the signed heads show it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text

from ecgfm_clinical.errors import InputError, SettingsError
from ecgfm_clinical.staging import signed_heads
from ecgfm_clinical.staging.audit import Entry, chained
from ecgfm_clinical.staging.heads_export import HeadsExport, syslog
from ecgfm_clinical.staging.schema import audit
from ecgfm_clinical.staging.signed_heads import STRANDS, HeadsFile, Signer
from ecgfm_clinical.staging.store import Store

pytestmark = pytest.mark.slow(3)

DISARM = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["DROP TRIGGER audit_append_only ON audit"],
}
Rows = list[dict[str, Any]]


def _rewritten(store: Store, change: Callable[[Rows], Rows]) -> None:
    """What a database administrator can do: another trail in the place of the true one,
    with hashes that hold together.
    """
    with store.database.writer.begin() as connection:
        for line in DISARM[connection.dialect.name]:
            connection.execute(text(line))
        rows = [dict(row._mapping) for row in connection.execute(select(audit).order_by(audit.c.audit_id))]
        connection.execute(delete(audit))
        ends: dict[str, tuple[int, str]] = {}
        for row in change(rows):
            number, previous = ends.get(row["strand"], (0, row["previous"]))
            entry = Entry(**{name: row[name] for name in ("at", "actor", "action", "ecg_id", "detail")})
            row |= {"number": number + 1, "previous": previous}
            row["hash"] = chained(previous, row["strand"], number + 1, entry)
            ends[row["strand"]] = (number + 1, row["hash"])
            connection.execute(insert(audit), row)


def _other_actor(rows: Rows) -> Rows:
    return [row | {"actor": "nobody"} if row["action"] == "ecg.scored" else row for row in rows]


def _cut(rows: Rows) -> Rows:
    return rows[:-2]


def _inserted(rows: Rows) -> Rows:
    middle = len(rows) // 2
    more = rows[middle] | {"audit_id": 1000, "action": "ecg.corrected"}
    return [*rows[:middle], more, *rows[middle:]]


def _reordered(rows: Rows) -> Rows:
    first, second = rows[-2] | {"audit_id": 1000}, rows[-1] | {"audit_id": 1001}
    return [*rows[:-2], second, first]


def _dated_otherwise(rows: Rows) -> Rows:
    return [row | {"at": row["at"] - timedelta(days=1)} for row in rows]


def _emptied(rows: Rows) -> Rows:
    return []


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.create(tmp_path / "keys" / "audit-key")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "heads.jsonl"


def _walk(ward: Any) -> None:
    ward.take()
    ward.score_all()
    ward.send_all()


def _faults(ward: Any, path: Path, signer: Signer) -> list[str]:
    verified = signed_heads.verify(path, signer.public)
    return [
        *ward.store.care.audit_faults(),
        *verified.faults,
        *ward.store.care.audit_missing(verified.heads.values()),
    ]


def test_a_trail_that_goes_on_agrees_with_its_signed_heads(ward: Any, path: Path, signer: Signer) -> None:
    file = HeadsFile(path, signer)
    for _ in range(3):
        _walk(ward)
        assert len(file.add(ward.store.care.audit_heads(), at=ward.now)) == 1
        assert file.add(ward.store.care.audit_heads(), at=ward.now) == ()
    _walk(ward)
    assert _faults(ward, path, signer) == []


@pytest.mark.parametrize("change", [_other_actor, _cut, _inserted, _reordered, _dated_otherwise, _emptied])
def test_a_trail_rewritten_with_fresh_hashes_is_found(
    ward: Any, path: Path, signer: Signer, change: Callable[[Rows], Rows]
) -> None:
    _walk(ward)
    HeadsFile(path, signer).add(ward.store.care.audit_heads(), at=ward.now)
    _walk(ward)
    assert _faults(ward, path, signer) == []
    _rewritten(ward.store, lambda rows: change(rows[: len(rows) // 2]) + rows[len(rows) // 2 :])
    assert _faults(ward, path, signer)


@pytest.mark.parametrize("change", [_other_actor, _cut, _emptied])
def test_without_signed_heads_such_a_trail_looks_whole(ward: Any, change: Callable[[Rows], Rows]) -> None:
    """Why the heads are needed."""
    _walk(ward)
    _rewritten(ward.store, change)
    assert ward.store.care.audit_faults() == []


def test_two_processes_of_a_host_add_to_one_file(ward: Any, path: Path, signer: Signer) -> None:
    one, two = HeadsFile(path, signer), HeadsFile(path, signer)
    for file in (one, two, one):
        _walk(ward)
        assert file.add(ward.store.care.audit_heads(), at=ward.now)
    assert _faults(ward, path, signer) == []


class TestFile:
    @pytest.fixture
    def lines(self, ward: Any, path: Path, signer: Signer) -> list[str]:
        file = HeadsFile(path, signer)
        for _ in range(4):
            _walk(ward)
            file.add(ward.store.care.audit_heads(), at=ward.now)
        return path.read_text().splitlines(keepends=True)

    @pytest.mark.parametrize(
        ("kept", "said"),
        [((0, 2, 3), "missing before line 2"), ((1, 2, 3), "missing before line 1"), ((0, 2, 1, 3), "another order")],
    )
    def test_lines_taken_out_or_put_elsewhere_are_found(
        self, path: Path, signer: Signer, lines: list[str], kept: tuple[int, ...], said: str
    ) -> None:
        path.write_text("".join(lines[number] for number in kept))
        assert any(said in fault for fault in signed_heads.verify(path, signer.public).faults)

    def test_a_line_of_another_key_is_found(
        self, ward: Any, path: Path, signer: Signer, lines: list[str], tmp_path: Path
    ) -> None:
        forger = Signer.create(tmp_path / "forged")
        path.write_text("")
        HeadsFile(path, forger).add(ward.store.care.audit_heads(), at=ward.now)
        assert signed_heads.verify(path, signer.public).faults
        changed = replace(signed_heads.SignedHeads.read(lines[0]), at=ward.later(days=1))
        path.write_text(changed.text() + "\n")
        assert signed_heads.verify(path, signer.public).faults == (f"{path.name}: line 1 is not signed by this key",)

    def test_a_line_cut_off_is_said_and_the_file_goes_on(
        self, ward: Any, path: Path, signer: Signer, lines: list[str]
    ) -> None:
        path.write_text("".join(lines[:-1]) + lines[-1][:40] + "\n")
        assert "cannot be read" in signed_heads.verify(path, signer.public).faults[0]
        HeadsFile(path, signer).add(ward.store.care.audit_heads(), at=ward.now)
        assert len(signed_heads.verify(path, signer.public).faults) == 1

    def test_a_long_trail_is_signed_in_short_lines(self, path: Path, signer: Signer, ward: Any) -> None:
        heads = [
            replace(ward.store.care.audit_heads()[0], strand=f"{number:032x}") for number in range(2 * STRANDS + 1)
        ]
        assert [len(line.heads) for line in HeadsFile(path, signer).add(heads, at=ward.now)] == [STRANDS, STRANDS, 1]
        assert signed_heads.verify(path, signer.public).faults == ()


class TestKey:
    def test_its_file_is_its_owners_and_never_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        made = Signer.create(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert Signer.read(path).fingerprint == made.fingerprint
        assert signed_heads.fingerprint(signed_heads.public_key(tmp_path / "key.pub")) == made.fingerprint
        with pytest.raises(InputError, match="exists"):
            Signer.create(path)

    @pytest.mark.parametrize("content", [None, b"", b"1 00ff"])
    def test_a_file_that_holds_none_is_said(self, tmp_path: Path, content: bytes | None) -> None:
        if content is not None:
            (tmp_path / "key").write_bytes(content)
        with pytest.raises(SettingsError, match="key_file"):
            Signer.read(tmp_path / "key")


def test_a_clock_that_was_set_back_is_remarked(ward: Any) -> None:
    _walk(ward)
    assert ward.store.care.audit_clock_steps() == []
    ward.store.results.withdraw(1, reason="x", now=ward.later(days=-400), actor="operator")
    (step,) = ward.store.care.audit_clock_steps()
    assert "400 days" in step


def test_each_line_is_told_to_syslog(ward: Any, path: Path, signer: Signer) -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        _walk(ward)
        send = syslog(f"127.0.0.1:{server.getsockname()[1]}")
        HeadsExport(ward.store, HeadsFile(path, signer), clock=lambda: ward.now, send=send).run()
        told = server.recv(65536).decode()
    (line,) = signed_heads.lines(path)
    assert line is not None
    assert line.signature in told


def test_a_syslog_that_is_not_there_is_the_tasks_failure(ward: Any, path: Path, signer: Signer, tmp_path: Path) -> None:
    export = HeadsExport(
        ward.store, HeadsFile(path, signer), clock=lambda: ward.now, send=syslog(str(tmp_path / "no-log"))
    )
    with pytest.raises(FileNotFoundError):
        export.run()
