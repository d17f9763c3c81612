"""The drawing of an ECG as an address asks for it: SVG, PNG or PDF.

The server's drawing is the truth; the script of the page only measures on it.
"""

import io
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from starlette.responses import Response

from ecgfm_clinical.ecg import svg
from ecgfm_clinical.ecg.overlays import LeadWeights
from ecgfm_clinical.ecg.remarks import band
from ecgfm_clinical.ecg.sheet import Sheet, compose, footer
from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.extras import have, need
from ecgfm_clinical.staging.saliencies import LARGEST, STEPS
from ecgfm_clinical.web.one_ecg import is_on_a_page, note_opened, number_of, others
from ecgfm_clinical.web.wishes import Looked, Wish
from ecgfm_clinical.wording import Say, in_english
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.beat_weights import BeatWeight
    from ecgfm_clinical.staging.records import StagedEcg
    from ecgfm_clinical.staging.story_records import EcgStory, EcgSummary
    from ecgfm_clinical.web.visit import Visit
    from ecgfm_connectors.ecg import Ecg

TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".pdf": "application/pdf"}


def picture(visit: "Visit") -> Response:
    """The drawing alone. As part of a page it belongs to the opening that the page noted; a file to take along is an
    opening of its own.
    """
    wish, kind = Wish.of(visit.asked), PurePath(visit.path).suffix
    story = story_of(visit)
    number = same_person(wish, others(visit, story)) if wish.beat and wish.other is not None else None
    for ecg_id in filter(None, (story.ecg.ecg_id, number)):
        if kind != ".svg" or not is_on_a_page(visit, ecg_id):
            note_opened(visit, ecg_id)
    other = None if number is None else visit.store.ecgs.story(number).ecg.ecg
    one, looked = story.ecg.ecg, looked_at(visit, story.ecg, wish)
    sheet = drawn(one, wish, other, looked, say=visit.say)
    title = visit.say("ECG %(number)d, version %(version)d", number=story.ecg.ecg_id, version=story.ecg.version)
    if looked is not None:
        title += " · " + visit.say("where the model looked for %(label)s", label=looked.kept.label)
        title += most_in(looked, visit.say)
    about = subtitle(story, wish, visit.say)
    if kind == ".svg":
        below = footer(sheet, one.duration, say=visit.say)
        text = svg.drawing(sheet, title=title, subtitle=about, footer=below, say=visit.say)
        return Response(text, media_type=TYPES[kind])
    need("score", "drawing a PNG or PDF")
    from ecgfm_clinical.ecg.paper import save

    file = io.BytesIO()
    save(sheet, file, kind=kind, title=title, subtitle=about, duration=one.duration, say=visit.say)
    name = f'attachment; filename="ecg-{story.ecg.ecg_id}{kind}"'
    return Response(file.getvalue(), media_type=TYPES[kind], headers={"Content-Disposition": name})


def story_of(visit: "Visit") -> "EcgStory":
    """Raises NotFound where there is no such ECG, or its signal was removed."""
    story = visit.store.ecgs.story(number_of(visit))
    if not story.ecg.ecg.signal.size:
        raise NotFound(f"the signal of ECG {story.ecg.ecg_id} was removed by retention: it cannot be drawn")
    return story


def same_person(wish: Wish, known: "list[EcgSummary]") -> int | None:
    """The ECG to compare with. Raises InputError where it is another person's: two people never share a page."""
    if wish.other is None or wish.other in {one.ecg_id for one in known}:
        return wish.other
    raise InputError(f"ECG {wish.other} is not one of this person's other ECGs")


def looked_at(visit: "Visit", ecg: "StagedEcg", wish: Wish) -> Looked | None:
    """Where a model looked, if that is asked for. Raises NotFound where it was not computed for this ECG."""
    if wish.looked is None or wish.beat:
        return None
    found = visit.store.saliencies.weights(ecg.ecg_id, wish.looked)
    (kept,) = (one for one in visit.store.saliencies.of(ecg.ecg_id) if one.saliency_id == wish.looked)
    weights = LeadWeights(weights=found.astype(np.float64) / LARGEST, per_second=STEPS)
    return Looked(kept=kept, weights=weights, beats=_beats(ecg.ecg, weights))


def _beats(one: "Ecg", weights: LeadWeights) -> "tuple[BeatWeight, ...]":
    if not have("score"):
        return ()
    from ecgfm_clinical.ecg.beat_weights import beat_weights

    return beat_weights(one.signal, one.sampling_rate, weights)


def most_in(looked: Looked, say: Say) -> str:
    """The lead and the beat with the largest share of the shading; empty where beats were not looked for or found."""
    if not looked.beats:
        return ""
    shares = looked.weights.weights.sum(axis=1) / looked.weights.weights.sum()
    beat = max(looked.beats, key=lambda one: one.share)
    return " · " + say(
        "most in %(lead)s (%(share)d %%) and in the beat at %(at).1f s (%(beat)d %%)",
        lead=LEADS[int(shares.argmax())],
        share=round(100 * float(shares.max())),
        at=beat.at,
        beat=round(100 * beat.share),
    )


def drawn(
    one: "Ecg", wish: Wish, other: "Ecg | None" = None, looked: Looked | None = None, say: Say = in_english
) -> Sheet:
    """The sheet of a recording, or of its median beat, with another's laid over it. Raises InputError."""
    from ecgfm_clinical.ecg.pacing import pacing_spikes

    if not wish.beat:
        spikes = pacing_spikes(one.signal, one.sampling_rate).tolist()
        weights, shares = (None, ()) if looked is None else (looked.weights, looked.beats)
        if not have("score"):
            return compose(one.signal, one.sampling_rate, wish.view, spikes=spikes, looked=weights)
        from ecgfm_clinical.ecg.marks import marks_of

        marks = marks_of(one, say)
        return compose(
            one.signal,
            one.sampling_rate,
            wish.view,
            spikes=spikes,
            looked=weights,
            beats=shares,
            spans=marks.spans,
            notes=marks.notes,
        )
    need("score", "finding beats")
    from ecgfm_clinical.ecg.median_beat import laid_out, median_beat

    beats = [median_beat(each.signal, each.sampling_rate) for each in (one, other) if each is not None]
    placed = [(laid_out(beat, wish.view), beat.sampling_rate) for beat in beats if beat is not None]
    if len(placed) < len(beats):
        raise InputError("fewer than three beats alike: there is no median beat")
    return compose(*placed[0], wish.view, laid_over=placed[1] if len(placed) > 1 else None, zero_is_zero=True)


def subtitle(story: "EcgStory", wish: Wish, say: Say = in_english) -> str:
    """Device, filters, and the mark of a demonstration model where one has judged this ECG."""
    one = story.ecg.ecg
    demo = any(each.demo for each in story.scorings)
    parts = [
        say("median beat") if wish.beat else "",
        " ".join(filter(None, (one.device.manufacturer, one.device.model))) or say("unknown device"),
        band(one.filters, say),
        say("sampled at %(rate)g Hz", rate=one.sampling_rate),
        say("scored by a demonstration model: NOT FOR CLINICAL USE") if demo else "",
    ]
    return " · ".join(filter(None, parts))
