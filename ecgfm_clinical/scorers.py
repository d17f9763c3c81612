"""The model and the scorers that use it, built from the settings: live, in the shadow, one on each GPU."""

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ecgfm_clinical import log
from ecgfm_clinical.bundles import bundle_path
from ecgfm_clinical.errors import ModelError, SettingsError
from ecgfm_clinical.extras import need
from ecgfm_clinical.liveness import worker_name
from ecgfm_clinical.settings import HEADS, Model, Settings
from ecgfm_clinical.wiring import Clock, open_store, utc_now

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ecgfm.predictor import Predictor
    from ecgfm_clinical.monitoring.meters import Meters
    from ecgfm_clinical.pipeline.explaining import Explaining, LookedAt
    from ecgfm_clinical.pipeline.live import LiveScorer, ShadowScorer
    from ecgfm_clinical.pipeline.scoring import Scorer, Scores
    from ecgfm_clinical.staging.model_records import ModelRow
    from ecgfm_clinical.staging.records import StagedEcg
    from ecgfm_clinical.staging.store import Store

#: A scorer goes on; the next sign is due `within` so many seconds.
Sign = Callable[..., None]


def open_predictor(settings: Settings, bundle: str | None = None, *, scored_by: str = "") -> "Predictor":
    """The model, resident, by the runtime of the settings or by the one that a score names in `scored_by`.

    Raises MissingExtra; ModelError where the bundle is missing or damaged, or the runtime is not on this machine.
    """
    need("score", "the model")
    from ecgfm.errors import EcgFmError
    from ecgfm.predictor import Predictor
    from ecgfm_clinical.shipped.measuring import shipped_recordings

    path = bundle_path(settings, bundle)
    model = _as_scored(settings.model, scored_by)
    if extra := model.runtime_extra:
        need(extra, f"runtime {model.runtime}")
    try:
        return Predictor.from_bundle(
            path,
            runtime=model.runtime,
            device=model.device,
            threads=model.threads,
            cache=settings.resolve(model.cache) if model.cache else None,
            recordings=shipped_recordings,
            shape=model.shape,
        )
    except EcgFmError as error:
        needed = f"the score was computed by {scored_by}: " if scored_by else ""
        raise ModelError(f"{needed}{error}") from error


def _as_scored(model: Model, scored_by: str) -> Model:
    """These settings with the runtime, device and shape that a score names; as they are where it names none of ours."""
    from ecgfm.runtimes.engines import EngineName

    then = EngineName.parse(scored_by)
    if then is None:
        return model
    named = {"runtime": then.runtime, "device": then.on, "shape": then.shape}
    return Model.model_validate(model.model_dump() | named)


def build_scorer(
    settings: Settings,
    store: "Store",
    predictor: "Scores",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    role: str = "score",
    history: bool = False,
    sign: Sign = lambda **_: None,
) -> "Scorer":
    """A scorer with this model; `role` is the name under which it works; `history`: only of what was put in as that;
    `sign`: called as it goes on.
    """
    from ecgfm_clinical.pipeline.scoring import Scorer

    return Scorer(
        store,
        predictor,
        rules=settings.rules,
        worker=worker_name(role),
        clock=clock,
        batch_size=settings.scoring.batch_size,
        lease=settings.scoring.lease,
        max_attempts=settings.scoring.max_attempts,
        jitter=random.random,
        meters=meters,
        processes=settings.scoring.workers,
        open_store=partial(open_store, settings),
        history=history,
        hang_seconds=settings.scoring.hang_seconds,
        sign=sign,
    )


def why_not_live(settings: Settings, store: "Store", model_id: str, *, clock: Clock = utc_now) -> str:
    """Why a score by this model is none of the store's; empty where it is the live one. Raises ModelError."""
    from ecgfm_clinical.learning.models import live_model

    live = live_model(settings, store.models, now=clock(), actor=worker_name("score"))
    return (
        "" if live.model_id == model_id else f"the live model is {live.model_id[:12]}, and this run's {model_id[:12]}"
    )


def scoring_devices(settings: Settings) -> Iterator[tuple[str, str]]:
    """(role, device) of each scorer of a service: one, or one on each GPU where there are several and none is named."""
    from ecgfm.devices import gpus

    found = gpus() if settings.model.device in ("auto", "cuda") else 0
    yield "score", f"{settings.model.device}" if found < 2 else "cuda:0"
    for index in range(1, found):
        yield f"score-{index}", f"cuda:{index}"


