"""What a hospital's committee reads before a model goes live, as one document: Markdown and HTML of the same fields.

HTI-1's source attributes, a model facts label (Sendak et al. 2020, doi:10.1038/s41746-020-0253-3), the items of
TRIPOD+AI (Collins et al. 2024, doi:10.1136/bmj-2023-078378) and where each is answered, a change record for a
predetermined change control plan (FDA, December 2024), and what was live when.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from ecgfm.checkpoint import Bundle
from ecgfm_clinical.learning.provenance import head_records
from ecgfm_clinical.learning.report.source_attributes import COMMITTEE, DEVELOPER, Field, source_attributes
from ecgfm_clinical.staging.model_records import KeptVerdict, ModelEvent
from ecgfm_clinical.staging.registry import MAKES_LIVE
from ecgfm_clinical.wording import phrase

#: Digests are longer than a column, and a telephone's screen is narrower than three columns.
_STYLE = """
body { font: 16px/1.4 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1, td { overflow-wrap: anywhere; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .3em; border-bottom: 1px solid #d0d5da; }
td:nth-child(2) { min-width: 8em; } @media print { tr { break-inside: avoid; } }
"""
_CARD = "The card of the model (`ecgfm-clinical model card`)"
_REPORT = "The report of the training (`report.html`)"
#: Item of TRIPOD+AI -> where it is answered; empty: a person's.
TRIPOD = (
    ("1", "Title", ""), ("2", "Abstract", ""), ("3", "Background", ""), ("4", "Objectives", ""),
    ("5", "Data: sources and dates", _REPORT), ("6", "Participants", _REPORT), ("7", "Data preparation", _CARD),
    ("8", "Outcome", _CARD), ("9", "Predictors", _CARD), ("10", "Sample size", _REPORT),
    ("11", "Missing data", _REPORT),
    ("12", "Analytical methods", _REPORT), ("13", "Class imbalance", _REPORT), ("14", "Fairness", _REPORT),
    ("15", "Model output", _CARD), ("16", "Training versus evaluation", _REPORT), ("17", "Ethical approval", ""),
    ("18", "Open science", ""), ("19", "Patient and public involvement", ""), ("20", "Participants: results", _REPORT),
    ("21", "Model development", _REPORT), ("22", "Model specification", "The bundle itself (`bundle.json`)"),
    ("23", "Model performance", _REPORT), ("24", "Model updating", "Change record, below"),
    ("25", "Interpretation", ""),
    ("26", "Limitations", ""), ("27", "Usability in the context of care", ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of the document."""

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The whole document."""

    title: str
    sections: tuple[Section, ...]

    @property
    def to_fill(self) -> tuple[str, ...]:
        """Every field that a person has to fill, in words."""
        return tuple(
            f"{section.title}, {one.number} {one.name}"
            for section in self.sections
            for one in section.fields
            if "TO BE FILLED" in one.text
        )


def pack(bundle: Bundle, events: Sequence[ModelEvent], verdicts: Sequence[KeptVerdict]) -> Pack:
    """`events`: of all models, oldest first; `verdicts`: of this model. Raises LearningError."""
    attributes = source_attributes(bundle)
    return Pack(
        title=f"{bundle.name}, version {bundle.version}, model {bundle.model_id}",
        sections=(
            Section(title="Model facts", fields=tuple(_facts(bundle, attributes))),
            Section(title="Source attributes (45 CFR 170.315(b)(11)(iv)(B))", fields=attributes),
            Section(title="TRIPOD+AI", fields=tuple(_tripod(bundle))),
            Section(title="Change record", fields=tuple(_changes(bundle, events, verdicts))),
            Section(title="What was live when", fields=tuple(_live(events))),
        ),
    )


def _facts(bundle: Bundle, attributes: Sequence[Field]) -> Iterator[Field]:
    known = {one.number: one.value for one in attributes}
    yield Field(number="1", name="Name", value=f"{bundle.name} {bundle.version}")
    yield Field(number="2", name="Locale", value=known["4.iv"])
    yield Field(number="3", name="Summary", value=known["1.iii"], by=DEVELOPER)
    encoders = f"{len(bundle.encoders)} ECG-FM encoders" if bundle.further_encoders else "ECG-FM encoder"
    yield Field(
        number="4", name="Mechanism", value=f"{encoders}, linear heads; input prepared as {bundle.preprocessing}"
    )
    yield Field(number="5", name="Validation and performance", value=known["7.i"], by=DEVELOPER)
    yield Field(number="6", name="Uses and directions", value=known["2.i"])
    yield Field(number="7", name="Warnings", value=known["3.i"])
    yield Field(number="8", name="Approval and date")


def _tripod(bundle: Bundle) -> Iterator[Field]:
    trained = any(one.trained is not None for one in head_records(bundle).values())
    for number, name, where in TRIPOD:
        answered = where if trained or where != _REPORT else ""
        yield Field(number=number, name=name, value=answered, by=DEVELOPER)


def _changes(bundle: Bundle, events: Sequence[ModelEvent], verdicts: Sequence[KeptVerdict]) -> Iterator[Field]:
    lineage = "; ".join(f"{one.name} {one.version} ({one.model_id[:12]})" for one in bundle.provenance.lineage)
    yield Field(number="1", name="Made from", value=lineage or "no other bundle")
    yield Field(number="2", name="Weights SHA-256", value=bundle.weights_sha256)
    for head, record in head_records(bundle).items():
        gate = "" if record.trained is None else f"The gate's rules: {phrase(_gate(record.to_json()))}"
        yield Field(number="3", name=f"What may change, and by which rules: {head}", value=gate)
    for one in verdicts:
        judged = "passed" if one.passed else "refused: " + "; ".join(one.reasons)
        yield Field(
            number="4", name=f"{one.at.isoformat(timespec='seconds')} {one.head} judged by {one.actor}", value=judged
        )
    for event in events:
        if event.model_id == bundle.model_id:
            name = f"{event.at.isoformat(timespec='seconds')} {event.action} by {event.actor}"
            yield Field(number="5", name=name, value=event.reason or "no reason was given")
    yield Field(number="6", name="Modifications that are planned, and their assessment of impact", by=COMMITTEE)


def _gate(told: object) -> dict[str, object]:
    gate = told.get("gate") if isinstance(told, dict) else None
    return dict(gate) if isinstance(gate, dict) else {}


def _live(events: Sequence[ModelEvent]) -> Iterator[Field]:
    made = [event for event in events if event.action in MAKES_LIVE]
    for number, event in enumerate(made):
        until = made[number + 1].at.isoformat(timespec="seconds") if number + 1 < len(made) else "today"
        name = f"{event.at.isoformat(timespec='seconds')} to {until}"
        yield Field(number=str(number + 1), name=name, value=f"model {event.model_id}, {event.action} by {event.actor}")
    if not made:
        yield Field(number="1", name="No model was live in this store", value="nothing was scored by it")


def markdown(pack: Pack) -> str:
    """One table a section; on top what is still to be filled."""
    lines = [f"# {pack.title}", "", f"{len(pack.to_fill)} fields are to be filled by a person.", ""]
    for section in pack.sections:
        lines += [f"## {section.title}", "", "| | field | value |", "|---|---|---|"]
        lines += [f"| {one.number} | {_cell(one.name)} | {_cell(one.text)} |" for one in section.fields]
        lines.append("")
    return "\n".join(lines)


def html(pack: Pack) -> str:
    """The same as a page of its own, without scripts."""
    parts = [
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{escape(pack.title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style>",
        f"<h1>{escape(pack.title)}</h1><p>{len(pack.to_fill)} fields are to be filled by a person.</p>",
    ]
    for section in pack.sections:
        parts.append(f"<h2>{escape(section.title)}</h2><table><tr><th>No.</th><th>Field</th><th>Value</th></tr>")
        parts += [
            f"<tr><td>{escape(one.number)}</td><td>{escape(one.name)}</td><td>{escape(one.text)}</td></tr>"
            for one in section.fields
        ]
        parts.append("</table>")
    return "\n".join(parts) + "</html>\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
