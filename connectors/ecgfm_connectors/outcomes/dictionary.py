"""What an observation measures: the site's table first, then its code, then its name with its unit and its order."""

from collections.abc import Mapping
from dataclasses import dataclass

from ecgfm_connectors.decision import Kind, Rule
from ecgfm_connectors.outcomes import codes, names
from ecgfm_connectors.outcomes.site import NO_TABLE, SiteCode, SiteTable

_LOINC = frozenset(("LN", "LOINC", ""))
_SNOMED = frozenset(("SCT", "SNM", "SNOMED", "SNOMED-CT", "SNOMED CT", "SRT", ""))
#: Under a code, these words of the name say that the code is wrong; the others stand in official names too.
_BELIED = frozenset(
    (
        "other-chamber",
        "other-patient",
        "other-organ",
        "other-analyte",
        "other-specimen",
        "change",
        "prior",
        "stress",
        "score",
        "goal",
        "date-or-time",
        "prediction",
    )
)
_SHORT = 40  #: characters; a code that is itself a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """OBX-3, or whatever names an observation: up to two codes with their names, and the service of its order."""

    codes: tuple[tuple[str, str], ...] = ()  #: (code, system in capitals)
    names: tuple[str, ...] = ()
    service: str = ""  #: OBR-4 in words and codes
    specimen: str = ""  #: what the sample is, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurand:
    """What is measured, and how we know."""

    kind: Kind
    rule: Rule
    code: str  #: system|code
    assay: str = ""  #: troponin: hs-I, hs-T, I, T, with ` POC` at the bedside; LVEF: how it was measured
    unit: str = ""  #: the site's unit where the message has none
    other: str = ""  #: set where the words are right and the quantity is another one


def identify(coded: Coded, table: SiteTable = NO_TABLE) -> Measurand | None:
    """The measurand; None where the observation has nothing to do with ejection fraction or troponin."""
    entry = table.find(frozenset(code for code, _ in coded.codes), frozenset(coded.names))
    if entry is not None:
        return _of_site(entry, coded)
    return _by_code(coded) or _by_name(coded)


def _of_site(entry: SiteCode, coded: Coded) -> Measurand | None:
    if entry.means == "ignore":
        return None
    assay = entry.assay + (" POC" if entry.point_of_care else "")
    return Measurand(
        kind=entry.means, rule="site-code", code=_label(coded, entry.code), assay=assay.strip(), unit=entry.unit
    )


def _by_code(coded: Coded) -> Measurand | None:
    for code, system in coded.codes:
        found = _known(code, system)
        if found is None:
            continue
        kind, assay = found
        others = codes.LVEF_OTHERS if kind == "lvef" else codes.TROPONIN_OTHERS
        other = others.get(code, "") or _contradicted(coded, kind)
        if kind == "troponin":
            assay = assay or names.assay(" ".join(coded.names))
            other = other or _of_specimen(coded)
        if kind == "troponin" and names.point_of_care(" ".join((*coded.names, coded.service))):
            assay = f"{assay} POC".strip()
        return Measurand(kind=kind, rule="code", code=_label(coded, code), assay=assay, other=other)
    return None


def _known(code: str, system: str) -> tuple[Kind, str] | None:
    """Kind and assay or method of a code; a code that measures something else has its kind too."""
    measured: tuple[tuple[frozenset[str], Kind, Mapping[str, str]], ...] = (
        (_LOINC, "lvef", codes.LVEF),
        (_LOINC, "troponin", codes.TROPONIN),
        (_SNOMED, "lvef", codes.LVEF_SNOMED),
        (_SNOMED, "troponin", codes.TROPONIN_SNOMED),
    )
    for systems, kind, table in measured:
        if system in systems and code in table:
            return kind, table[code]
    if system in (*_LOINC, "DCM") and code in codes.LVEF_OTHERS:
        return "lvef", ""
    return ("troponin", "") if system in _LOINC and code in codes.TROPONIN_OTHERS else None


def _contradicted(coded: Coded, kind: Kind) -> str:
    """A code that says LVEF above a name that says right ventricle: neither is believed."""
    if names.service(coded.service) == "other-patient":
        return "other-patient"
    for name in coded.names:
        naming = names.measured(name)
        if naming and naming.kind == kind and naming.other in _BELIED:
            return f"code-says-{kind}-name-says-{naming.other}"
    spoken = [name for name in coded.names if name]
    if spoken and not any(map(names.measured, spoken)) and any(names.names_another(name) for name in spoken):
        return f"code-says-{kind}-name-says-other-analyte"
    return ""


def _by_name(coded: Coded) -> Measurand | None:
    spoken = (*coded.names, *(code for code, _ in coded.codes if code.isascii() and len(code) <= _SHORT))
    naming = next((found for name in spoken if (found := names.measured(name))), None)
    if naming is None:
        return None
    others = (names.other(name, naming.kind) for name in coded.names)
    other: str = naming.other or next((one for one in others if one), "")
    if naming.kind == "lvef":
        return _lvef_by_name(coded, spoken, other)
    name = " ".join(spoken)
    assay = names.assay(name)
    if names.point_of_care(f"{name} {coded.service}"):
        assay = f"{assay} POC".strip()
    other = other or _of_specimen(coded) or _of_unknown_words(coded, "troponin")
    return Measurand(kind="troponin", rule="name", code=_label(coded), assay=assay, other=other)


def _of_unknown_words(coded: Coded, kind: Kind) -> str:
    """A name alone decides only where every word of it is known."""
    naming = [name for name in coded.names if names.measured(name)] or coded.names
    return "unknown-words" if any(names.holds_unknown_words(name, kind) for name in naming) else ""


def _of_specimen(coded: Coded) -> str:
    """A troponin counts in blood, serum or plasma only."""
    text = f"{coded.service} {coded.specimen}"
    return "other-specimen" if names.other(text, "troponin", only="other-specimen") else ""


def _lvef_by_name(coded: Coded, spoken: tuple[str, ...], other: str) -> Measurand:
    """`EF` alone may be any organ's: the name must say the left ventricle, or the order must be of the heart."""
    service = names.service(coded.service)
    if not other and service in ("other-organ", "other-patient", "prediction"):
        other = service
    if not other and service != "cardiac" and not any(map(names.is_left, spoken)):
        other = "unknown-service"
    other = other or _of_unknown_words(coded, "lvef")
    method = next((method for name in coded.names if (method := method_of(name))), "")
    return Measurand(kind="lvef", rule="name", code=_label(coded), assay=method, other=other)


def method_of(name: str) -> str:
    """How an ejection fraction was measured, as far as its name says."""
    spoken = name.lower()
    if "biplan" in spoken or "simpson" in spoken or "mod bp" in spoken:
        return "ultrasound biplane"
    if "teich" in spoken:
        return "ultrasound Teichholz"
    return "ultrasound 3D" if "3d" in spoken else ""


def _label(coded: Coded, code: str = "") -> str:
    """`system|code` of the code that decided, else of the first one."""
    chosen = next((pair for pair in coded.codes if pair[0] == code), coded.codes[0] if coded.codes else ("", ""))
    known = chosen[0] in codes.MEASURED or chosen[0] in codes.LVEF_OTHERS or chosen[0] in codes.TROPONIN_OTHERS
    system = ("DCM" if chosen[1] == "DCM" else "LN") if known else chosen[1]
    return f"{system or 'L'}|{chosen[0]}"
