"""What the command line and the console do again: score one ECG and compare, read what was set aside."""

from collections.abc import Callable, Collection
from datetime import datetime

from ecgfm_clinical import scorers, wiring
from ecgfm_clinical.errors import ModelError, NotFound
from ecgfm_clinical.operate import replay
from ecgfm_clinical.pipeline.page_words import with_words
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7.senders import UNKNOWN_SENDER, Senders
from ecgfm_connectors.reading import read


def replay_ecg(settings: Settings, store: Store, ecg_id: int, *, bundle: str | None = None) -> replay.Replay:
    """Score an ECG again with the model and the runtime that scored it then, and compare. Nothing in the store changes.

    `bundle`: its folder, where the registry does not know that model. Raises ModelError, NotFound, InputError,
    PayloadError.
    """
    then = replay.last_scoring(store, ecg_id)
    predictor = scorers.open_predictor(settings, bundle or _registered(store, then.model_id), scored_by=then.runtime)
    if predictor.model_id != then.model_id:
        raise ModelError(
            f"ECG {ecg_id} was scored by {then.model_name} {then.model_version} ({then.model_id[:12]}…), not by the "
            f"model at hand ({predictor.model_id[:12]}…): name that bundle with --model"
        )
    scorer = scorers.build_scorer(settings, store, predictor)
    return replay.replay(
        store, ecg_id, read=reader(settings, store), score=lambda one: scorer.evaluate(one, now=wiring.utc_now())
    )


def read_again(
    settings: Settings,
    store: Store,
    *,
    payload_ids: Collection[int] | None = None,
    not_before: datetime | None = None,
    actor: str,
) -> replay.ReadAgain:
    """Read refused and unreadable payloads again, all or these: what today's readers can read is staged, and scored
    not before `not_before`. Raises StoreUnavailable.
    """

    def stage(received: Received, contents: Contents) -> Verdict:
        trust = wiring.trust_in(settings, received.source)
        contents = with_words(contents, wiring.words_of_pages())
        return store.intake.record(
            received, contents, now=wiring.utc_now(), actor=actor, trust=trust, not_before=not_before
        )

    return replay.read_set_aside(store, stage=stage, read=reader(settings, store), payload_ids=payload_ids)


def reader(settings: Settings, store: Store) -> Callable[[Received], Contents]:
    """Reads a stored payload as the listener or source it came by would: what its list does not name stays out."""
    allowed = {part.name: Senders(part.allowed_senders) for part in settings.listeners.hl7}

    def again(received: Received) -> Contents:
        senders = allowed.get(received.source) if received.transport == "mllp" else None
        if senders is not None and not senders.names(received.content):
            raise Refused(UNKNOWN_SENDER.code, UNKNOWN_SENDER.text)
        return read(received.content, wiring.reading_context(settings, received.source, store))

    return again


def _registered(store: Store, model_id: str) -> str | None:
    """Where the bundle with this digest lies; None (the configured one) where the registry does not know it."""
    try:
        return store.models.find(model_id).path
    except NotFound:
        return None
