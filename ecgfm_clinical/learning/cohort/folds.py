"""Patients dealt to folds, each with its share of every label; the same patients and labels give the same folds."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.learning.cohort.members import Member


def dealt(members: Sequence[Member], folds: int) -> NDArray[np.int_]:
    """The fold of each member: all of a patient in one, and of each split and label as many in each as can be.

    Patients are dealt out like cards, sorted by split and labels and then by a hash of their key.
    """
    known: dict[str, tuple[str, tuple[float, ...]]] = {}
    for member in members:
        patient = member.example.patient
        _, before = known.get(patient, ("", (-1.0,) * len(member.example.labels)))
        own = np.nan_to_num(np.array(member.example.labels), nan=-1.0)
        known[patient] = (member.split, tuple(np.maximum(before, own).tolist()))
    order = sorted(known, key=lambda patient: (known[patient], _hash(patient)))
    fold_of = {patient: place % folds for place, patient in enumerate(order)}
    return np.array([fold_of[member.example.patient] for member in members])


def _hash(patient: str) -> str:
    return hashlib.sha256(f"ecgfm cross-fitting {patient}".encode()).hexdigest()
