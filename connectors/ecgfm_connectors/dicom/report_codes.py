"""Closed tables of the codes by which a structured report says what was measured, where, how and when (DICOM PS3.16).

Codes of SRT (SNOMED RT), which older devices write, are brought to their SNOMED CT equivalents (PS3.16 Annex O).
"""

#: Scheme designators of SNOMED RT, and the codes of it that matter here -> SNOMED CT.
OLD_SCHEMES = frozenset(("SRT", "SNM3", "99SDM"))
FROM_OLD = {
    "G-C0E3": "363698007",
    "G-C036": "370129005",
    "G-0373": "399264008",
    "T-32600": "87878005",
    "T-32000": "80891009",
    "F-32070": "70822001",
    "R-00317": "373098007",
    "R-404FB": "255605001",
    "G-A437": "56851009",
    "R-10260": "414135002",
    "R-41D27": "258083009",
    "R-002E1": "371912002",
}

#: Concept names of what qualifies a measurement (TID 300, 5203, 5301, 5302).
FINDING_SITE = "363698007"
METHOD = "370129005"
DERIVATION = "121401"
SELECTION = "121404"
MEASUREMENT_TYPE = "125306"
MEASURED_PROPERTY = "125307"
#: These say how the image was made; none of their values makes the measurement another one.
HARMLESS = frozenset(("399264008", "111031", METHOD, "125305", "125309"))

EJECTION_FRACTION = "70822001"
LEFT_VENTRICLE = "87878005"
HEART = "80891009"

#: CID 12227 and 12228: method -> how an ejection fraction was measured.
METHODS = {
    "125207": "ultrasound biplane",
    "125204": "ultrasound biplane",
    "125211": "ultrasound biplane",
    "125208": "ultrasound single plane",
    "125205": "ultrasound single plane",
    "125226": "ultrasound single plane",
    "125209": "ultrasound Teichholz",
    "125206": "ultrasound cube",
    "125228": "ultrasound bullet",
    "125227": "ultrasound Simpson",
    "258083009": "visual estimate",
}
#: CID 12224, image mode, where no method is told.
MODES = {"426865009": "ultrasound 3D"}

#: CID 12301: the value that the report stands for.
CHOSEN = frozenset(("121410", "121411", "121412"))
#: CID 3488 and 3627, CID 12303: how a value came about. Every other derivation or type makes another quantity of it.
MEAN = "373098007"
PLAIN_TYPES = frozenset(
    ("125315", "125316", "113857", "258104002", "258090004", "414135002", "258083009", "371912002")
)  # fmt: skip

#: What a code around a measurement, or in it, makes of an ejection fraction.
CONTEXTS = {
    "432655005": "stress",  # cardiac stress state
    "434161005": "stress",  # peak
    "432554001": "stress",  # recovery
    "109091": "stress",
    "109095": "stress",
    "109096": "stress",
    "424064009": "stress",
    "424225000": "stress",
    "424444005": "stress",
    "422685009": "stress",
    "128965002": "stress",  # hand grip
    "261039008": "stress",  # Valsalva
    "18590009": "stress",  # pacing
    "121026": "other-patient",  # fetus
    "433235006": "other-patient",  # fetal echocardiography
    "121066": "prior",
    "121068": "prior",
    "121069": "prior",
    "18834-2": "prior",
    "55114-3": "prior",
}
RESTING = "128975004"
#: A container of stages (TID 5300): only what says that it was measured at rest counts in it.
STAGED = "125310"

#: Document titles (CID 7000, 12245) -> the examination, in words that the dictionary of names knows.
TITLES = {
    "125200": "echocardiography",
    "125195": "echocardiography",
    "125197": "echocardiography",
    "42148-7": "echocardiography",
    "122292": "ventriculography",
    "122600": "cardiac MR or CT",
    "122120": "cardiac catheterization",
    "18745-0": "cardiac catheterization",
    "126000": "",
    "25056-3": "",
    "25045-6": "",
    "25061-3": "",
    "49118-3": "",
    "18748-4": "",
    "11528-7": "",
}
#: Titles under which an ejection fraction is none of the patient's at rest.
OTHER_TITLES = {
    "125196": "other-patient",
    "125000": "other-patient",
    "11525-3": "other-patient",
    "11524-0": "prediction",
    "18752-6": "stress",
}
