"""The command line: each command a few lines, each error one sentence and a non-zero exit."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer

from ecgfm_clinical.cli import (
    alerts,
    backfill,
    care,
    cohorts,
    corrections,
    cross_validation,
    datasets,
    demo,
    demo_learning,
    documents,
    failure,
    health,
    held,
    learn,
    learning_curve,
    look,
    model,
    operate,
    outcomes,
    patients,
    pausing,
    payloads,
    pretrain,
    preview,
    registry,
    replay,
    research,
    setup,
    tokens,
    users,
)
from ecgfm_clinical.cli.common import say

app = typer.Typer(
    name="ecgfm-clinical",
    help=(
        "Score hospital ECGs with ECG-FM: DICOM and HL7 in, a SQL staging store between, HL7 results out.\n\n"
        "Start with `ecgfm-clinical demo`, or `ecgfm-clinical init DIR` and `ecgfm-clinical check`."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.command("demo")(demo.demo)
app.command("init")(setup.init)
app.command("check")(setup.check)
app.command("migrate")(setup.migrate)
app.command("run")(operate.run)
app.command("ingest")(operate.ingest)
app.command("pull")(operate.pull)
app.command("score")(operate.score)
app.command("send")(operate.send)
app.command("pause")(pausing.pause)
app.command("resume")(pausing.resume)
app.command("correct")(corrections.correct)
app.command("withdraw")(corrections.withdraw)
app.command("replay")(replay.replay)
app.command("retain")(care.retain)
app.command("keys")(care.keys)
app.command("backup")(care.backup)
app.command("audit")(care.audit)
app.command("status")(look.status)
app.command("health")(health.health)
app.command("search")(look.search)
app.command("show")(look.show)
app.command("preview")(preview.preview)
app.command("statements")(look.statements)
app.command("documents")(documents.documents)
app.command("inspect")(look.inspect)
app.command("predict")(research.predict)
app.command("embed")(research.embed)
app.command("explain")(research.explain)
app.command("retrain")(learn.retrain)
app.command("evaluate")(learn.evaluate)
app.command("cross-validate")(cross_validation.cross_validate)
app.command("learning-curve")(learning_curve.learning_curve)
app.command("drift")(learn.drift)
app.command("demo-retrain")(demo_learning.demo_retrain)
app.command("demo-feeds")(demo_learning.demo_feeds)
app.command("pretrain")(pretrain.pretrain)
model.app.command("probe")(pretrain.probe)
model.app.command("map")(pretrain.embedding_map)
model.app.command("from-checkpoint")(pretrain.from_checkpoint)
registry.add_to(model.app)
app.add_typer(backfill.app, name="backfill")
app.add_typer(model.app, name="model")
app.add_typer(datasets.app, name="dataset")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(cohorts.app, name="cohort")
app.add_typer(patients.app, name="patient")
app.add_typer(held.app, name="held")
app.add_typer(payloads.app, name="payloads")
app.add_typer(alerts.app, name="alerts")
app.add_typer(users.app, name="user")
app.add_typer(tokens.app, name="token")
app.add_typer(care.store_app, name="store")


def _say_version(asked: bool) -> None:
    if asked:
        from ecgfm.version import version

        say(f"ecgfm-clinical {version()}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Options that belong to no single command; the texts of `--help` stand above."""


@contextmanager
def _kept_to_ourselves() -> Iterator[None]:
    """What this process writes is for its user alone, and no core dump of it holds patient data or keys."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def main() -> None:
    """Entry point of `ecgfm-clinical`: whatever goes wrong is one sentence on standard error and a non-zero exit."""
    with _kept_to_ourselves():
        _run()


def _run() -> None:
    try:
        app()
    except BrokenPipeError:  # whoever read our output (`head`, `less`) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the last stop: a traceback helps nobody at three in the morning
        if os.environ.get("ECGFM_TRACEBACK"):
            raise
        print(f"error: {failure.sentence(error)}", file=sys.stderr)
        sys.exit(1)
