"""The result page: one sheet in true millimetres, every number as text, tagged, and the same bytes each time."""

import os
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("weasyprint", exc_type=ImportError)
pdfium = pytest.importorskip("pypdfium2")
pytest.importorskip("pypdf")

from ecgfm import heads
from ecgfm.demo import demo_bundle
from ecgfm_clinical.ecg.sheet import BAND, START
from ecgfm_clinical.page.content import content_of
from ecgfm_clinical.page.document import printable
from ecgfm_clinical.page.drawing import Paper, draw_page
from ecgfm_clinical.staging.records import Score, Scoring
from ecgfm_connectors.ecg import Device, Ecg, Filters
from ecgfm_connectors.patient import Identifier, Patient
from tests.helpers import pdf_a
from tests.helpers.fakes import make_ecg

if TYPE_CHECKING:
    from tests.clinical.conftest import Run  # it loads torch, and another process loads this file too

pytestmark = pytest.mark.slow(10)

PX = 10  #: a millimetre as rendered here
LVEF = Score(head="reduced_lvef", label="reduced_lvef", probability=0.73125, logit=1.0, threshold=0.4123, positive=True)
REASONS = (("age-unknown", "the age of the patient is not known"), ("flat-lead", "V2: no change for 1 s or more"))
TROPONIN = Score(head="troponin", label="troponin", probability=None, logit=None, reasons=REASONS)
INTERPRETATION = tuple(
    Score(head="interpretation", label=label, probability=(11 + number) / 97, logit=0.0)
    for number, label in enumerate(heads.INTERPRETATION_LABELS)
)
SCORING = Scoring(
    ecg_id=7,
    model_id="0123456789abcdef" * 4,
    model_name="ECG-FM of a site",
    model_version="3.1",
    preprocessing="linear-500hz/zscore-record/segments-5s/1",
    runtime="torch-cpu-fp32",
    input_digest="d",
    scored_at=datetime(2031, 5, 6, 7, 8, tzinfo=UTC),
    scores=(LVEF, TROPONIN, *INTERPRETATION),
    demo=True,
    segments=2,
)
ECG = make_ecg(
    1,
    device=Device(manufacturer="Examplemaker", model="Cart 9", institution="Example Hospital"),
    filters=Filters(high_pass=0.05, low_pass=150.0, notch=50.0),
)
LONG_NAME = replace(
    ECG, patient=replace(ECG.patient, family_name="Müller-Lüdenscheidt-" * 6, given_name="Jörg Björn " * 9)
)
TARGETS = {"reduced_lvef": "An ejection fraction of 35 % or less."}


def draw(
    ecg: Ecg = ECG,
    scoring: Scoring = SCORING,
    *,
    targets: Mapping[str, str] = TARGETS,
    is_correction: bool = False,
    paper: Paper = "A4",
) -> bytes:
    content = content_of(ecg, scoring, ecg_id=7, targets=targets, is_correction=is_correction)
    return draw_page(content, ecg, paper=paper)


@pytest.fixture(scope="module")
def page() -> bytes:
    return draw()


def text_of(page: bytes) -> str:
    document = pdfium.PdfDocument(page)
    assert len(document) == 1
    found = document[0].get_textpage().get_text_bounded()
    document.close()
    return re.sub(r"\s+", " ", found)


def rendered(page: bytes) -> NDArray[np.uint8]:
    document = pdfium.PdfDocument(page)
    picture: NDArray[np.uint8] = document[0].render(scale=PX * 25.4 / 72, rev_byteorder=True).to_numpy()[..., :3].copy()
    document.close()
    return picture


