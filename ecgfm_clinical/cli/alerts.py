"""`alerts list | acknowledge | silence | test`: what the site is told of, and who takes care of it."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, say, settings_from, write_json

if TYPE_CHECKING:
    from ecgfm_clinical.staging.alerts import Alert

app = typer.Typer(
    name="alerts",
    no_args_is_help=True,
    help="What is wrong and who was told (`[alerts]` in the settings): list, acknowledge, silence, test the channels.",
)

NumberArgument = Annotated[int, typer.Argument(help="Number of the alert, as `alerts list` shows it.")]


@app.command("list")
def listed(
    cleared: Annotated[bool, typer.Option("--cleared", help="Also those that have cleared.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --cleared: how many, newest first.")] = 50,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open alerts with their text, age, and who takes care of them. Exits with 1 where one is open."""
    from dataclasses import asdict

    with opened(settings) as (_, store):
        found = store.alerts.newest(limit=limit) if cleared else store.alerts.current()
        failing = store.alerts.failing_channels()
    if as_json:
        write_json({"alerts": [asdict(one) for one in found], "failing_channels": failing})
    else:
        for one in found:
            say(_line(one))
        for channel, error in failing.items():
            say(f"channel {channel} does not take what it is told ({error})")
        if not found:
            say("no alert is open")
    if any(one.cleared_at is None for one in found):
        raise typer.Exit(1)


@app.command("acknowledge")
def acknowledge(
    number: NumberArgument, reason: asking.NeededReason, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """Say that you take care of it: it is not escalated. Your name and reason are kept and in the audit trail."""
    from ecgfm_clinical import liveness, wiring

    with opened(settings) as (read, store):
        actor = liveness.operator(read.site.operator)
        done = store.alerts.acknowledge(number, reason=reason, now=wiring.utc_now(), actor=actor)
    _tell(done, as_json)


@app.command("silence")
def silence(
    number: NumberArgument,
    reason: asking.NeededReason,
    hours: Annotated[float, typer.Option("--hours", min=0.1, max=24 * 30, help="For how long.")] = 4.0,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell nothing more of this condition and part for a time, such as during maintenance."""
    from ecgfm_clinical import liveness, wiring

    with opened(settings) as (read, store):
        now, actor = wiring.utc_now(), liveness.operator(read.site.operator)
        done = store.alerts.silence(number, until=now + timedelta(hours=hours), reason=reason, now=now, actor=actor)
    _tell(done, as_json)


@app.command("test")
def trial_of_channels(
    channel: Annotated[str, typer.Argument(help="Name of one channel; every one if none is given.")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell each channel a word of trial, and say which took it. Exits with 1 where one did not."""
    from ecgfm_clinical import wiring
    from ecgfm_clinical.alerting import trial
    from ecgfm_clinical.errors import InputError

    read = settings_from(settings)
    names = [part.name for part in read.alerts.channels]
    if not names:
        raise InputError("the settings name no channel: add [[alerts.email]], [[alerts.webhook]], … to settings.toml")
    if channel and channel not in names:
        raise InputError(f"no channel named {channel}; there are {', '.join(names)}")
    found = trial.tell(read, [channel] if channel else names, now=wiring.utc_now())
    if as_json:
        write_json(found)
    for name, error in () if as_json else found.items():
        say(f"{name}: {'took it' if error is None else f'did not take it ({error})'}")
    if any(error is not None for error in found.values()):
        raise typer.Exit(1)


def _tell(one: "Alert", as_json: bool) -> None:
    from dataclasses import asdict

    write_json(asdict(one)) if as_json else say(_line(one))


def _line(one: "Alert") -> str:
    since = f"since {one.opened_at:%Y-%m-%d %H:%M} UTC"
    parts = [f"{one.alert_id}: {one.severity} {one.condition}", one.subject, since]
    if one.cleared_at is not None:
        parts.append(f"cleared {one.cleared_at:%Y-%m-%d %H:%M}")
    elif one.silenced_until is not None:
        parts.append(f"silenced until {one.silenced_until:%Y-%m-%d %H:%M} by {one.acknowledged_by}: {one.reason}")
    elif one.acknowledged_by is not None:
        parts.append(f"taken by {one.acknowledged_by}: {one.reason}")
    return f"{', '.join(filter(None, parts))}\n   {one.text}"
