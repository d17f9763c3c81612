"""The page of the newest result of one ECG, for a person who asks for it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.page.content import content_of
from ecgfm_clinical.page.drawing import draw_page, ready
from ecgfm_clinical.page.targets import targets_of

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store
    from ecgfm_clinical.staging.story_records import EcgStory


def page_of(settings: "Settings", store: "Store", story: "EcgStory") -> bytes:
    """A PDF, the same bytes that a receiver of pages gets of this result.

    Raises InputError where there is nothing to draw, and MissingExtra.
    """
    ready()
    ecg_id = story.ecg.ecg_id
    if not story.scorings:
        raise InputError(f"ECG {ecg_id} is not scored yet: it has no result page")
    if not story.ecg.ecg.signal.size:
        raise InputError(f"the signal of ECG {ecg_id} was removed by retention: its page cannot be drawn")
    scoring = story.scorings[-1]
    told = [one.kind for one in story.messages if one.kind in ("F", "C")]
    ecg = replace(story.ecg.ecg, patient=story.recording.patient)
    content = content_of(
        ecg,
        scoring,
        ecg_id=ecg_id,
        is_correction=bool(told) and told[-1] == "C",
        targets=targets_of(settings, store, scoring.model_id),
        zone=settings.site.zone,
    )
    return draw_page(content, ecg, paper=settings.site.paper)
