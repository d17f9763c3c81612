"""Codes that name a measured ejection fraction or a measured troponin: read as ground truth, never sent.

An ECG-based probability charted under one of these would look like an echo or laboratory value and fire rules. LOINC
and DCM codes of echo are those of DICOM PS3.16: TID 5200 with CID 12200, 12202 and 12300 (echo), CID 3467
(angiography), CID 3833 (CT, MR).
"""

from typing import Literal

#: Left ventricular ejection fraction, LOINC -> how it was measured.
LVEF = {
    "10230-1": "",  # method not stated
    "18043-0": "ultrasound",
    "8806-2": "ultrasound 2D",
    "79991-6": "ultrasound biplane",
    "79990-8": "ultrasound 3D",
    "79992-4": "ultrasound single plane",
    "79993-2": "ultrasound single plane",
    "104255-5": "ultrasound single plane",  # 3D, three-chamber view, estimated
    "77891-0": "ultrasound Teichholz",
    "18049-7": "ultrasound Teichholz",
    "77889-4": "ultrasound cube",  # M-mode
    "8808-8": "angiography",
    "8810-4": "CT",
    "8811-2": "MR",
}
#: The same in SNOMED CT: 70822001 (cardiac ejection fraction, CID 12252) stands for the left ventricle in echo reports.
LVEF_SNOMED = {"250908004": "", "70822001": ""}

Assay = Literal["hs-I", "hs-T", "I", "T", ""]

#: Cardiac troponin in blood, serum or plasma, mass by volume, LOINC -> assay.
TROPONIN: dict[str, Assay] = {
    "10839-9": "I",
    "42757-5": "I",  # whole blood
    "49563-0": "I",  # detection limit 0.01 ng/mL
    "89579-7": "hs-I",
    "106906-1": "hs-I",  # serum, plasma or whole blood
    "6598-7": "T",
    "6597-9": "T",  # venous blood
    "48425-3": "T",  # whole blood
    "67151-1": "hs-T",
}
#: The same in SNOMED CT, which does not tell the assay: 105000003, troponin measurement.
TROPONIN_SNOMED: dict[str, Assay] = {"105000003": ""}

#: Codes (LOINC, DCM) whose name holds the same words and that measure something else -> what.
LVEF_OTHERS = {
    "8815-3": "other-chamber",
    "8817-9": "other-chamber",
    "8818-7": "other-chamber",
    "104258-9": "limit",  # the lower end of an estimated range
    "122406": "other-chamber",  # DCM, left atrial
    "122495": "regional",  # DCM
    "122498": "regional",  # DCM, a slice
    "122768": "change",  # DCM, difference in ejection fraction
}
TROPONIN_OTHERS = {
    "89576-3": "panel",
    "89577-1": "panel",
    "89575-5": "interpretation",
    "89578-9": "interpretation",
    "89581-3": "limit",  # 99th percentile
    "89580-5": "limit",  # coefficient of variation at the 99th percentile
    "87706-8": "limit",  # of detection
    "48426-1": "method",  # presence, whole blood
    "101375-4": "change",  # 2 h after the first draw
    "101913-2": "change",  # of the first draw, percent
}

#: Never in an outgoing message, whatever a site configures: measured values, troponin panels and their interpretations.
MEASURED = frozenset(LVEF) | frozenset(TROPONIN) | {"89576-3", "89577-1", "89575-5", "89578-9"}
