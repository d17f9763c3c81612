"""What can be asked of a PDF/A-2a file without a validator, which no package index has: read by pypdf from the file as
it was sent, by clauses of ISO 19005-2.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any  # Any: pypdf

from defusedxml import ElementTree
from pypdf import PdfReader

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PDFA = "{http://www.aiim.org/pdfa/ns/id/}"
_TITLE = f"{{http://purl.org/dc/elements/1.1/}}title/{_RDF}Alt/{_RDF}li"
#: Colour operators of grey and CMYK, which an RGB output intent does not speak for; postscript, and pictures inline.
_FOREIGN = re.compile(rb"(?<=\s)(k|K|PS|BI)(?=\s)")
_ACTIONS = ("/OpenAction", "/AA", "/AcroForm", "/JavaScript", "/Names", "/OCProperties", "/NeedsRendering")


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The logical structure, as a screen reader walks it."""

    kinds: Counter[str]  #: element -> how many
    alternatives: tuple[str, ...]  #: of figures
    cells_without_headers: int  #: values of which nothing says what they are


def problems(content: bytes) -> Iterator[str]:
    """What the file lacks or holds too much."""
    reader = PdfReader(BytesIO(content))
    root: Any = reader.trailer["/Root"]
    if not content.startswith(b"%PDF-1.7\n%"):
        yield "6.1.2: no header of PDF 1.7 with a comment of binary bytes"
    if "/Encrypt" in reader.trailer or "/ID" not in reader.trailer:
        yield "6.1.3: encrypted, or without an identifier"
    yield from (f"6.5, 6.6: {key} in the catalogue" for key in _ACTIONS if key in root)
    yield from _metadata(root, reader)
    intents = [one.get_object() for one in root.get("/OutputIntents", ())]
    if [(one["/S"], one["/DestOutputProfile"]["/N"]) for one in intents] != [("/GTS_PDFA1", 3)]:
        yield "6.2.3: not one output intent for RGB"
    if not root.get("/MarkInfo", {}).get("/Marked") or "/StructTreeRoot" not in root or not root.get("/Lang"):
        yield "6.7: not tagged, or without a language"
    for page in reader.pages:
        yield from _page(page)


def _metadata(root: Any, reader: PdfReader) -> Iterator[str]:
    packet = root["/Metadata"].get_object().get_data().decode()
    told = ElementTree.fromstring(packet.split("?>", 1)[1].rsplit("<?", 1)[0])
    about = list(told.iter(f"{_RDF}Description"))
    claimed = [(one.get(f"{_PDFA}part"), one.get(f"{_PDFA}conformance")) for one in about if one.get(f"{_PDFA}part")]
    if claimed != [("2", "A")]:
        yield f"6.6.4: claims {claimed}"
    titles = [one.text for each in about for one in each.iterfind(_TITLE)]
    if reader.metadata is None or titles != [reader.metadata.title]:
        yield "6.6.3: the metadata and the information dictionary differ in the title"


def _page(page: Any) -> Iterator[str]:
    resources = page["/Resources"]
    if found := _FOREIGN.findall(page.get_contents().get_data()):
        yield f"6.2.4, 6.2.2: operators {sorted(set(found))}"
    for name, font in resources["/Font"].items():
        whole = font.get_object()
        within = whole["/DescendantFonts"][0].get_object()
        if "/FontFile2" not in within["/FontDescriptor"] or within.get("/CIDToGIDMap") != "/Identity":
            yield f"6.2.11.4: the font {name} is not in the file"
        if "/ToUnicode" not in whole:
            yield f"6.2.11.7: letters of the font {name} have no Unicode"
    for name, state in resources.get("/ExtGState", {}).items():
        told = state.get_object()
        if told.get("/SMask", "/None") != "/None" or told.get("/BM", "/Normal") != "/Normal" or "/TR" in told:
            yield f"6.2.5, 6.2.10: the graphics state {name}"
        if min(told.get("/CA", 1), told.get("/ca", 1)) < 1 and "/Group" not in page:
            yield f"6.2.10: {name} is transparent and the page names no blending colour space"
    for name, thing in resources.get("/XObject", {}).items():
        told = thing.get_object()
        if told.get("/Subtype") == "/PS" or "/OPI" in told or told.get("/Interpolate"):
            yield f"6.2.8, 6.2.9: the object {name}"
    if page.get("/Annots"):
        yield "6.3: annotations"
    if page.get("/Tabs") != "/S":
        yield "screen readers: no order of the structure"


def structure(content: bytes) -> Structure:
    """What the structure tree holds."""
    elements = list(_elements(PdfReader(BytesIO(content)).trailer["/Root"]["/StructTreeRoot"]))  # type: ignore[index]
    known = {one["/ID"] for one in elements if one["/S"] == "/TH"}
    cells = [one["/A"].get("/Headers", []) for one in elements if one["/S"] == "/TD"]
    return Structure(
        kinds=Counter(str(one["/S"]).removeprefix("/") for one in elements),
        alternatives=tuple(str(one.get("/Alt", "")) for one in elements if one["/S"] == "/Figure"),
        cells_without_headers=sum(not headers or not known.issuperset(headers) for headers in cells),
    )


def _elements(node: Any) -> Iterator[Any]:
    children = node.get("/K", ())
    for child in children if isinstance(children, list) else [children]:
        one = child.get_object()
        if isinstance(one, dict) and "/S" in one:
            yield one
            yield from _elements(one)
