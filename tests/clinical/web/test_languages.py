"""The console in each language: no template says what a catalogue cannot, and every catalogue says all of it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from jinja2 import Environment, nodes

from ecgfm_clinical.ecg import svg
from ecgfm_clinical.ecg.layouts import View
from ecgfm_clinical.ecg.marks import marks_of
from ecgfm_clinical.ecg.overlays import LeadWeights
from ecgfm_clinical.ecg.remarks import band
from ecgfm_clinical.ecg.sheet import compose, footer
from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.operate import pausing
from ecgfm_clinical.staging.records import EcgState, JobState, MessageState, WhySetAside
from ecgfm_clinical.staging.search import ANSWERS
from ecgfm_clinical.staging.told import ResultState
from ecgfm_clinical.web import catalogue, languages, rendering
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.ecgs import REASONS
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.web.visit import Console
from ecgfm_clinical.wording import Say
from ecgfm_connectors.ecg import LEADS, Device, Filters, Finding
from tests.clinical.web.conftest import HASHER, Browser
from tests.helpers.fakes import make_ecg
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(4)

babel = pytest.importorskip("babel", reason="the package babel is not installed")

from tests.making.update_catalogues import template, texts

#: Attributes that a person sees or hears.
SHOWN = ("title", "aria-label", "alt", "placeholder", "data-name", "data-scale")
#: Signs that are the same in every language: units, formats, names of leads' intervals, and commands' and fields' own.
SIGNS = {"mm", "s", "mV", "Hz", "min", "SVG", "PNG", "PDF", "QTc", "RR", "PR", "QRS", "QT", "patient"}
_LETTERS = re.compile(r"[^\W\d_]+")
_PLACE = re.compile(r"\ue000(\d+)\ue001")
CATALOGUES = sorted(languages.FOLDER.glob(f"*/{languages.FILE}"))


def _environment() -> Environment:
    return rendering.environment(UTC, languages.ENGLISH)


class _Page(HTMLParser):
    """Collects what a person sees of a template: its own words, and the expressions whose values are seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        self.seen += [value or "" for name, value in attrs if name in SHOWN]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen.append(data)


def bare(source: str, environment: Environment) -> list[str]:
    """Words of a template that no catalogue can answer."""
    parts: list[str] = []
    expressions: list[nodes.Node] = []
    for output in environment.parse(source).find_all(nodes.Output):
        for one in output.nodes:
            if isinstance(one, nodes.TemplateData):
                parts.append(one.data)
            else:
                parts.append(f"\ue000{len(expressions)}\ue001")
                expressions.append(one)
    page = _Page()
    page.feed("".join(parts))
    page.close()
    seen = [word for text in page.seen for word in _words(_PLACE.sub(" ", text))]
    shown = [expressions[int(number)] for text in page.seen for number in _PLACE.findall(text)]
    return seen + [word for one in shown for text in _constants(one) for word in _words(text)]


def _words(text: str) -> list[str]:
    return [word for word in _LETTERS.findall(text) if word not in SIGNS]


def _constants(one: nodes.Node) -> Iterator[str]:
    """Texts that an expression may become. What a function or a filter is given, or a key, is none."""
    match one:
        case nodes.Const(value=str() as text):
            yield text
        case nodes.CondExpr():
            yield from (text for each in (one.expr1, one.expr2) if each is not None for text in _constants(each))
        case nodes.Or() | nodes.And():
            yield from (text for each in (one.left, one.right) for text in _constants(each))
        case nodes.Concat():
            yield from (text for each in one.nodes for text in _constants(each))
        case nodes.Getitem(node=nodes.Dict() as choice):
            yield from (text for pair in choice.items for text in _constants(pair.value))
        case nodes.Filter(name=name) if name not in ("format", "said") and one.node is not None:
            yield from _constants(one.node)


def test_what_is_looked_for_is_found() -> None:
    source = """<p class="x" title="Bare one">{{ _("said") }} Bare two {{ "Bare three" if x else _("said") }}</p>
        <a aria-label="{{ y or 'Bare four' }}" href="/path">{{ "%.3f"|format(1) }} mm/s</a><script>let x;</script>"""
    found = bare(source, _environment())
    assert [word for word in found if word != "Bare"] == ["one", "two", "three", "four"]


@pytest.mark.parametrize("path", sorted(rendering.TEMPLATES.glob("*.html")), ids=lambda path: path.stem)
def test_a_template_has_no_words_of_its_own(path: Path) -> None:
    environment = _environment()
    source = path.read_text(encoding="utf-8")
    assert bare(source, environment) == []
    for call in environment.parse(source).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in ("_", "gettext"):
            assert isinstance(call.args[0], nodes.Const), "a value would be taken for markup: say it by |said"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.name)
