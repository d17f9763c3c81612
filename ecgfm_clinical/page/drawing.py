"""The result page as a PDF (PDF/A-2a, tagged), drawn by WeasyPrint.

The fonts are the two that matplotlib brings, so that no font of the machine changes the page. The identifier of the
file is the digest of its content, and no date stands in it: the same result has the same bytes.
"""

import hashlib
import threading
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ecgfm_clinical.ecg import svg
from ecgfm_clinical.ecg.pacing import pacing_spikes
from ecgfm_clinical.ecg.sheet import BAND, compose, footer
from ecgfm_clinical.errors import MissingExtra
from ecgfm_clinical.extras import need
from ecgfm_clinical.page.content import Content
from ecgfm_clinical.page.document import html_of, printable

if TYPE_CHECKING:
    from weasyprint.text.fonts import FontConfiguration

    from ecgfm_connectors.ecg import Ecg

Paper = Literal["A4", "Letter"]
#: Paper -> margin at each side that leaves the drawing's 265 mm.
SIDES: Mapping[Paper, str] = {"A4": "16mm", "Letter": "7.2mm"}

#: Sizes of the letters, tried one after the other until everything stands on one sheet.
POINTS = (7.0, 6.2, 5.4)

#: Pango's font maps are not made for several threads.
_ONE_AT_A_TIME = threading.Lock()


def draw_page(content: Content, ecg: "Ecg", *, paper: Paper = "A4") -> bytes:
    """The page of one result, a PDF of one sheet: what it says, and the signal of `ecg` drawn above it.

    Raises MissingExtra, and ValueError where the texts do not fit on one sheet.
    """
    spikes = pacing_spikes(ecg.signal, ecg.sampling_rate)
    sheet = compose(ecg.signal, ecg.sampling_rate, spikes=spikes.tolist(), area=BAND)
    shown = footer(sheet, ecg.duration)
    figure = svg.figure(sheet, title=f"12-lead ECG: {shown.replace(' ·', ',')}", font="Page")
    for points in POINTS:
        html = html_of(content, figure, shown, paper=paper, side=SIDES[paper], points=points)
        if (page := _pdf(html)) is not None:
            return page
    raise ValueError("the texts do not fit on one sheet")


def ready() -> None:
    """Raise MissingExtra where pages cannot be drawn here."""
    need("page", "drawing the result page")
    try:
        import weasyprint  # noqa: F401
    except OSError as error:
        raise MissingExtra(
            "drawing the result page needs the library Pango: apt-get install libpango-1.0-0 libpangoft2-1.0-0"
        ) from error


def _pdf(html: str) -> bytes | None:
    """None where the texts take more than one sheet."""
    ready()
    from weasyprint import CSS, HTML
    from weasyprint.urls import URLFetcher

    text = printable(html, _has)
    identifier = hashlib.sha256(text.encode()).hexdigest()[:32].encode()
    with _ONE_AT_A_TIME:
        fonts = _fonts()
        style = CSS(string=_faces(), font_config=fonts, url_fetcher=URLFetcher(allowed_protocols=("file",)))
        source = HTML(string=text, url_fetcher=URLFetcher(allowed_protocols=()))
        document = source.render(stylesheets=[style], font_config=fonts)
        if len(document.pages) > 1:
            return None
        found = document.write_pdf(pdf_variant="pdf/a-2a", pdf_identifier=identifier)
    assert isinstance(found, bytes)
    return found


def _font(weight: str) -> Path:
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{weight}.ttf"


def _faces() -> str:
    faces = (("normal", _font("")), ("bold", _font("-Bold")))
    return "".join(
        f"@font-face {{ font-family: Page; font-weight: {weight}; src: url({path.as_uri()}) }}"
        for weight, path in faces
    )


@cache
def _fonts() -> "FontConfiguration":
    from weasyprint.text.fonts import FontConfiguration

    return FontConfiguration()


@cache
def _letters() -> frozenset[int]:
    from fontTools.ttLib import TTFont

    with TTFont(_font(""), lazy=True) as font:
        return frozenset(font.getBestCmap())


def _has(letter: str) -> bool:
    return letter == "\n" or ord(letter) in _letters()
