"""`outcomes`: what was measured, what became a label, what did not and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.asking import opened_rows
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, opened, say, will_write, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ecgfm_clinical.operate.outcome_rows import ShownLeftOut, ShownOutcome
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store

app = typer.Typer(
    help="Measured outcomes (ejection fractions, troponins): list, show, refused, reread, export.",
    no_args_is_help=True,
)

PhiOption = Annotated[bool, typer.Option("--phi", help="Show patients' numbers and texts instead of ***.")]


KindOption = Annotated[
    str | None, typer.Option(help="Only these: lvef, troponin, or a kind of the settings' outcomes.kinds.")
]
LimitOption = Annotated[int, typer.Option(min=1, help="How many, newest first.")]


def _need_kind(settings: "Settings", kind: str | None) -> None:
    known = settings.outcomes.kind_names
    if kind is not None and kind not in known:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(known)}", param_hint="--kind")


@app.command("list")
def list_(
    kind: KindOption = None,
    limit: LimitOption = 50,
    phi: PhiOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest results that became labels, each with the rule by which it was read."""
    from ecgfm_clinical.operate.outcome_rows import row_of

    with opened(settings) as (read, store):
        _need_kind(read, kind)
        newest = store.outcomes.newest(kind=kind, limit=limit)
        if phi:
            opened_rows(read, store, "outcome_id", [one.outcome_id for one in newest])
    found = [row_of(one, phi=phi) for one in newest]
    shown = (
        "outcome_id",
        "source",
        "kind",
        "status",
        "comparator",
        "value",
        "upper_value",
        "unit",
        "assay",
        "observed_at",
        "rule",
    )
    write_json([one.to_json() for one in found]) if as_json else _table(found, (*shown, "patient"))


@app.command()
def show(
    outcome: Annotated[int, typer.Argument(help="Its number, as `outcomes list` gives it.")],
    phi: PhiOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """One result in all its versions: what was read, from where, by which rule, and which numbers were not taken."""
    from ecgfm_clinical.operate.outcome_rows import version_of

    with opened(settings) as (read, store):
        versions = store.outcomes.versions(outcome)
        if phi:
            opened_rows(read, store, "outcome_id", [versions[-1].outcome_id])
    found = [version_of(one, phi=phi).to_json() for one in versions]
    if as_json:
        write_json(found)
    for version in () if as_json else found:
        say("\n".join(f"{key:22} {value}" for key, value in version.items()) + "\n")


@app.command()
def refused(
    reason: Annotated[str | None, typer.Option(help="Only what was left out for this reason.")] = None,
    limit: LimitOption = 50,
    phi: PhiOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What may have been an outcome and was left out, each with its reason."""
    from ecgfm_clinical.operate.outcome_rows import row_of_left_out

    with opened(settings) as (read, store):
        left_out = store.outcomes.left_out(reason=reason, limit=limit)
        if phi:
            opened_rows(read, store, "left_out_id", [one.left_out_id for one in left_out])
    found = [row_of_left_out(one, phi=phi) for one in left_out]
    shown = ("left_out_id", "source", "kind", "reason", "code", "name", "why", "received_at", "patient")
    if as_json:
        write_json([one.to_json() for one in found])
    elif not found and reason is not None:
        say(f"nothing was left out as {reason}; `ecgfm-clinical status` counts what was, by reason")
    else:  # what was said stands in `text`, the numbers of a report in `unused`
        _table(found, (*shown, "text", "unused") if phi else shown)


@app.command()
def reread(
    apply: Annotated[bool, typer.Option("--apply", help="Store the changes; without it they are only shown.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the stored bytes by today's rules and the site's table, and show what changes; --apply stores it.

    A changed result is stored as a further version, one that is none any more as withdrawn; what a later message said
    stays.
    """
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.operate import outcomes as reading

    with opened(settings) as (told, store):
        found = list(reading.changes(store, reading.reader(told, store)))
        for change in found if apply else ():
            if change.staged:
                reading.apply(store, change, now=wiring.utc_now(), actor=liveness.operator())
        if apply and any(not change.staged for change in found):
            _stage_set_aside(told, store, {change.payload_id for change in found if not change.staged})
    if as_json:
        write_json([{"payload_id": one.payload_id, "changes": list(one.lines)} for one in found])
        return
    for change in found:
        say("\n".join(f"payload {change.payload_id}: {line}" for line in change.lines))
    say(f"{len(found)} messages say something else today{'; stored' if apply else ', nothing stored (see --apply)'}")


def _stage_set_aside(settings: "Settings", store: "Store", wanted: set[int]) -> None:
    """Messages that had seemed to hold nothing are taken in as if they came now."""
    from ecgfm_clinical import wiring

    after = 0
    while page := store.ecgs.set_aside(limit=20, after=after):
        for payload_id, received in page:
            after = payload_id
            if payload_id in wanted:
                wiring.build_ingest(settings, store, received.source)(received)


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="A .csv or .parquet file; Parquet needs the extra `parquet`.")],
    kind: KindOption = None,
    phi: PhiOption = False,
    settings: SettingsOption = None,
) -> None:
    """Write every result in its newest version as one table, with rule, time, unit and limit."""
    from ecgfm_clinical.extras import need
    from ecgfm_clinical.operate.outcomes import everything, note_exported

    will_write(to, ".csv", ".parquet")
    if to.suffix.lower() == ".parquet":
        need("parquet", "writing Parquet")
    with opened(settings) as (read, store):
        _need_kind(read, kind)
        rows = list(everything(store, kind=kind, phi=phi))
        note_exported(read, store, count=len(rows), phi=phi)
    _write(to, [one.to_json() for one in rows])
    say(f"{len(rows)} outcomes in {to}")


def _write(path: Path, rows: "Sequence[dict[str, object]]") -> None:
    if path.suffix.lower() == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
        return
    import csv

    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else ["outcome_id"])
        writer.writeheader()
        writer.writerows(rows)


def _table(rows: "Iterable[ShownOutcome | ShownLeftOut]", columns: "Sequence[str]") -> None:
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        told = row.to_json()
        table.add_row(*("" if told[name] is None else str(told[name]) for name in columns))
    console().print(table)
