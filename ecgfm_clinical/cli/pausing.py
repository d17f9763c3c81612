"""`pause` and `resume`: stop a part of the work on purpose, and let it go on."""

from typing import Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, say, write_json

KindArgument = Annotated[str, typer.Argument(help="everything, source, destination or head.")]
NameArgument = Annotated[str, typer.Argument(help="Which source, destination or head.")]


def pause(
    kind: KindArgument,
    reason: asking.NeededReason,
    name: NameArgument = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a pulled source, a destination, the scoring of a head, or everything, until `resume`.

    Every process obeys within seconds, and after a restart too. ECGs are received and acknowledged as ever. Your name
    and reason are kept, in the audit trail, and shown by `status` and on every page of the console.
    """
    _act(kind, name, settings, reason=reason, pauses=True, as_json=as_json)


def resume(
    kind: KindArgument,
    reason: asking.NeededReason,
    name: NameArgument = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let go on what was paused: what waited follows at once, in its order."""
    _act(kind, name, settings, reason=reason, pauses=False, as_json=as_json)


def _act(kind: str, name: str, settings: SettingsOption, *, reason: str, pauses: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.operate import pausing

    with opened(settings) as (read, store):
        part = pausing.part_of(read, store, kind, name)
        act = store.pauses.pause if pauses else store.pauses.resume
        done = act(part, reason=reason, now=wiring.utc_now(), actor=liveness.operator(read.site.operator))
    if as_json:
        write_json(asdict(done))
    else:
        say(f"{pausing.sentence(done)}\n{pausing.follows(part)}" if pauses else f"{part} goes on")
