"""Which model is live, and who may change that: `model list`, `promote`, `rollback`, `history`, `card`, `shadow`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, opened, will_write, write_json
from ecgfm_clinical.cli.recalibration import recalibrate, shift

if TYPE_CHECKING:
    from ecgfm_clinical.staging.model_records import ModelRow
    from ecgfm_clinical.staging.registry import Registry

ModelArgument = Annotated[str, typer.Argument(help="Name, model_id or its beginning, as `model list` shows them.")]
BundleArgument = Annotated[
    str, typer.Argument(help="Bundle folder, or registered model by name, model_id or its beginning.")
]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the history for good.")]


def list_models(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Every registered model, newest first: live, shadow, candidate or retired, and how its heads were judged."""
    from rich.table import Table

    with opened(settings) as (_, store):
        registry = store.models
        standing = registry.states()
        told = [_told(registry, row, standing[row.model_id]) for row in registry.models()]
    if as_json:
        write_json([asdict(one) for one in told])
        return
    shown = Table("model", "state", "name", "version", "heads", "judged")
    for one in told:
        judged = ", ".join(f"{head} {'passed' if own.passed else 'refused'}" for head, own in one.judged.items())
        shown.add_row(one.model_id[:12], one.state, one.name, one.version, ", ".join(one.heads), judged)
    console().print(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """The newest judgement of one head."""

    at: datetime
    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """One model as `model list` tells it."""

    model_id: str
    name: str
    version: str
    state: str
    demo: bool
    heads: tuple[str, ...]
    path: str
    parent_id: str | None
    registered_at: datetime
    judged: dict[str, _Judged]


def _told(registry: "Registry", row: "ModelRow", state: str) -> _Listed:
    newest: dict[str, _Judged] = {}
    for one in registry.judgements(model_id=row.model_id):
        newest.setdefault(one.head, _Judged(at=one.at, passed=one.passed, reasons=one.reasons))
    return _Listed(
        model_id=row.model_id,
        name=row.name,
        version=row.version,
        state=state,
        demo=row.demo,
        heads=tuple(sorted(row.heads)),
        path=row.path,
        parent_id=row.parent_id,
        registered_at=row.registered_at,
        judged=newest,
    )


def promote(
    model: BundleArgument,
    reason: ReasonOption = "",
    drop_heads: Annotated[
        bool, typer.Option("--drop-heads", help="Let heads of the live model that the candidate lacks fall silent.")
    ] = False,
    settings: SettingsOption = None,
) -> None:
    """Make a candidate live. Running workers pick it up with their next batch; exits with 1 where the gate refuses."""
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.learning import governance, models

    with opened(settings) as (read, store):
        registry = store.models
        bundle = models.chosen(read, registry, model)  # opened: one that cannot be must not become live
        now = wiring.utc_now()
        candidate = governance.model_row(bundle, path=models.registered_path(read, bundle), now=now)
        if registry.live() is None:
            models.live_model(read, registry, now=now, actor=liveness.operator(read.site.operator))
        governance.promote(
            registry,
            candidate,
            now=wiring.utc_now(),
            actor=liveness.operator(read.site.operator),
            reason=reason,
            drop_heads=drop_heads,
        )
    console().print(f"{candidate.name} {candidate.version} ({candidate.model_id[:12]}) is live")


def rollback(reason: ReasonOption = "", settings: SettingsOption = None) -> None:
    """Make the model live again that was live before. Needs no gate."""
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.learning import governance, models

    with opened(settings) as (read, store):
        registry = store.models
        row = governance.previous(registry)
        models.opened(read, row)
        governance.rollback(registry, now=wiring.utc_now(), actor=liveness.operator(read.site.operator), reason=reason)
    console().print(f"{row.name} {row.version} ({row.model_id[:12]}) is live again")


def history(
    at: Annotated[
        datetime | None, typer.Option(help="What was live at this moment (site's time zone where none is given).")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who did what with which model, from a table that only grows; or what was live at one moment."""
    from ecgfm_clinical.errors import NotFound

    with opened(settings) as (read, store):
        registry = store.models
        names = {row.model_id: f"{row.name} {row.version}" for row in registry.models()}
        if at is None:
            acts = [
                _Act(
                    at=event.at,
                    action=event.action,
                    model_id=event.model_id,
                    actor=event.actor,
                    reason=event.reason,
                    model=names[event.model_id],
                )
                for event in registry.history()
            ]
        else:
            moment = at if at.tzinfo else at.replace(tzinfo=read.site.zone)
            row = registry.live(at=moment)
            if row is None:
                raise NotFound(f"no model was live at {moment.isoformat()}")
            acts = [_Act(at=moment, action="live", model_id=row.model_id, model=names[row.model_id])]
    if as_json:
        write_json([{name: value for name, value in asdict(one).items() if value is not None} for one in acts])
        return
    for one in acts:
        words = (f"{one.at:%Y-%m-%d %H:%M:%S %Z}", one.action, one.model, one.model_id[:12])
        console().print("  ".join([*words, one.actor or "", one.reason or ""]).rstrip(), soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """What somebody did with a model, or that it was live at a moment."""

    at: datetime
    action: str
    model_id: str
    actor: str | None = None  #: None where it was live
    reason: str | None = None
    model: str  #: name and version


def card(
    model: ModelArgument,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if not given.")] = None,
    settings: SettingsOption = None,
) -> None:
    """The card of a model: purpose, data, figures by subgroup, limits; with the source attributes of US HTI-1."""
    import sys

    from ecgfm_clinical.learning import models
    from ecgfm_clinical.learning.report.card import card as render

    will_write(out)
    if (Path(model) / "bundle.json").is_file():
        text = render(models.read_bundle(Path(model)))
    else:
        with opened(settings) as (read, store):
            text = render(models.chosen(read, store.models, model))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


def pack(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder for governance.md and governance.html.")],
    settings: SettingsOption = None,
) -> None:
    """What a committee reads before a model goes live: source attributes of US HTI-1, model facts, TRIPOD+AI, change
    record, what was live when. Fields that only a person can fill say so, and are counted.
    """
    if not out.is_dir():
        will_write(out)
    from ecgfm_clinical.learning import models
    from ecgfm_clinical.learning.documents import write_text
    from ecgfm_clinical.learning.report import governance_pack

    with opened(settings) as (read, store):
        bundle = models.chosen(read, store.models, model)
        verdicts = store.models.judgements(model_id=bundle.model_id)
        made = governance_pack.pack(bundle, store.models.history(), verdicts)
    write_text(out / "governance.md", governance_pack.markdown(made))
    write_text(out / "governance.html", governance_pack.html(made))
    out_of = console()
    out_of.print(f"{out / 'governance.html'}\n{len(made.to_fill)} fields are to be filled by a person:", soft_wrap=True)
    for field in made.to_fill:
        out_of.print(f"  {field}", soft_wrap=True)


def shadow(
    model: Annotated[
        str | None, typer.Argument(help="Candidate that answers live ECGs unheard; none to see how it did.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the shadow.")] = False,
    reason: ReasonOption = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a candidate answer live ECGs; its results are stored and never sent.

    Without a name: how it compares so far.
    """
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.errors import NotFound
    from ecgfm_clinical.learning import models
    from ecgfm_clinical.pipeline.shadow import compared

    with opened(settings) as (read, store):
        registry, now = store.models, wiring.utc_now()
        current = registry.shadow()
        if model is not None:
            row = registry.find(model)
            models.opened(read, row)
            registry.act("shadow-on", row.model_id, now=now, actor=liveness.operator(read.site.operator), reason=reason)
            console().print(f"{row.name} {row.version} answers live ECGs in the shadow from now on")
            return
        if current is None:
            raise NotFound("no model is in the shadow; name a candidate to put it there")
        if off:
            registry.act(
                "shadow-off", current[0].model_id, now=now, actor=liveness.operator(read.site.operator), reason=reason
            )
            console().print(f"{current[0].name} {current[0].version} answers no more")
            return
        told = compared(store.shadow_answers, current[0])
    if as_json:
        write_json(asdict(told))
        return
    console().print(f"{told.model}: {told.ecgs} live ECGs answered")
    for one in told.labels:
        console().print(
            f"  {one.head} {one.label}: {one.pairs} pairs, mean live {one.mean_live:.3f}, mean shadow "
            f"{one.mean_shadow:.3f}, correlation {one.correlation:.3f}"
        )


def add_to(app: typer.Typer) -> None:
    """Put these commands under `ecgfm-clinical model`."""
    app.command("list")(list_models)
    app.command("promote")(promote)
    app.command("rollback")(rollback)
    app.command("history")(history)
    app.command("card")(card)
    app.command("pack")(pack)
    app.command("shadow")(shadow)
    app.command("recalibrate")(recalibrate)
    app.command("shift")(shift)
