"""The coded concepts of our objects (PS3.16): standard ones where they exist, else 99ECGFM."""

from dataclasses import dataclass

OURS = "99ECGFM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One code (PS3.3 §8.8)."""

    value: str
    scheme: str
    meaning: str


def _dcm(value: str, meaning: str) -> Concept:
    return Concept(value=value, scheme="DCM", meaning=meaning)


def _sct(value: str, meaning: str) -> Concept:
    return Concept(value=value, scheme="SCT", meaning=meaning)


def ours(value: str, meaning: str) -> Concept:
    return Concept(value=value, scheme=OURS, meaning=meaning)


# TID 1500, 1501, 300, 1001, 1004, 4019
MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Concept(value="en", scheme="RFC5646", meaning="English")
OBSERVER_TYPE = _dcm("121005", "Observer Type")
DEVICE = _dcm("121007", "Device")
DEVICE_UID = _dcm("121012", "Device Observer UID")
DEVICE_NAME = _dcm("121013", "Device Observer Name")
DEVICE_MANUFACTURER = _dcm("121014", "Device Observer Manufacturer")
DEVICE_MODEL = _dcm("121015", "Device Observer Model Name")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
ECG_PROCEDURE = _sct("29303009", "Electrocardiographic procedure")
MEASUREMENTS = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = _dcm("125007", "Measurement Group")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
TRACKING_UID = _dcm("112040", "Tracking Unique Identifier")
FINDING_SITE = _sct("363698007", "Finding Site")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")
SOURCE_OF_MEASUREMENT = _dcm("121112", "Source of Measurement")
QUALITATIVE_EVALUATIONS = Concept(value="C0034375", scheme="UMLS", meaning="Qualitative Evaluations")
COMMENT = _dcm("121106", "Comment")

# PS3.16 CID 42, why a NUM has no value
NOT_ATTEMPTED = _dcm("114007", "Measurement not attempted")

# UCUM
PROBABILITY_UNIT = Concept(value="{0:1}", scheme="UCUM", meaning="range: 0:1")

# ours: nothing of the standard's says these
OPERATING_POINT = ours("ECGFM-THRESHOLD", "Operating point of the probability")
ANSWER = ours("ECGFM-ANSWER", "Answer at the operating point")
POSITIVE = ours("ECGFM-POSITIVE", "At or above the operating point")
NEGATIVE = ours("ECGFM-NEGATIVE", "Below the operating point")
NOT_EVALUABLE = ours("ECGFM-NOT-EVAL", "Why not evaluable")

# TID 2010; CID 7010 and IHE RAD-66 (IOCM)
REJECTED_FOR_SAFETY = _dcm("113037", "Rejected for Patient Safety Reasons")
KEY_OBJECT_DESCRIPTION = _dcm("113012", "Key Object Description")
