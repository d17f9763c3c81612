"""The 17 interpretation labels from coded statements (SNOMED CT, SCP-ECG) or, where there are none, from a cart's words.

SNOMED CT codes are those of the PhysioNet/CinC challenges 2020–2021, SCP codes those of PTB-XL (EN 1064, annex on codes).
A label that a coding system cannot express is not known there, which is not the same as absent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecgfm.heads import INTERPRETATION, INTERPRETATION_LABELS
from ecgfm_clinical.learning.cohort.labelling import Exclusion, Labelled
from ecgfm_clinical.learning.documents import Notes
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeRow

SINUS, PVC, TACHY, VT = "Sinus rhythm", "Premature ventricular contraction", "Tachycardia", "Ventricular tachycardia"
AF, AFL, BRADY, PRE = "Atrial fibrillation", "Atrial flutter", "Bradycardia", "Accessory pathway conduction"
AVB, AVB1, BIF = "Atrioventricular block", "1st degree atrioventricular block", "Bifascicular block"
RBBB, LBBB, MI, PACED = "Right bundle branch block", "Left bundle branch block", "Infarction", "Electronic pacemaker"

#: Half of a bifascicular block; with a right bundle branch block it is one.
FASCICLE = "fascicular block"

SNOMED: Mapping[str, tuple[str, ...]] = {
    "426783006": (SINUS,),  # sinus rhythm
    "427084000": (SINUS, TACHY),  # sinus tachycardia
    "426177001": (SINUS, BRADY),  # sinus bradycardia
    "427393009": (SINUS,),  # sinus arrhythmia
    "427172004": (PVC,),  # premature ventricular contractions
    "17338001": (PVC,),  # ventricular premature beats
    "164884008": (PVC,),  # ventricular ectopics
    "3424008": (TACHY,),
    "426761007": (TACHY,),  # supraventricular tachycardia
    "713422000": (TACHY,),  # atrial tachycardia
    "164895002": (TACHY, VT),
    "164889003": (AF,),
    "164890007": (AFL,),
    "426627000": (BRADY,),
    "74390002": (PRE,),  # Wolff-Parkinson-White
    "195060002": (PRE,),  # ventricular pre-excitation
    "233917008": (AVB,),
    "270492004": (AVB, AVB1),
    "195042002": (AVB,),  # second degree
    "54016002": (AVB,),  # Mobitz I
    "426183003": (AVB,),  # Mobitz II
    "27885002": (AVB,),  # complete
    "59118001": (RBBB,),
    "713427006": (RBBB,),  # complete
    "164909002": (LBBB,),
    "733534002": (LBBB,),  # complete
    "445118002": (FASCICLE,),  # left anterior
    "445211001": (FASCICLE,),  # left posterior
    "164865005": (MI,),
    "57054005": (MI,),  # acute
    "164867002": (MI,),  # old
    "54329005": (MI,),  # acute anterior
    "10370003": (PACED,),
}

SCP: Mapping[str, tuple[str, ...]] = {
    "SR": (SINUS,),
    "STACH": (SINUS, TACHY),
    "SBRAD": (SINUS, BRADY),
    "SARRH": (SINUS,),
    "PVC": (PVC,),
    "BIGU": (PVC,),
    "TRIGU": (PVC,),
    "SVTAC": (TACHY,),
    "PSVT": (TACHY,),
    "AFIB": (AF,),
    "AFLT": (AFL,),
    "WPW": (PRE,),
    "1AVB": (AVB, AVB1),
    "2AVB": (AVB,),
    "3AVB": (AVB,),
    "CRBBB": (RBBB,),
    "CLBBB": (LBBB,),
    "LAFB": (FASCICLE,),
    "LPFB": (FASCICLE,),
    **dict.fromkeys(("AMI", "ALMI", "ASMI", "IMI", "ILMI", "IPMI", "IPLMI", "LMI", "PMI"), (MI,)),
    "PACE": (PACED,),
}

#: What carts write, in English; a word counts unless it is denied right before.
WORDS: Mapping[str, str] = {
    "Poor data quality": r"poor data quality|poor quality data|artifact|artefact",
    SINUS: r"sinus (?:rhythm|tachycardia|bradycardia|arrhythmia)",
    PVC: r"(?:premature ventricular|ventricular premature|ventricular ectopic|\bpvcs?\b|\bvpcs?\b)",
    TACHY: r"tachycardia",
    VT: r"(?<!supra)ventricular tachycardia",
    "Supraventricular tachycardia with aberrancy": r"supraventricular tachycardia with aberr",
    AF: r"atrial fibrillation",
    AFL: r"atrial flutter",
    BRADY: r"bradycardia",
    PRE: r"wolff|pre-?excitation|accessory pathway",
    AVB: r"(?:\bav\b|a-v|atrioventricular) (?:conduction )?block",
    AVB1: r"(?:1st|first) degree",
    BIF: r"bifascicular block",
    RBBB: r"(?<!incomplete )right bundle branch block|\brbbb\b",
    LBBB: r"(?<!incomplete )left bundle branch block|\blbbb\b",
    MI: r"infarct",
    PACED: r"pace(?:d|maker)|pacing",
}
_DENIED = r"(?:\bno|\bnot|without) (?:\w+ ){0,2}"
_PATTERNS = {label: re.compile(words, re.IGNORECASE) for label, words in WORDS.items()}
_DENIALS = {label: re.compile(_DENIED + f"(?:{words})", re.IGNORECASE) for label, words in WORDS.items()}


def from_codes(codes: tuple[str, ...]) -> tuple[float, ...] | None:
    """Labels from codes such as `SCP:SR` or `SNOMED:164889003`; None where none of the two systems is used."""
    systems = {"SNOMED": SNOMED, "SCP": SCP}
    used = {code.partition(":")[0] for code in codes} & set(systems)
    if not used:
        return None
    told = set()
    for code in codes:
        system, _, value = code.partition(":")
        told |= set(systems.get(system, {}).get(value, ()))
    if FASCICLE in told and RBBB in told:
        told.add(BIF)
    expressible = {label for system in used for labels in systems[system].values() for label in labels} | {BIF}
    return tuple(float(label in told) if label in expressible else float("nan") for label in INTERPRETATION_LABELS)


def from_words(statements: tuple[str, ...]) -> tuple[float, ...] | None:
    """Labels from the cart's own statements; None where it wrote nothing."""
    if not any(statement.strip() for statement in statements):
        return None
    return tuple(float(any(_says(label, one) for one in statements)) for label in INTERPRETATION_LABELS)


def _says(label: str, statement: str) -> bool:
    return bool(_PATTERNS[label].search(_DENIALS[label].sub("", statement)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The interpretation head's labels, from codes before words."""

    labels: tuple[str, ...] = INTERPRETATION_LABELS
    target: str = INTERPRETATION.target
    outcome_kind: None = None

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        found = from_codes(ecg.codes) or from_words(ecg.statements)
        if found is None:
            return Exclusion(code="no-label", text="no coded statement and no words of the cart")
        return Labelled(labels=found)

    def to_json(self) -> Notes:
        return {"rule": "statements", "labels": list(self.labels)}
