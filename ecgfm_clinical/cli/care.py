"""Care of the store: `retain`, `keys`, `backup`, `audit`."""

import json
import secrets
import sys
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, say, settings_from, will_write, write_json

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings


def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    clock_is_right: Annotated[
        bool,
        typer.Option(
            "--clock-is-right",
            help="Vouch for the clock: also time that no running service saw pass counts towards an age.",
        ),
    ] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove raw payloads, signals, message bodies and reasons of failed attempts that are older than `[retention]`
    allows.

    `run` does it by itself, a day after it first announced it (`retention.planned`). Nothing goes that is not scored
    and acknowledged yet. Bookkeeping, scores and the audit trail stay. Only time that a running service saw pass
    counts, so that a clock that jumps ahead deletes nothing.
    """
    from ecgfm_clinical import liveness, wiring

    with opened(settings) as (read, store):
        now, actor, ages = wiring.utc_now(), liveness.operator(read.site.operator), read.retention.ages
        if clock_is_right and not dry_run:
            store.elapsed.vouch(now=now, actor=actor)
        store.elapsed.look(now)
        gaps = () if clock_is_right else store.elapsed.gaps()
        if dry_run:
            gone = store.care.due(now=now, ages=ages, gaps_count=clock_is_right)
        else:
            gone = store.care.expire(now=now, actor=actor, ages=ages)
    if as_json:
        unseen = [{"since": one.since.isoformat(), "until": one.until.isoformat()} for one in gaps]
        write_json({**gone.counts(), "dry_run": dry_run, "time_not_counted": unseen})
        return
    counts = ", ".join(f"{count} {what}" for what, count in gone.counts().items())
    say(counts + (" would be removed" if dry_run else " removed"))
    for gap in gaps:
        say(
            f"not counted: {gap.since:%Y-%m-%d %H:%M} to {gap.until:%Y-%m-%d %H:%M} UTC, which no running service saw "
            "pass; where the clock is right, repeat with --clock-is-right"
        )


class KeyAct(StrEnum):
    """What to do with the keys."""

    new = "new"
    apply = "apply"
    remove = "remove"


def keys(
    act: Annotated[
        KeyAct,
        typer.Argument(help="new: add a key to store.key_file; apply: seal all with it; remove: decrypt everything."),
    ],
    settings: SettingsOption = None,
) -> None:
    """Encryption at rest of identifying columns, payloads, signals and messages (AES-256-GCM).

    To turn it on: name `store.key_file`, `keys new`, restart every process, `keys apply`. To change the key: the same
    again; older keys may leave the file after `keys apply`. A lost key file means lost data: keep a copy apart from the
    backups.
    """
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.errors import SettingsError

    read = settings_from(settings)
    if read.store.key_file is None:
        raise SettingsError("store.key_file is not set: name the file that holds, or shall hold, the keys")
    path = read.resolve(read.store.key_file)
    if act is KeyAct.new:
        if not path.exists():
            _check_nothing_is_sealed(read, path)
        say(f"key {_add_key(path)} added to {path}; restart every process, then `ecgfm-clinical keys apply`")
        return
    with opened(settings) as (_, store):
        done = store.care.reseal(
            now=wiring.utc_now(), actor=liveness.operator(read.site.operator), plain=act is KeyAct.remove
        )
    say(f"{done} values {'decrypted' if act is KeyAct.remove else 'sealed with the current key'}")


def _check_nothing_is_sealed(settings: "Settings", path: Path) -> None:
    """A fresh key would take the number of a lost one. Raises SettingsError."""
    from ecgfm_clinical import wiring
    from ecgfm_clinical.errors import SettingsError, StoreNotReady

    without_keys = settings.model_copy(update={"store": settings.store.model_copy(update={"key_file": None})})
    try:
        with closing(wiring.open_store(without_keys)) as store:
            numbers = store.care.sealed_with()
    except StoreNotReady:  # there is no store yet
        return
    if numbers:
        keys = ", ".join(str(one) for one in sorted(numbers))
        raise SettingsError(
            f"{path} is not there, and the store holds values sealed with key {keys}: put the file back from your copy "
            "before you add a key; nothing was written"
        )


def _add_key(path: Path) -> int:
    """Append a fresh key, on the disk before anything is sealed with it; its owner alone reads the file."""
    from ecgfm_clinical.durable import sync_new
    from ecgfm_clinical.staging.sealing import KEY_BYTES, Keyring

    number = (Keyring.read(path).current or 0) + 1 if path.exists() else 1
    path.touch(mode=0o600)
    with path.open("a", encoding="ascii") as file:
        file.write(f"{number} {secrets.token_hex(KEY_BYTES)}\n")
    sync_new(path)
    return number


def backup(
    path: Annotated[Path, typer.Argument(help="New file for the copy.")], settings: SettingsOption = None
) -> None:
    """Copy an SQLite store while the service runs. PostgreSQL: `pg_dump --format=custom`."""
    will_write(path)
    from ecgfm_clinical import liveness, wiring

    with opened(settings) as (read, store):
        store.care.back_up(path)
        store.care.note_backup(path, now=wiring.utc_now(), actor=liveness.operator(read.site.operator))
    say(f"the store was copied to {path}; restore it by putting it in the store's place while nothing runs")


def audit(
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the hash chain, and the signed heads, instead of printing.")
    ] = False,
    heads: Annotated[
        Path | None, typer.Option(help="Verify against this copy of the signed heads instead of audit.heads_file.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="Verify the signatures by this public key instead of audit.key_file.")
    ] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key that audit.key_file names.")] = False,
    after: Annotated[int, typer.Option(help="Print the entries after this one.")] = 0,
    settings: SettingsOption = None,
) -> None:
    """The audit trail, one JSON line an entry; with --verify, whether anybody changed it (exits with 1).

    The chain alone shows what was changed by hand. Whether it was rewritten with fresh hashes, or its end cut off, is
    shown by the heads that `run` signs with `audit.key_file` and adds to `audit.heads_file`.
    """
    from ecgfm_clinical.operate.audit_trail import make_key, verify_trail

    if new_key:
        path, fingerprint = make_key(settings_from(settings))
        say(f"key {fingerprint} written to {path}; restart every process, and keep {path}.pub with whoever verifies")
        return
    with opened(settings) as (read, store):
        if verify:
            found = verify_trail(read, store, heads=heads, public_key=public_key)
            say("\n".join((*found.faults, *found.remarks)))
            if found.faults:
                raise typer.Exit(1)
            return
        while page := store.care.trail(limit=1000, after=after):
            for event in page:
                line = {"event_id": event.event_id, "at": event.at.isoformat(), "actor": event.actor}
                line |= {"action": event.action, "ecg_id": event.ecg_id}
                sys.stdout.write(json.dumps(line | event.detail) + "\n")
            after = page[-1].event_id


class Adopt(StrEnum):
    """What happened to a store that is found elsewhere, or that does not know what was sent last."""

    moved = "moved"
    restored = "restored"
    copy = "copy"


store_app = typer.Typer(
    no_args_is_help=True, help="The staging store as a whole: where it lives, how much room it takes."
)


@store_app.command("compress")
def compress(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Compress the signals and payloads that versions before schema 0010 stored as they came; new ones always are.

    Nothing is lost: they come back to the last bit. Work goes on meanwhile; what is done stays done if it is
    interrupted. The room is used for what comes next; SQLite's file itself shrinks only by its VACUUM.
    """
    from dataclasses import asdict

    from ecgfm_clinical import liveness, wiring

    with opened(settings) as (read, store):
        done = store.care.compress(now=wiring.utc_now(), actor=liveness.operator(read.site.operator))
    if as_json:
        write_json(asdict(done))
        return
    say(f"{done.values} values compressed: {done.bytes_before / 1e6:.1f} MB became {done.bytes_after / 1e6:.1f} MB")


