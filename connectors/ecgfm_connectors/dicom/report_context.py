"""What a measurement of a structured report is: by its concept, and by what qualifies it and stands around it."""

from dataclasses import dataclass, replace

from ecgfm_connectors.dicom import report_codes as codes
from ecgfm_connectors.dicom.content_tree import Code, Measurement
from ecgfm_connectors.outcomes import dictionary, names
from ecgfm_connectors.outcomes.dictionary import Coded, Measurand
from ecgfm_connectors.outcomes.site import SiteTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """An ejection fraction as its report qualifies it; `measurand.other` says why it is another quantity."""

    measurand: Measurand
    chosen: bool  #: Selection Status: the report stands for this value
    mean: bool

    @property
    def biplane(self) -> bool:
        return "biplane" in self.measurand.assay


def meant(measured: Measurement, title: Code, table: SiteTable) -> Meant | None:
    """What a measurement is; None where it has nothing to do with an ejection fraction."""
    measurand = dictionary.identify(_coded(measured, title), table)
    if measurand is None or measurand.kind != "lvef":
        return None
    by_site = measurand.rule == "site-code"
    other = measurand.other or _of_title(title) or _of_context(measured) or _of_chamber(measured, by_site=by_site)
    return Meant(
        measurand=replace(measurand, other=other or _of_derivation(measured), assay=_method(measured, measurand)),
        chosen=_value(measured, codes.SELECTION) in codes.CHOSEN,
        mean=_value(measured, codes.DERIVATION) == codes.MEAN,
    )


def _coded(measured: Measurement, title: Code) -> Coded:
    """Its concept, and the measured property of a post-coordinated one (TID 5302)."""
    named = [measured.concept]
    if _value(measured, codes.MEASURED_PROPERTY) == codes.EJECTION_FRACTION:
        named.insert(0, Code(value=codes.EJECTION_FRACTION, scheme="SCT", meaning=""))
    return Coded(
        codes=tuple((one.key, "SCT" if one.scheme in codes.OLD_SCHEMES else one.scheme) for one in named if one.value),
        names=tuple(one.meaning for one in named if one.meaning),
        service=codes.TITLES.get(title.key, ""),
    )


def _value(measured: Measurement, concept: str) -> str:
    """What the measurement itself says under a concept name; empty where it says nothing."""
    return next((one.value.key for one in measured.said if one.concept.key == concept), "")


def _of_title(title: Code) -> str:
    other = codes.OTHER_TITLES.get(title.key, "")
    return other or ("" if title.key in codes.TITLES else "unknown-service")


def _of_context(measured: Measurement) -> str:
    """Stress, an earlier examination or a fetus, in the measurement or around it; else what unknown modifiers say."""
    said = (*measured.around.said, *measured.said)
    around = [one.key for one in measured.around.containers] + [one.value.key for one in said]
    found = [codes.CONTEXTS[key] for key in around if key in codes.CONTEXTS]
    if codes.STAGED in around:
        found.append("stress")
    if codes.RESTING in around:
        found = [one for one in found if one != "stress"]
    if found:
        return found[0]
    known = codes.HARMLESS | {
        codes.FINDING_SITE, codes.DERIVATION, codes.SELECTION, codes.MEASUREMENT_TYPE, codes.MEASURED_PROPERTY,
    }  # fmt: skip
    words = (one.value.meaning for one in measured.said if one.concept.key not in known)
    return next((other for word in words if (other := names.other(word, "lvef"))), "")


def _of_chamber(measured: Measurement, *, by_site: bool) -> str:
    """The finding site must be the left ventricle; a code that names it needs no site, the general one does."""
    said = (*measured.around.said, *measured.said)
    sites = [one.value.key for one in said if one.concept.key == codes.FINDING_SITE]
    own = [one.value.key for one in measured.said if one.concept.key == codes.FINDING_SITE]
    if own:
        sites = own
    general = codes.EJECTION_FRACTION in (measured.concept.key, _value(measured, codes.MEASURED_PROPERTY))
    if not sites or sites[-1] == codes.HEART:
        return "unknown-chamber" if general and not by_site else ""
    return "" if sites[-1] == codes.LEFT_VENTRICLE else "other-chamber"


def _of_derivation(measured: Measurement) -> str:
    """A minimum, a maximum, an indexed or relative value is another quantity."""
    derivation, kind = _value(measured, codes.DERIVATION), _value(measured, codes.MEASUREMENT_TYPE)
    if derivation and derivation != codes.MEAN and derivation not in codes.PLAIN_TYPES:
        return "derived"
    return "derived" if kind and kind not in codes.PLAIN_TYPES else ""


def _method(measured: Measurement, measurand: Measurand) -> str:
    """How it was measured: its method, else its code or name, else the image mode."""
    said = [one.value.key for one in measured.said]
    told = next((codes.METHODS[key] for key in said if key in codes.METHODS), "")
    mode = next((codes.MODES[key] for key in said if key in codes.MODES), "")
    exact = measurand.assay not in ("", "ultrasound")
    return measurand.assay if exact and not told else told or mode or measurand.assay
