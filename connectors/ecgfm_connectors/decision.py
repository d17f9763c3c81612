"""Every decision of the readers as a value: what was read, from where, by which rule, and what was left out and why."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ecgfm_connectors.patient import Patient

#: `lvef`, `troponin`, `death`, or a kind or finding that the site declares (`ecgfm_connectors.outcomes.site`).
Kind = str
#: The kind of a death, not of a measurement: 1 died at `observed_at`, 0 known to be alive then; without a unit.
DEATH: Kind = "death"
Rule = Literal[
    "site-code", "code", "name", "report", "report-conclusion", "report-selected", "report-mean", "report-biplane",
    "report-corrected", "report-current", "report-echo", "table", "",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where in a payload something was read."""

    place: str  #: the segment and field, `OBX[2]-5`, the content item of a structured report, or the row of a table
    code: str = ""  #: OBX-3 as system|code
    name: str = ""  #: OBX-3 in words
    text: str = field(default="", repr=False)  #: the value, or the sentence of a report
    span: tuple[int, int] = (0, 0)  #: of the number in `text`, in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A number that the report states and that is not the result: an earlier one, a limit, another chamber's."""

    reason: str
    text: str = field(repr=False)
    span: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Why a value was taken."""

    rule: Rule
    source: Source
    unused: tuple[Unused, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that may be an outcome and did not become one."""

    kind: Kind
    reason: str  #: stable, lower-case, hyphenated
    text: str  #: one sentence for people, free of patient data
    source: Source
    patient: Patient
    observed_at: datetime | None = None
    unused: tuple[Unused, ...] = ()
