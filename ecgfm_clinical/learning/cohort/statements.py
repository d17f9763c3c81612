"""The 17 interpretation labels from coded statements (SNOMED CT, SCP, Minnesota, MDC and carts' own codes) and from a
cart's words; the vocabularies are those of `ecgfm_connectors.statements`.

A label that a coding system cannot express is not known there, which is not the same as absent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgfm.heads import INTERPRETATION, INTERPRETATION_LABELS
from ecgfm_clinical.ecg.labels import BIF, FASCICLE, LABELS, RBBB
from ecgfm_clinical.learning.cohort.labelling import Exclusion, Labelled
from ecgfm_clinical.learning.documents import Notes
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeRow
from ecgfm_connectors.statements.vocabularies import VOCABULARIES, WHOLE, from_code
from ecgfm_connectors.statements.words import from_words as words


def from_statements(codes: tuple[str, ...], statements: tuple[str, ...]) -> tuple[float, ...] | None:
    """Labels from everything that is stated: a label is present where a code, the device's mark or its words say so;
    None where nothing is stated.
    """
    known = [row for row in (from_codes(codes), from_words(statements)) if row is not None]
    return tuple(float(value) for value in np.fmax.reduce(known)) if known else None


def from_codes(codes: tuple[str, ...]) -> tuple[float, ...] | None:
    """Labels from codes such as `SCP:SR` or `SNOMED:164889003`; None where none of the known systems is used.

    What a system that codes a whole recording could say and does not say is absent; what a device's own codes and marks
    do not say is not known.
    """
    used = {code.partition(":")[0] for code in codes} & set(VOCABULARIES)
    if not used:
        return None
    parts = (code.partition(":") for code in codes)
    stated = (from_code(system, code) for system, _, code in parts if system in used)
    told = {label for one in stated for label in LABELS.get(one.concept, ())}
    concepts = {concept for system in used & WHOLE for concept in VOCABULARIES[system].values()}
    expressible = {label for concept in concepts for label in LABELS.get(concept, ())} | told
    if {FASCICLE, RBBB} <= expressible:
        expressible |= {BIF}
    return _row(told, expressible)


def from_words(statements: tuple[str, ...]) -> tuple[float, ...] | None:
    """Labels from the cart's own statements; None where it wrote nothing. What a statement thinks possible counts, what
    it denies does not.
    """
    if not any(statement.strip() for statement in statements):
        return None
    said = (one for text in statements for one in words(text) if one.certainty != "denied")
    return _row({label for one in said for label in LABELS.get(one.concept, ())}, set(INTERPRETATION_LABELS))


def _row(told: set[str], expressible: set[str]) -> tuple[float, ...]:
    if FASCICLE in told and RBBB in told:
        told = told | {BIF}
    return tuple(float(label in told) if label in expressible else float("nan") for label in INTERPRETATION_LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The interpretation head's labels, from codes and words."""

    labels: tuple[str, ...] = INTERPRETATION_LABELS
    target: str = INTERPRETATION.target
    outcome_kind: None = None

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        found = from_statements(ecg.codes, ecg.statements)
        if found is None:
            return Exclusion(code="no-label", text="no coded statement and no words of the cart")
        return Labelled(labels=found)

    def to_json(self) -> Notes:
        return {"rule": "statements", "labels": list(self.labels)}
