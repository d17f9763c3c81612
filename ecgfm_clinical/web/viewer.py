"""The ECG viewer: one recording on millimetre paper as a person asks for it, alone or beside an earlier one.

The server's drawing is the truth; the script of the page only measures on it. That somebody looks is in the audit trail
before anything is drawn.
"""

import io
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response

from ecgfm_clinical.ecg import svg
from ecgfm_clinical.ecg.layouts import GAINS, LAYOUTS, SPEEDS, USUAL, LayoutName, View
from ecgfm_clinical.ecg.remarks import remarks
from ecgfm_clinical.ecg.sheet import Sheet, compose, footer, seconds_on
from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.extras import have, need
from ecgfm_clinical.operate.differences import differences
from ecgfm_clinical.web.one_ecg import note_opened, number_of, others
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.staging.story_records import EcgStory, EcgSummary
    from ecgfm_clinical.web.asking import Asked
    from ecgfm_clinical.web.visit import Visit
    from ecgfm_connectors.ecg import Ecg

#: Names of layouts for people.
WORDS: dict[LayoutName, str] = {
    "3x4": "3 × 4 and rhythm",
    "6x2": "6 × 2",
    "12x1": "12 × 1",
    "cabrera": "4 × 3, Cabrera",
}
TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".pdf": "application/pdf"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the address asks for."""

    view: View
    beat: bool  #: the median beat instead of the recording
    other: int | None  #: ECG of the same person to compare with

    @classmethod
    def of(cls, asked: "Asked") -> "Wish":
        """Raises InputError."""
        return cls(view=_view(asked), beat=bool(asked.text("beat")), other=asked.number("with"))

    def query(self, **changed: object) -> str:
        """The same as an address' query, with these values instead."""
        view = self.view
        values: dict[str, object] = {
            "layout": view.layout,
            "rhythm": view.rhythm,
            "speed": f"{view.speed:g}",
            "gain": f"{view.gain:g}",
            "start": f"{view.start:g}" if view.start else "",
            "beat": "1" if self.beat else "",
            "with": self.other or "",
        }
        return urlencode({name: value for name, value in (values | changed).items() if value})


def show(visit: "Visit") -> Response:
    """The page around the drawing."""
    story, wish = _opened(visit), Wish.of(visit.asked)
    one = story.ecg.ecg
    earlier = others(visit, story)
    seconds = seconds_on(wish.view)
    return visit.page(
        "viewer.html",
        story=story,
        ecg=one,
        wish=wish,
        words=WORDS,
        layouts=LAYOUTS,
        speeds=SPEEDS,
        gains=GAINS,
        leads=LEADS,
        remarks=remarks(one),
        differences=differences(one, story.scorings[-1].scores) if story.scorings else (),
        newest=story.scorings[-1] if story.scorings else None,
        others=earlier,
        compared=_same_person(wish, earlier),
        before=f"{max(0.0, wish.view.start - seconds):g}" if wish.view.start else None,
        after=f"{wish.view.start + seconds:g}" if one.duration > wish.view.start + seconds + 0.05 else None,
        can_draw_files=have("score"),
    )


def picture(visit: "Visit") -> Response:
    """The drawing alone, as SVG, PNG or PDF."""
    story, wish = _opened(visit), Wish.of(visit.asked)
    number = _same_person(wish, others(visit, story)) if wish.beat and wish.other is not None else None
    other = None
    if number is not None:
        note_opened(visit, number)
        other = visit.store.ecgs.story(number).ecg.ecg
    kind = PurePath(visit.path).suffix
    one = story.ecg.ecg
    sheet = drawn(one, wish, other)
    title = f"ECG {story.ecg.ecg_id}, version {story.ecg.version}"
    about = subtitle(story, wish)
    if kind == ".svg":
        text = svg.drawing(sheet, title=title, subtitle=about, footer=footer(sheet, one.duration))
        return Response(text, media_type=TYPES[kind])
    need("score", "drawing a PNG or PDF")
    from ecgfm_clinical.ecg.paper import save

    file = io.BytesIO()
    save(sheet, file, kind=kind, title=title, subtitle=about, duration=one.duration)
    name = f'attachment; filename="ecg-{story.ecg.ecg_id}{kind}"'
    return Response(file.getvalue(), media_type=TYPES[kind], headers={"Content-Disposition": name})


def drawn(one: "Ecg", wish: Wish, other: "Ecg | None" = None) -> Sheet:
    """The sheet of a recording, or of its median beat, with another's laid over it. Raises InputError."""
    from ecgfm_clinical.ecg.pacing import pacing_spikes

    if not wish.beat:
        spikes = pacing_spikes(one.signal, one.sampling_rate)
        return compose(one.signal, one.sampling_rate, wish.view, spikes=spikes.tolist())
    need("score", "finding beats")
    from ecgfm_clinical.ecg.median_beat import laid_out, median_beat

    beats = [median_beat(each.signal, each.sampling_rate) for each in (one, other) if each is not None]
    placed = [(laid_out(beat, wish.view), beat.sampling_rate) for beat in beats if beat is not None]
    if len(placed) < len(beats):
        raise InputError("fewer than three beats alike: there is no median beat")
    return compose(*placed[0], wish.view, laid_over=placed[1] if len(placed) > 1 else None, zero_is_zero=True)


def subtitle(story: "EcgStory", wish: Wish) -> str:
    """Device, filters, and the mark of a demonstration model where one has judged this ECG."""
    one = story.ecg.ecg
    filters = one.filters
    band = [
        f"from {filters.high_pass:g} Hz" if filters.high_pass is not None else "",
        f"to {filters.low_pass:g} Hz" if filters.low_pass is not None else "",
        f"mains filter {filters.notch:g} Hz" if filters.notch is not None else "",
    ]
    parts = [
        "median beat" if wish.beat else "",
        " ".join(filter(None, (one.device.manufacturer, one.device.model))) or "unknown device",
        ", ".join(filter(None, band)) or "filters not stated",
        f"sampled at {one.sampling_rate:g} Hz",
        "scored by a demonstration model: NOT FOR CLINICAL USE" if any(each.demo for each in story.scorings) else "",
    ]
    return " · ".join(filter(None, parts))


def _view(asked: "Asked") -> View:
    named = {name: asked.text(name) for name in ("layout", "rhythm", "speed", "gain", "start")}
    try:
        return View(
            layout=named["layout"] or USUAL.layout,  # type: ignore[arg-type]  # View refuses any other name
            rhythm=named["rhythm"] or USUAL.rhythm,
            speed=float(named["speed"] or USUAL.speed),
            gain=float(named["gain"] or USUAL.gain),
            start=float(named["start"] or USUAL.start),
        )
    except ValueError as error:
        raise InputError(f"this view cannot be drawn: {error}") from error


def _opened(visit: "Visit") -> "EcgStory":
    """Raises NotFound where there is no such ECG, or its signal was removed."""
    story = visit.store.ecgs.story(number_of(visit))
    if not story.ecg.ecg.signal.size:
        raise NotFound(f"the signal of ECG {story.ecg.ecg_id} was removed by retention: it cannot be drawn")
    note_opened(visit, story.ecg.ecg_id)
    return story


def _same_person(wish: Wish, earlier: "list[EcgSummary]") -> int | None:
    """The ECG to compare with. Raises InputError where it is another person's: two people never share a page."""
    if wish.other is None or wish.other in {one.ecg_id for one in earlier}:
        return wish.other
    raise InputError(f"ECG {wish.other} is not one of this person's other ECGs")
