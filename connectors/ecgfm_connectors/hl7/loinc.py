"""LOINC codes that name a measured ejection fraction or a measured troponin: read as ground truth, never sent.

An ECG-based probability charted under one of these would look like an echo or laboratory value and fire rules.
"""

from typing import Literal

#: Left ventricular ejection fraction -> how it was measured (DICOM CID 3467, 3833, 12202 and loinc.org).
LVEF = {
    "10230-1": "",  # method not stated
    "18043-0": "ultrasound",
    "8806-2": "ultrasound 2D",
    "8808-8": "angiography",
    "8810-4": "CT",
    "8811-2": "MR",
}

Assay = Literal["hs-I", "hs-T", "I", "T"]

#: Cardiac troponin in blood, serum or plasma -> assay.
TROPONIN: dict[str, Assay] = {
    "10839-9": "I",
    "42757-5": "I",  # whole blood
    "49563-0": "I",  # detection limit 0.01 ng/mL
    "89579-7": "hs-I",
    "6598-7": "T",
    "6597-9": "T",  # venous blood
    "48425-3": "T",  # whole blood
    "67151-1": "hs-T",
}

#: Never in an outgoing message, whatever a site configures; the last two are the troponin panel and its interpretation.
MEASURED = frozenset(LVEF) | frozenset(TROPONIN) | {"89577-1", "89578-9"}
