"""The Minnesota code (Prineas, Crow and Zhang, 2nd edition, 2010) as concepts of `statement.CATEGORIES`.

All nine groups are here. A longer code is a kind of the shorter one, so a group stands for its codes: 1 Q waves, 2
axis, 3 high R waves, 4 ST depression, 5 T waves, 6 AV conduction, 7 ventricular conduction, 8 rhythm, 9 other. A Q wave
(1-1) is coded by its size: the code names no infarction and is none here.
"""

from collections.abc import Mapping

_STATED = {
    "av-block": "6-1 6-2",
    "av-block-1": "6-3",
    "pre-excitation": "6-4",
    "paced": "6-8",
    "left-bundle-branch-block": "7-1",
    "right-bundle-branch-block": "7-2",
    "fascicular-block": "7-7",
    "bifascicular-block": "7-8",
    "premature-ventricular": "8-1-2",
    "atrial-fibrillation": "8-3-1",
    "atrial-flutter": "8-3-2",
    "sinus-tachycardia": "8-7",
    "sinus-bradycardia": "8-8",
    "other": "1 2 3 4 5 6-5 6-6 7-3 7-4 7-5 7-6 7-9 7-10 8-1-1 8-1-3 8-1-4 8-1-5 8-2 8-4 8-5 8-6 9",
}

MINNESOTA: Mapping[str, str] = {code: concept for concept, codes in _STATED.items() for code in codes.split()}


def concept_of(code: str) -> str | None:
    """The concept of the code, or of the longest shorter code that contains it."""
    parts = code.replace(".", "-").split("-")
    shorter = ("-".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((MINNESOTA[one] for one in shorter if one in MINNESOTA), None)
