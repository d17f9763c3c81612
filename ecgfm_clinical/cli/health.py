"""`health`: one question, one exit code, for systemd, containers and monitors."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, say, settings_from, write_json

if TYPE_CHECKING:
    from ecgfm_clinical.monitoring.probe import Verdict


def health(
    ready: Annotated[bool, typer.Option("--ready", help="Whether it can work, not only whether it lives.")] = False,
    nagios: Annotated[
        bool, typer.Option("--nagios", help="The whole installation, as Nagios and Checkmk read it: 0, 1, 2 or 3.")
    ] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whether the service here lives, or with --ready can work. Exits with 0 or 1.

    It asks the port of `[monitoring]`, or, where none is set, the store for a process of this host. With --nagios: one
    line with figures; 0 all well, 1 something needs a person, 2 ECGs or results do not move, 3 the store is silent.
    """
    from ecgfm_clinical.monitoring import probe

    if nagios:
        _nagios(settings)
    read = settings_from(settings)
    if read.monitoring.port:
        verdict: Verdict = probe.ask(read.monitoring.host, read.monitoring.port, "/readyz" if ready else "/healthz")
    else:
        from ecgfm_clinical import liveness, wiring

        with opened(settings) as (_, store):
            verdict = probe.look(store, now=wiring.utc_now(), here=liveness.is_here)
    if as_json:
        write_json({"well": verdict.well, "reasons": list(verdict.reasons)})
    else:
        say("ok" if verdict.well else "\n".join(verdict.reasons))
    if not verdict.well:
        raise typer.Exit(1)


def _nagios(settings: "SettingsOption") -> None:
    """Ends the process with the state's exit code."""
    from ecgfm_clinical import wiring
    from ecgfm_clinical.errors import ClinicalError
    from ecgfm_clinical.monitoring import nagios

    try:
        with opened(settings) as (read, store):
            state = nagios.state_of(store, now=wiring.utc_now(), limits=read.attention)
    except ClinicalError as error:
        say(f"ECGFM UNKNOWN - {error}")
        sys.exit(3)
    say(state.line)
    sys.exit(state.code)