def test_a_catalogue_says_everything_with_the_same_values_and_markup(path: Path) -> None:
    said = {text: forms for text, forms in catalogue.entries(path.read_text(encoding="utf-8")).items() if text}
    wanted = {"\0".join(one.id) if isinstance(one.id, tuple) else one.id for one in template() if one.id}
    assert (wanted - set(said), set(said) - wanted) == (set(), set()), "python -m tests.making.update_catalogues"
    for text, forms in said.items():
        for form in forms.split("\0"):
            assert _held(form) == _held(text.split("\0")[-1]), form


def _held(text: str) -> Counter[str]:
    """Values and tags of a text. A quotation mark or a bracket would break what stands around it."""
    return Counter(re.findall(r"%\(\w+\)[.\d]*[a-z]|%%|\{\w+\}|<[^>]*>|[<>\"]", text))


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.name)
def test_a_catalogue_names_its_language_and_how_it_writes_times_and_numbers(path: Path) -> None:
    """Without these three lines its pages show English times and points, and its code in the place of its name."""
    head = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert [line for line in ("X-Name", "X-Time", "X-Decimal-Point") if f'"{line}: ' not in head] == []


def test_our_reader_of_catalogues_reads_what_babel_reads() -> None:
    from babel.messages.pofile import read_po

    for path in CATALOGUES:
        with path.open("rb") as file:
            theirs = {
                "\0".join(one.id) if isinstance(one.id, tuple) else one.id: "\0".join(one.string)
                if isinstance(one.string, tuple)
                else one.string
                for one in read_po(file, locale=path.parent.name)
                if one.id
            }
        ours = dict(catalogue.entries(path.read_text(encoding="utf-8")))
        ours.pop("")
        assert ours == theirs


