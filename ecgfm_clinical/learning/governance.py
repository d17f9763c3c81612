"""Who may make which model live: the gate's verdicts, promotion, rollback,
and the path from the registry to a bundle.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfm.checkpoint import Bundle
from ecgfm.errors import EcgFmError
from ecgfm.finetuning.candidate import Model, fingerprints
from ecgfm_clinical.errors import GateRefused, LearningError, ModelError, NotFound
from ecgfm_clinical.staging.model_records import HeadVerdict, ModelRow
from ecgfm_clinical.staging.registry import MAKES_LIVE, Registry

if TYPE_CHECKING:  # a machine that only scores goes without what trains
    from ecgfm_clinical.learning.judged import Judged


def model_row(bundle: Bundle, *, path: str, now: datetime) -> ModelRow:
    """A bundle as the registry keeps it; `path` is written as in the setting model.bundle."""
    lineage = bundle.provenance.lineage
    return ModelRow(
        model_id=bundle.model_id,
        name=bundle.name,
        version=bundle.version,
        path=path,
        demo=bundle.demo,
        heads=fingerprints(Model.of(bundle)),
        parent_id=lineage[-1].model_id if lineage else None,
        registered_at=now,
    )


def keep(registry: Registry, judged: "Judged", *, path: str, now: datetime, actor: str) -> None:
    """A judged bundle becomes a candidate, and the gate's verdict on its head is written down."""
    row = model_row(judged.bundle, path=path, now=now)
    registry.register(row, now=now, actor=actor, reason=f"judged for {judged.head}")
    verdict = HeadVerdict(
        model_id=judged.bundle.model_id,
        head=judged.head,
        fingerprint=row.heads[judged.head],
        champion_id=None if judged.champion is None else judged.champion.model_id,
        cohort_digest=judged.cohort.digest,
        reasons=judged.judgement.refusals,
        report=str(judged.report),
    )
    registry.judge(verdict, now=now, actor=actor)


def keep_shifted(
    registry: Registry, base: Bundle, bundle: Bundle, head: str, *, path: str, now: datetime, actor: str
) -> None:
    """A bundle that differs from its base by a head's prior shift becomes a candidate.

    The shift changes neither the order of ECGs nor who is positive, so the head stands as it stood in the base: passed
    where it is live there, else as it was last judged.
    """
    row, live = model_row(bundle, path=path, now=now), registry.live()
    registry.register(row, now=now, actor=actor, reason=f"prior shift of {head}")
    known = next((one for one in registry.models() if one.model_id == base.model_id), None)
    before = (known or model_row(base, path=path, now=now)).heads[head]  # a registered one was computed once
    judged = next((one for one in registry.judgements(fingerprint=before) if one.head == head), None)
    in_use = live is not None and live.heads.get(head) == before
    if not in_use and judged is None:
        return
    verdict = HeadVerdict(
        model_id=bundle.model_id,
        head=head,
        fingerprint=row.heads[head],
        champion_id=live.model_id if live is not None and in_use else judged.champion_id if judged else None,
        cohort_digest=judged.cohort_digest if judged else "",
        reasons=() if in_use or judged is None else judged.reasons,
        report=judged.report if judged else "",
    )
    registry.judge(verdict, now=now, actor=actor)


def open_bundle(row: ModelRow, path: Path) -> Bundle:
    """The bundle of a registered model.

    Raises ModelError where it is gone, damaged, or another one lies in its place.
    """
    try:
        bundle = Bundle.read(path)
    except EcgFmError as error:
        raise ModelError(f"model {row.model_id[:12]} ({row.name} {row.version}) cannot be opened: {error}") from error
    if bundle.model_id != row.model_id:
        raise ModelError(
            f"{path} holds model {bundle.model_id[:12]}, not {row.model_id[:12]} as registered; put the registered "
            "bundle back"
        )
    return bundle


def check_promotion(registry: Registry, candidate: ModelRow, *, drop_heads: bool = False) -> None:
    """Raises GateRefused, naming every rule that does not hold.

    A head that the live model has in the very same form needs no judgement; every other one needs a passed judgement
    against the model that is live now (or against one in which this head was the same). A head that would fall silent
    is a refusal, unless the person says so.
    """
    live = registry.live()
    reasons = []
    for head, fingerprint in candidate.heads.items():
        if live is not None and live.heads.get(head) == fingerprint:
            continue
        reasons += _head_reasons(registry, head, fingerprint, live)
    if live is not None and not drop_heads:
        for head in live.heads:
            if head not in candidate.heads:
                reasons.append(
                    f"{head} would fall silent: the candidate lacks it; `retrain {head} --from "
                    f"{candidate.model_id[:12]}` gives it one on the same encoder, --drop-heads gives it up"
                )
    if reasons:
        raise GateRefused(f"{candidate.name} {candidate.version} is not promoted: " + "; ".join(reasons))


def _head_reasons(registry: Registry, head: str, fingerprint: str, live: ModelRow | None) -> list[str]:
    judged = [row for row in registry.judgements(fingerprint=fingerprint) if row.head == head]
    if not judged:
        return [f"{head} was never judged; run `ecgfm-clinical evaluate {head} --model …`"]
    last = judged[0]
    if not last.passed:
        return [f"{head}: {reason}" for reason in last.reasons]
    if live is not None and head in live.heads and not _same_champion(registry, last.champion_id, head, live):
        return [f"{head} was judged against another model than the live one; run `ecgfm-clinical evaluate` again"]
    return []


def _same_champion(registry: Registry, champion_id: str | None, head: str, live: ModelRow) -> bool:
    if champion_id == live.model_id:
        return True
    known = {row.model_id: row for row in registry.models()}
    return champion_id in known and known[champion_id].heads.get(head) == live.heads[head]


def promote(
    registry: Registry, candidate: ModelRow, *, now: datetime, actor: str, reason: str, drop_heads: bool = False
) -> None:
    """A person makes a candidate live; it is registered where it was not. Raises GateRefused; LearningError where it is
    live already."""
    live = registry.live()
    if live is not None and live.model_id == candidate.model_id:
        raise LearningError(f"{candidate.name} {candidate.version} is live already")
    check_promotion(registry, candidate, drop_heads=drop_heads)
    registry.register(candidate, now=now, actor=actor, reason="promoted from its folder")
    registry.act("promoted", candidate.model_id, now=now, actor=actor, reason=reason)


def previous(registry: Registry) -> ModelRow:
    """The model that a rollback makes live: repeated, it goes further back, never to and fro. Raises NotFound."""
    stack: list[str] = []
    for event in registry.history():
        if event.action == "rolled-back":
            stack = stack[: stack.index(event.model_id) + 1] if event.model_id in stack else [event.model_id]
        elif event.action in MAKES_LIVE and (not stack or stack[-1] != event.model_id):
            stack.append(event.model_id)
    if len(stack) < 2:
        raise NotFound("no other model was live before this one; nothing to roll back to")
    return registry.find(stack[-2])


def rollback(registry: Registry, *, now: datetime, actor: str, reason: str) -> ModelRow:
    """Make the model live again that was live before; returns it.

    Needs no gate: taking back must always be possible.
    """
    row = previous(registry)
    registry.act("rolled-back", row.model_id, now=now, actor=actor, reason=reason)
    return row