def build_live_scorer(
    settings: Settings,
    store: "Store",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    role: str = "score",
    device: str | None = None,
    sign: Sign = lambda **_: None,
) -> "LiveScorer":
    """A scorer that follows promotions; the settings' own bundle is installed where it was not. Raises ModelError.

    `role` is the name under which it works, `device` where it computes, if not where the settings say, `sign` is
    called as it goes on.
    """
    from ecgfm_clinical.learning.models import live_model
    from ecgfm_clinical.pipeline.live import LiveScorer

    registry = store.models
    live_model(settings, registry, now=clock(), actor=worker_name("score"))
    refuse_unknown_heads(settings, (head for row in registry.models() for head in row.heads))
    if device is not None:
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"device": device})})
    return LiveScorer(registry, partial(scorer_of, settings, store, clock=clock, meters=meters, role=role, sign=sign))


def refuse_unknown_heads(settings: Settings, heads: Iterable[str]) -> None:
    """Raise SettingsError where `[heads.NAME]` names no head:
    a misspelt one would leave the real one to its defaults.
    """
    known = {*HEADS, *heads}
    if unknown := sorted(set(settings.heads) - known):
        raise SettingsError(
            f"heads.{', heads.'.join(unknown)}: no model at hand has a head of that name; there are "
            f"{', '.join(sorted(known))}"
        )


def build_shadow_scorer(
    settings: Settings, store: "Store", *, clock: Clock = utc_now, sign: Sign = lambda **_: None
) -> "ShadowScorer":
    """The candidate that answers live ECGs without being heard; `sign` is called as it goes on."""
    from ecgfm_clinical.pipeline.live import ShadowScorer

    return ShadowScorer(
        store.models,
        store.shadow_answers,
        partial(scorer_of, settings, store, clock=clock, sign=sign),
        worker=worker_name("shadow"),
        clock=clock,
        batch_size=settings.scoring.batch_size,
    )


def build_explaining(settings: Settings, store: "Store", *, clock: Clock = utc_now) -> "Explaining":
    """What answers where a model looked."""
    from ecgfm_clinical.pipeline.explaining import Explaining

    return Explaining(
        store,
        partial(open_looked_at, settings, store),
        worker=worker_name("saliency"),
        clock=clock,
        lease=settings.scoring.lease,
        max_attempts=settings.scoring.max_attempts,
        jitter=random.random,
    )


def open_looked_at(settings: Settings, store: "Store", model_id: str) -> "LookedAt":
    """The network of a registered model, on the CPU. Raises ModelError."""
    from ecgfm.checkpoint import Bundle
    from ecgfm.errors import EcgFmError
    from ecgfm.explain import explain_leads

    row = next((one for one in store.models.models() if one.model_id == model_id), None)
    if row is None:
        raise ModelError(f"model {model_id[:12]}, which gave this answer, is not registered in this store")
    try:
        bundle = Bundle.read(bundle_path(settings, row.path))
    except EcgFmError as error:
        raise ModelError(f"{row.name} {row.version}, which gave this answer, cannot be opened: {error}") from error
    if bundle.model_id != model_id:
        raise ModelError(f"{row.path} holds another model than {model_id[:12]}, which gave this answer")
    network = bundle.network().fold().eval().requires_grad_(False)

    def looked_at(one: "StagedEcg", *, head: str, label: str) -> "NDArray[np.float64]":
        return explain_leads(network, one.ecg.signal, one.ecg.sampling_rate, head=head, label=label).weights

    return looked_at


def scorer_of(
    settings: Settings,
    store: "Store",
    row: "ModelRow",
    *,
    clock: Clock = utc_now,
    meters: "Meters | None" = None,
    role: str = "score",
    sign: Sign = lambda **_: None,
) -> "Scorer":
    """A scorer with the bundle of a registered model.

    Raises ModelError, also where another bundle lies in its place.
    """
    predictor = open_predictor(settings, row.path)
    if predictor.model_id != row.model_id:
        raise ModelError(f"{row.path} holds another model than {row.model_id[:12]} as registered; put that bundle back")
    _note_runtime(store, predictor, now=clock(), role=role)
    return build_scorer(settings, store, predictor, clock=clock, meters=meters, role=role, sign=sign)


def _note_runtime(store: "Store", predictor: "Predictor", *, now: datetime, role: str) -> None:
    """A change of the runtime by which this host scores with a model is an event, in the audit trail and in the log."""
    worker = worker_name(role)
    before = store.models.runs_on(
        predictor.model_id,
        predictor.runtime,
        host=worker.partition(":")[0] + role.removeprefix("score"),  # two GPUs of a host may be of two kinds
        why=str(predictor.choice or "named by the settings"),
        now=now,
        actor=worker,
    )
    if before:
        log.event("model.runtime-changed", model=predictor.model_id[:12], runtime=predictor.runtime, before=before)
