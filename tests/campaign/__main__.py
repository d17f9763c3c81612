"""`python -m tests.campaign --kills 500 [--store URL] [--write FILE]`: run a campaign, report what held."""

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tests.campaign.driver import Campaign
from tests.campaign.verdict import Verdict


def campaign(
    kills: Annotated[int, typer.Option(help="How many processes die.")] = 500,
    store: Annotated[str, typer.Option(help="URL of an empty database; an SQLite file of its own if not given.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed chooses the same points and misbehaviour.")] = 1,
    pace: Annotated[float, typer.Option(help="Seconds between two ECGs of one cart.")] = 0.25,
    write: Annotated[Path | None, typer.Option(help="Append the report to this file.")] = None,
) -> None:
    """Kill processes at named points and anywhere, misbehave as receiver, then check that nothing was lost or
    doubled.
    """
    with tempfile.TemporaryDirectory(prefix="ecgfm-campaign-") as folder:
        url = store or f"sqlite:///{folder}/store.db"
        one = Campaign(folder=Path(folder), store_url=url, kills=kills, seed=seed, pace=pace, tell=_tell)
        started = time.monotonic()
        verdict = one.run()
    report = render(one, verdict, seconds=time.monotonic() - started)
    sys.stdout.write("\n" + report)
    if write is not None:
        with write.open("a", encoding="utf-8") as file:
            file.write("\n" + report)
    if verdict.problems or one.unexpected:
        raise typer.Exit(1)


def _tell(deaths: int) -> None:
    sys.stderr.write(f"\r{deaths} killed ")
    sys.stderr.flush()


def render(one: Campaign, verdict: Verdict, *, seconds: float) -> str:
    """The report as Markdown."""
    kind = one.store_url.split(":")[0].split("+")[0]
    lines = [
        f"## {kind}, {one.deaths.total()} kills, seed {one.seed}, {datetime.now(UTC).date().isoformat()}",
        "",
        _sentence(verdict, seconds),
        "",
        f"Problems: {'none' if not verdict.problems and not one.unexpected else ''}",
        *(f"- {problem}" for problem in (*verdict.problems, *one.unexpected)),
        "",
        "| done meanwhile | times |",
        "|---|---|",
        *(f"| {act} | {times} |" for act, times in sorted(one.acts.items())),
        "",
        "| killed | times |",
        "|---|---|",
        *(f"| {point} | {times} |" for point, times in sorted(one.deaths.items())),
        "",
    ]
    return "\n".join(lines)


def _sentence(verdict: Verdict, seconds: float) -> str:
    return (
        f"{seconds / 60:.0f} min. {verdict.acknowledged} ECGs acknowledged to their senders, {verdict.staged} in the "
        f"store, {verdict.scored} scored; {verdict.messages} result messages, delivered {verdict.deliveries} times "
        f"({verdict.repeats} byte-identical repeats); {verdict.objects} objects in the PACS, {verdict.stored_again} "
        f"times given again under the same UID; {verdict.events} audit entries."
    )


if __name__ == "__main__":
    typer.run(campaign)