def paper_in(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the millimetre paper, by its outermost lines, pixels."""
    reddish = picture[..., 0].astype(int) - picture[..., 2] > 20
    columns = np.flatnonzero(reddish.mean(axis=0) > 0.3)
    rows = np.flatnonzero(reddish.mean(axis=1) > 0.5)
    rows = np.split(rows, np.flatnonzero(np.diff(rows) > 1.5 * PX) + 1)[0]  # below it stand lines of tables
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def test_every_number_and_mark_is_text(page: bytes) -> None:
    text = text_of(page)
    assert "TESTFAMILY, TESTGIVEN1" in text
    for told in ("MR (TEST) T1", "1960-05-17", "Sex F", "Example Hospital", "Examplemaker Cart 9", "0.05 Hz", "150 Hz"):
        assert told in text
    assert "0.7312 0.4123 positive" in text
    for score in INTERPRETATION:
        assert f"{score.label} {score.probability:.4f}" in text
    for told in (SCORING.model_id, "ECG-FM of a site, version 3.1", "AI-generated", "NOT FOR CLINICAL USE", "25 mm/s"):
        assert told in text
    assert "abnormal troponin: the age of the patient is not known; V2: no change for 1 s or more" in text
    assert "an ejection fraction of 35 % or less. It is no measured ejection fraction" in text


@pytest.mark.parametrize(("paper", "size"), [("A4", (297, 210)), ("Letter", (279.4, 215.9))])
def test_millimetres_are_true_on_either_paper(paper: Paper, size: tuple[float, float]) -> None:
    picture = rendered(draw(paper=paper))
    assert picture.shape[1] / PX == pytest.approx(size[0], abs=0.2)
    assert picture.shape[0] / PX == pytest.approx(size[1], abs=0.2)
    left, top, right, bottom = paper_in(picture)
    assert (right - left) / PX == pytest.approx(265, rel=0.01)
    assert (bottom - top) / PX == pytest.approx(110, rel=0.01)
    assert left / PX == pytest.approx((size[0] - 265) / 2, abs=0.3)


def test_the_trace_is_where_the_signal_says(page: bytes) -> None:
    """Lead II of the rhythm strip: each sample's place in the picture, within the width of a pen."""
    picture = rendered(page)
    dark = picture.max(axis=2) < 110
    left, _, _, bottom = paper_in(picture)
    signal = ECG.signal[1] - np.median(ECG.signal[1])
    baseline = bottom - (BAND.rows[4][1] - 3 * BAND.rows[4][0] - BAND.grid[1]) * PX
    off = []
    for sample in range(100, 4900, 37):
        x = round(left + (START - BAND.grid[0] + sample / ECG.sampling_rate * 25) * PX)
        y = round(baseline - signal[sample] * 10 * PX)
        inked = np.argwhere(dark[y - 30 : y + 31, x - 2 : x + 3])
        off.append(np.abs(inked[:, 0] - 30).min() if len(inked) else 99)
    assert np.median(off) <= 2
    assert np.mean(np.array(off) <= 5) > 0.97


def test_the_file_is_archivable_and_tagged_for_screen_readers(page: bytes) -> None:
    """PDF/A-2a, clause by clause as far as pypdf can read them."""
    document = pdfium.PdfDocument(page)
    assert document.get_metadata_value("Title") == "AI-ECG result, ECG 7"
    assert document.get_metadata_value("CreationDate") == ""
    document.close()
    for one in (page, draw(LONG_NAME, replace(SCORING, scores=(TROPONIN,)), paper="Letter")):
        assert list(pdf_a.problems(one)) == []
        found = pdf_a.structure(one)
        assert found.alternatives == ("12-lead ECG: 25 mm/s, 10 mm/mV",)
        assert found.cells_without_headers == 0
        assert {"H1": 1, "H2": 3, "Figure": 1}.items() <= found.kinds.items()
    assert pdf_a.structure(page).kinds["TR"] > 20


@pytest.mark.parametrize(
    ("is_there", "instead", "clause"),
    [
        (b'pdfaid:part="2"', b'pdfaid:part="3"', "6.6.4"),
        (b"/GTS_PDFA1", b"/GTS_PDFX1", "6.2.3"),
        (b"/StructTreeRoot", b"/StructTreeRest", "6.7"),
        (b"/FontFile2", b"/FontFile9", "6.2.11.4"),
    ],
)
def test_a_file_that_is_not_archivable_would_be_found(
    plain: bytes, is_there: bytes, instead: bytes, clause: str
) -> None:
    assert is_there in plain
    assert any(one.startswith(clause) for one in pdf_a.problems(plain.replace(is_there, instead)))


@pytest.fixture(scope="module")
def plain() -> bytes:
    """The same page with every stream as it is."""
    from weasyprint.document import Document

    written, patch = Document.write_pdf, pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(Document, "write_pdf", lambda self, **options: written(self, uncompressed_pdf=True, **options))
        return draw()


def test_the_same_result_is_the_same_bytes_in_another_process_too(page: bytes, tmp_path: Path) -> None:
    assert draw() == page
    code = (
        "import sys; from pathlib import Path; from tests.clinical.test_page import draw; "
        f"Path({str(tmp_path / 'other.pdf')!r}).write_bytes(draw())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], env=_other_hashes())
    assert (tmp_path / "other.pdf").read_bytes() == page


def _other_hashes() -> dict[str, str]:
    paths = os.pathsep.join(("", "model", "connectors"))
    return {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": "." + paths}


def test_a_page_of_another_result_has_another_identifier(page: bytes) -> None:
    def identifier(pdf: bytes) -> bytes:
        (found,) = re.findall(rb"/ID ?\[\(([0-9a-f]{32})\)", pdf)
        return bytes(found)

    other = draw(ECG, replace(SCORING, scores=(LVEF,)), targets={})
    assert identifier(other) != identifier(page)


def test_a_full_page_still_is_one_sheet() -> None:
    """Long names, several numbers, many labels of a head of the site's own, each not evaluable for a reason."""
    numbers = tuple(Identifier(authority=f"AUTHORITY-{one}", value="9" * 20) for one in range(4))
    patient = Patient(identifiers=numbers, family_name="N" * 120, given_name="Ö" * 80, sex="O")
    many = tuple(
        Score(
            head="site_head", label=f"a rather long name of label {one}", probability=None, logit=None, reasons=REASONS
        )
        for one in range(60)
    )
    page = draw(replace(ECG, patient=patient, test_data=True), replace(SCORING, scores=many), targets={})
    text = text_of(page)
    assert "27 further labels stand in the numbers of this result" in text
    assert "TEST DATA" in text


def test_letters_that_the_font_lacks_are_seen_to_be_missing() -> None:
    assert printable("Grün 山田 αβγ", lambda letter: ord(letter) < 0x3000) == "Grün ?? αβγ"


def test_numbers_and_answer_never_contradict_each_other() -> None:
    close = replace(LVEF, probability=0.49999, threshold=0.5, positive=False)
    (answer,) = content_of(ECG, replace(SCORING, scores=(close,)), ecg_id=7).answers
    assert (answer.probability, answer.threshold, answer.answer) == ("0.49999", "0.50000", "negative")


def test_what_a_name_holds_is_no_markup() -> None:
    patient = Patient(identifiers=ECG.patient.identifiers, family_name="<b>&amp;", given_name="</svg><img src=x>")
    assert "<b>&amp;, </svg><img src=x>" in text_of(draw(replace(ECG, patient=patient), targets={}))


def test_the_bundle_says_what_its_heads_mean(tmp_path: Path) -> None:
    from ecgfm.checkpoint import Bundle
    from ecgfm_clinical.page.targets import targets_of
    from ecgfm_clinical.settings import Settings

    bundle = Bundle.read(demo_bundle())

    class Models:
        def find(self, name: str) -> object:
            return type("Row", (), {"path": "demo"})()

    store = type("Store", (), {"models": Models()})()
    told = targets_of(Settings(), store, bundle.model_id)
    assert told == {spec.name: spec.target for spec in bundle.heads}
    assert targets_of(Settings(), store, "0" * 64) == {}, "another bundle lies there by now"


def test_a_page_that_was_sent_is_opened_by_another_program(
    site: Path, recording: Path, run: "Run", tmp_path: Path
) -> None:
    """From the file that a destination got: base64 out of OBX-5.5, opened by PDFium, the same bytes as for a person."""
    folder = tmp_path / "results"
    folder.mkdir()
    with site.open("a", encoding="utf-8") as file:
        file.write(f'\n[[destinations.file]]\nname = "folder"\npath = "{folder}"\npage = "ORU"\n')
    for words in (("migrate",), ("ingest", recording), ("score",), ("send",)):
        assert run(*words, "--settings", site)[0] == 0, words
    (sent,) = folder.glob("*.hl7")
    lines = [line.split("|") for line in sent.read_bytes().decode().split("\r") if line]
    (obx,) = (line for line in lines if line[0] == "OBX" and line[3].startswith("ECGFM-PAGE"))
    *_, kind, subtype, encoding, data = obx[5].split("^")
    assert (kind, subtype, encoding) == ("AP", "PDF", "Base64")
    page = b64decode(data, validate=True)
    text = text_of(page)
    assert "TESTFAMILY" in text
    values = [line[5] for line in lines if line[0] == "OBX" and line[2] == "NM" and line[5]]
    assert values
    assert [value for value in values if value not in text] == [], "each number of the message stands on its page"
    code, out, _ = run("show", "1", "--page", tmp_path / "mine.pdf", "--settings", site)
    assert code == 0
    assert "page: drawn" in out
    assert (tmp_path / "mine.pdf").read_bytes() == page