@store_app.command("move")
def move(
    to: Annotated[
        str,
        typer.Option("--to", help="URL of an empty database: postgresql+psycopg://USER@HOST/NAME or sqlite:///FILE."),
    ],
    password_file: Annotated[Path | None, typer.Option(help="File with the password of that database.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the store into another database, such as from SQLite to PostgreSQL, and compare it row by row.

    The service must be stopped. The old store stays as it is. Afterwards name the new URL as `store.url` and say
    `ecgfm-clinical store adopt --as moved`: until then the new store sends nothing.
    """
    from dataclasses import asdict

    from ecgfm_clinical import wiring
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.operate.moving import target_url
    from ecgfm_clinical.staging import moving

    with opened(settings) as (_, store):
        living = [one for one in store.processes.all() if not one.is_silent(wiring.utc_now())]
        if living:
            raise InputError(
                f"{len(living)} processes serve this store; stop them first, so that nothing is left behind"
            )
        url = target_url(to, password_file)
        moved = moving.move(
            store.database,
            url,
            told=lambda one: None if as_json else say(f"{one.table:20} {one.rows} rows, each equal"),
        )
    if as_json:
        write_json([asdict(one) for one in moved])
    else:
        say("Moved. Now set store.url, and say `ecgfm-clinical store adopt --as moved`.")


@store_app.command("adopt")
def adopt(
    how: Annotated[
        Adopt,
        typer.Option(
            "--as",
            help=(
                "moved: the same store in another place; restored: from a backup, so that later messages are unknown "
                "to it; copy: for trying things out, from which nothing that waits is ever sent."
            ),
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    settings: SettingsOption = None,
) -> None:
    """Say what happened to a store that was moved, restored or copied; until then it sends nothing.

    A restored store and a copy give their results filler numbers of a new epoch, so that no number is ever used twice.
    What waits in a restored store may have been sent since the backup: it is sent again under the same MSH-10, and a
    withdrawal of it is told to the receiver in any case.
    """
    from ecgfm_clinical import liveness, wiring

    with opened(settings) as (read, store):
        actor = liveness.operator(read.site.operator)
        why = store.home.look(None, now=wiring.utc_now(), actor=actor)
        if why is not None:
            say(f"Nothing is sent, because {why}.")
        if not yes and not typer.confirm(f"Adopt the store as {how.value}?", default=False, err=True):
            raise typer.Exit(1)
        store.home.adopt(
            how.value,
            wiring.sent_marks(read),
            now=wiring.utc_now(),
            actor=actor,
        )
    say("The store is at home here; results are sent again.")
