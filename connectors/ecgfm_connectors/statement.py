"""One thing that a device says of an ECG, whatever code or language it says it in."""

from dataclasses import dataclass, field
from typing import Literal

Category = Literal["rhythm", "conduction", "pacing", "infarction", "quality", "test", "other", "unread"]
Certainty = Literal["stated", "possible", "denied"]

#: Concept -> its category. `other` is understood and of no concern to any gate, label or report; a statement of which
#: nothing is understood is `unread`.
CATEGORIES: dict[str, Category] = {
    "sinus-rhythm": "rhythm",
    "sinus-tachycardia": "rhythm",
    "sinus-bradycardia": "rhythm",
    "premature-ventricular": "rhythm",
    "tachycardia": "rhythm",
    "supraventricular-tachycardia": "rhythm",
    "supraventricular-tachycardia-aberrant": "rhythm",
    "ventricular-tachycardia": "rhythm",
    "atrial-fibrillation": "rhythm",
    "atrial-flutter": "rhythm",
    "bradycardia": "rhythm",
    "pre-excitation": "conduction",
    "av-block": "conduction",
    "av-block-1": "conduction",
    "right-bundle-branch-block": "conduction",
    "left-bundle-branch-block": "conduction",
    "fascicular-block": "conduction",
    "bifascicular-block": "conduction",
    "paced": "pacing",
    "infarction": "infarction",
    "poor-quality": "quality",
    "test-data": "test",
    "other": "other",
    "unread": "unread",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement; `wording` is the device's own and may have been typed by a person."""

    concept: str  #: a key of `CATEGORIES`
    certainty: Certainty = "stated"
    source: str  #: `words`, a key of `vocabularies.VOCABULARIES`, or a coding scheme as its sender names it
    code: str = ""  #: in that vocabulary; empty for words
    wording: str = field(default="", repr=False)

    @property
    def category(self) -> Category:
        """The concept's category."""
        return CATEGORIES[self.concept]