def test_a_damaged_catalogue_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "console.po"
    path.write_text('msgid "a"\nmsgstr b"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=re.escape(str(path))):
        catalogue.read(path)


def test_every_word_of_the_store_that_pages_show_is_in_the_catalogues() -> None:
    known = {text for text, _ in texts()}
    words = [one.value.replace("_", " ") for states in (EcgState, JobState) for one in states]
    words += [one.word for one in MessageState] + [one.value for why in (WhySetAside, ResultState) for one in why]
    words += [*pausing.KINDS, *(role.word for role in Role), *(one.replace("-", " ") for one in (*ANSWERS, *REASONS))]
    assert [one for one in words if one not in known] == []


def test_a_page_is_in_the_language_that_the_browser_asks_for_or_chose(
    browser: Browser, site: Installation, console: Console
) -> None:
    client = browser(Role.ADMINISTRATOR)
    assert '<html lang="en">' in client.get("/").text
    german = {"Accept-Language": "fr, de-AT;q=0.8, en;q=0.3"}
    page = client.get("/", headers=german).text
    assert '<html lang="de">' in page
    assert "0 empfangen = 0 ausgewertet + 0 nicht auswertbar + 0 fehlgeschlagen + 0 wartend" in page
    assert "Warteschlangen" in page
    assert "Diese Seite" not in client.get("/nowhere", headers=german).text
    assert "diese Seite gibt es nicht" in client.get("/nowhere", headers=german).text
    assert "keine Nachricht wurde gewählt" in client.post("/dead/again", headers=german).text
    answer = client.post("/language", data={"language": "de", "to": "/ecgs?state=failed"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ecgs?state=failed")
    assert client.cookies.get(languages.COOKIE) == "de"
    assert "kein EKG erfüllt das" in client.get("/ecgs?state=failed").text
    assert client.post("/language", data={"language": "xx"}).status_code == 400
    assert client.post("/language", data={"language": "de", "to": "//evil"}).headers["location"] == "/"
    stranger = browser(None)
    assert "Passwort" in stranger.get("/sign-in", headers=german).text
    site.dicom(ecg(1, "A"))
    drawing = client.get("/ecgs/1/drawing.svg", headers=german).text
    assert "<title>EKG 1, Version 1</title>" in drawing
    assert "mit 500 Hz abgetastet" in drawing
    assert not site.store.care.found(limit=1, action="language")


def test_the_settings_name_the_language_and_one_that_is_none_is_a_sentence(site: Installation) -> None:
    web = site.settings.web
    assert web is not None
    known = languages.languages()
    assert languages.chosen(known, cookie="", setting="de", accepted="en").code == "de"
    assert languages.chosen(known, cookie="en", setting="de", accepted="de").code == "en"
    assert languages.chosen(known, cookie="x", setting="", accepted="x;q=;, ;;, de;q=0").code == "en"
    settings = site.settings.model_copy(update={"web": web.model_copy(update={"language": "xx"})})
    with pytest.raises(SettingsError, match="no catalogue of 'xx'; there are en, de"):
        build_console(settings, site.store, hasher=HASHER)


#: A number that stands before a noun of the plural, as `%(count)d messages`.
_COUNTED = re.compile(r"%\((?P<name>\w+)\)[ds] (?:[a-z-]+ )?[a-zA-Z]+s\b")
#: What looks like one: verbs behind a name, and numbers that are never one.
NOT_COUNTED = {"process", "was", "is", "says", "gives", "this", "beats"}


def without_plural(text: str) -> list[str]:
    """Places where a text would say `1 messages`."""
    found = [match[0] for match in _COUNTED.finditer(text)]
    return [one for one in found if not NOT_COUNTED & set(one.split())]


def test_a_plural_that_is_wrong_is_found() -> None:
    assert without_plural("%(count)d messages will be sent") == ["%(count)d messages"]
    assert without_plural("%(count)s earlier ECGs of %(label)s") == ["%(count)s earlier ECGs"]
    assert without_plural("%(number)s × message set aside") == []
    assert without_plural("%(name)s is paused by %(actor)s: %(count)d of %(of)d") == []


def test_no_text_counts_without_a_plural() -> None:
    assert {text: found for text, _ in texts() if isinstance(text, str) if (found := without_plural(text))} == {}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parent.name)
def test_every_plural_has_all_forms_of_its_language(path: Path) -> None:
    language = languages.languages()[path.parent.name]
    for text, _ in texts():
        if isinstance(text, tuple):
            one, many = text
            forms = {language.texts.ngettext(one, many, count) for count in range(200)}
            head = path.read_text(encoding="utf-8")
            assert len(forms) <= int(re.findall(r"nplurals=(\d)", head)[0])
            assert not forms & set(text), f"{text} is said in English"


def test_every_word_of_a_drawing_goes_through_the_catalogue() -> None:
    """Drawn in a language that marks what it says: nothing else on the sheet is a word, and the catalogues know it."""
    said: set[str] = set()

    def say(text: str, /, **values: object) -> str:
        said.add(text)
        return "¤"  # no letters

    known = {text for text, _ in texts()}
    bare = [word for sheet in _drawings(say) for word in _seen(sheet) if word not in {*LEADS, *SIGNS, "V"}]
    assert bare == []
    assert {one for one in said if one not in known} == set()
    wanted = {"no signal", "flat", "clipped", "computed from I and II", "arm electrodes exchanged?"}
    assert wanted <= said, "each kind of word was drawn"


def _drawings(say: Say) -> Iterator[str]:
    """Sheets on which everything is drawn that a sheet can hold."""
    plain = make_ecg(3)
    bad = plain.signal.copy()
    bad[0, 1000:2000] = bad[0, 1000]
    bad[1] = np.clip(bad[1], -0.05, 0.05)
    bad[11] = np.nan
    findings = tuple(
        Finding(code=code, text=text)
        for code, text in (
            ("lead-off", "V3 is off"),
            ("channel-skew", "V4 is moved"),
            ("reconstructed-leads", "V5"),
            ("einthoven-violation", "lead III differs"),
            ("arm-leads-suspected", "swapped"),
        )
    )
    worse = replace(plain, signal=bad, derived_leads=("aVF",), findings=findings, device=Device())
    weights = LeadWeights(weights=np.full((12, 200), 0.5), per_second=20)
    for one in (plain, worse, replace(plain, filters=Filters(high_pass=0.05, low_pass=150.0, notch=50.0))):
        marks = marks_of(one, say)
        for view in (View(), View(start=3.0), View(speed=50.0)):
            sheet = compose(
                one.signal,
                one.sampling_rate,
                view,
                spikes=[2000],
                looked=weights,
                laid_over=(one.signal, one.sampling_rate),
                spans=marks.spans,
                notes=marks.notes,
            )
            below = footer(sheet, one.duration, say=say)
            yield svg.drawing(sheet, title="", subtitle=band(one.filters, say), footer=below, say=say)
    short = replace(plain, signal=plain.signal[:, :2000])
    sheet = compose(short.signal, short.sampling_rate, View())
    yield svg.drawing(sheet, title="", footer=footer(sheet, short.duration, say=say), say=say)


def _seen(drawing: str) -> list[str]:
    """Words of the picture that nobody translated."""
    page = _Page()
    page.feed(drawing)
    page.close()
    return [word for text in page.seen for word in _LETTERS.findall(text)]
