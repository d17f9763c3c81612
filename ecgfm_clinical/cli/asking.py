"""What commands ask of the person who types them: whom they mean, and whether it shall be done."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.patient import Identifier

ReasonOption = Annotated[str, typer.Option(help="Why, for the audit trail; without patient data.")]


def _said(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("say why in a few words: whoever reads the audit trail later has nothing else")
    return reason


NeededReason = Annotated[
    str, typer.Option("--reason", help="Why, for the audit trail; without patient data.", callback=_said)
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it without asking; what is told then names nobody.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Take a number that no ECG, outcome or ADT message has ever named.")
]
PhiOption = Annotated[bool, typer.Option("--phi", help="Show identifying values.")]


def number(what: str) -> "Identifier":
    """AUTHORITY|TYPE|NUMBER from standard input: an argument is seen by everyone on the machine and kept by shells."""
    from ecgfm_clinical.errors import InputError
    from ecgfm_connectors.patient import Identifier

    parts = [part.strip() for part in typer.prompt(f"AUTHORITY|TYPE|NUMBER {what}", err=True).split("|")]
    if len(parts) != 3 or not all(parts):
        raise InputError(
            "a patient is AUTHORITY|TYPE|NUMBER, all three, as in TESTHOSP|MR|1234567: "
            "a bare number may be somebody else's"
        )
    return Identifier(authority=parts[0], type=parts[1].upper(), value=parts[2])


def known_number(what: str, settings: "Settings", store: "Store", *, force: bool) -> "Identifier":
    """The same, of somebody who was heard of here. Raises InputError unless `force`: it may be a typing error."""
    from ecgfm_clinical.operate.people import refuse_unheard_of

    asked = number(what)
    if not force:
        refuse_unheard_of(store, settings, asked)
    return asked


def agreed(*, yes: bool) -> None:
    """Go on only after a yes."""
    if not yes and not typer.confirm("Do it?", default=False, err=True):
        raise typer.Exit(1)


def opened_record(settings: "Settings", store: "Store", ecg_ids: "Sequence[int]") -> None:
    """That somebody is about to see who these recordings belong to goes into the audit trail first."""
    from ecgfm_clinical import liveness, wiring

    actor = liveness.operator(settings.site.operator)
    store.audit_spool.note("patient.opened", ecg_ids=ecg_ids, now=wiring.utc_now(), actor=actor)


def opened_rows(settings: "Settings", store: "Store", kind: str, numbers: "Sequence[int]") -> None:
    """The same of rows beside the ECGs: `kind` is outcome_id, left_out_id or document_id."""
    from ecgfm_clinical import liveness, wiring

    actor = liveness.operator(settings.site.operator)
    store.audit_spool.note_each("patient.opened", kind, numbers, now=wiring.utc_now(), actor=actor)
