"""What the address of a drawing asks for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ecgfm_clinical.ecg.layouts import USUAL, View
from ecgfm_clinical.ecg.overlays import LeadWeights
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.saliencies import KeptSaliency

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.beat_weights import BeatWeight
    from ecgfm_clinical.web.asking import Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the address asks for."""

    view: View
    beat: bool  #: the median beat instead of the recording
    other: int | None  #: ECG of the same person to compare with
    looked: int | None  #: where a model looked, by the number of the question

    @classmethod
    def of(cls, asked: "Asked") -> "Wish":
        """Raises InputError."""
        return cls(
            view=_view(asked), beat=bool(asked.text("beat")), other=asked.number("with"), looked=asked.number("looked")
        )

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
            "looked": self.looked or "",
        }
        return urlencode({name: value for name, value in (values | changed).items() if value})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looked:
    """Where a model looked."""

    kept: KeptSaliency
    weights: LeadWeights
    beats: "tuple[BeatWeight, ...]"  #: none where the extra `score` is not installed


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
