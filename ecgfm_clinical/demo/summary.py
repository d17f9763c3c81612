"""What the demo shows at its end: one row an ECG, one of the messages, the sum that must close, and where
things lie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfm_clinical.demo.deliveries import Delivery, by_source_id
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.story_records import EcgSummary

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from ecgfm_clinical.demo.hospital import Answered, Hospital

#: Heads that have one label, and what their column is called.
COLUMNS = {"reduced_lvef": "LVEF≤40", "troponin": "Troponin"}
#: The same in a line of its own.
WORDS = {"reduced_lvef": "P(LVEF ≤ 40 %)", "troponin": "P(troponin raised)"}
#: State of a row without an ECG: the payload is kept with the reason.
SET_ASIDE = "set aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One ECG, or one payload that turned out to hold none."""

    ecg_id: int | None
    source: str  #: how it came, and what its sender was told
    patient: str  #: an invented name, or a file name
    order: str
    about: str
    state: str
    findings: tuple[str, ...]  #: what the decoder noticed
    reasons: tuple[str, ...]  #: why a head gave no number, `head: code` where not all heads agree
    probabilities: dict[str, float | None]  #: by head with one label
    positive: tuple[str, ...]  #: labels at or above their threshold: heads with one label first, then the most probable
    control_id: str
    acknowledged: str  #: MSA-1 of the EHR


def rows(hospital: "Hospital", deliveries: Sequence[Delivery]) -> list[Row]:
    """Everything that was sent, in the order in which it was staged; what could not be staged last."""
    told = {id(one.delivery): one for one in hospital.answers}
    known = by_source_id(deliveries)
    summaries = sorted(hospital.store.ecgs.newest(limit=len(deliveries) * 4 + 100), key=lambda one: one.ecg_id)
    staged = [_row(one, known.get(one.source_id), told) for one in summaries]
    return staged + [_set_aside(one, told) for one in deliveries if not one.source_ids]


def _row(one: EcgSummary, delivery: Delivery | None, told: "dict[int, Answered]") -> Row:
    ack = next((message for message in one.messages if message.ack_code), None)
    single = {score.head: score.probability for score in one.scores if score.head in COLUMNS}
    hits = sorted((s for s in one.scores if s.positive), key=lambda s: (s.head not in COLUMNS, -(s.probability or 0.0)))
    return Row(
        ecg_id=one.ecg_id,
        source=_source(delivery, told) if delivery else one.source,
        patient=delivery.patient if delivery else "",
        order=delivery.order if delivery else "",
        about=delivery.about if delivery else "",
        state=one.state.value,
        findings=tuple(finding.code for finding in one.findings),
        reasons=tuple(_reasons(one)),
        probabilities=single,
        positive=tuple(score.label for score in hits),
        control_id=one.messages[0].control_id if one.messages else "",
        acknowledged=(ack.ack_code or "") if ack else "",
    )


def _reasons(one: EcgSummary) -> Iterator[str]:
    """Each reason once; with its heads where other heads were scored all the same."""
    by_code: dict[str, list[str]] = {}
    for score in one.scores:
        for code, _ in score.reasons:
            heads = by_code.setdefault(code, [])
            if score.head not in heads:
                heads.append(score.head)
    everyone = {score.head for score in one.scores}
    for code, heads in by_code.items():
        yield code if set(heads) == everyone else f"{code} ({', '.join(heads)})"


def _set_aside(delivery: Delivery, told: "dict[int, Answered]") -> Row:
    return Row(
        ecg_id=None,
        source=_source(delivery, told),
        patient=delivery.patient,
        order=delivery.order,
        about=delivery.about,
        state=SET_ASIDE,
        findings=(),
        reasons=(delivery.problem,),
        probabilities={},
        positive=(),
        control_id="",
        acknowledged="",
    )


def _source(delivery: Delivery, told: "dict[int, Answered]") -> str:
    answer = told.get(id(delivery))
    return f"{delivery.route} {answer.text}" if answer else delivery.route


WIDE = 110  #: characters from which on every column has its place


def table(found: Sequence[Row], *, width: int = WIDE) -> "Table":
    """The rows for people; a narrow terminal gets both identifiers in one column, below each other."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    narrow = width < WIDE
    shown = Table(
        title="One row an ECG", title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    shown.add_column("ECG", justify="right")
    for name in ("Came by", "Patient, order") if narrow else ("Came by", "Patient", "Order"):
        shown.add_column(name, no_wrap=not narrow, max_width=16 if narrow else 24)
    shown.add_column("Made as")
    for name in COLUMNS.values():
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("Positive, or why not evaluable")
    shown.add_column("EHR")
    for row in found:
        shown.add_row(
            str(row.ecg_id or "–"),
            row.source,
            *((f"{row.patient}\n{row.order}",) if narrow else (row.patient, row.order)),
            row.about,
            *(_percent(row.probabilities.get(head)) for head in COLUMNS),
            _verdict(row),
            Text(row.acknowledged or "–", style="green" if row.acknowledged == "AA" else ""),
        )
    return shown


def _percent(probability: float | None) -> str:
    return "–" if probability is None else f"{100 * probability:.0f} %"


def _verdict(row: Row) -> "Text":
    """Findings of the decoder, reasons not to score, and what is positive."""
    from rich.text import Text

    colour = {
        EcgState.SCORED.value: "",
        EcgState.NOT_EVALUABLE.value: "yellow",
        EcgState.FAILED.value: "red",
        SET_ASIDE: "red",
    }
    said = (*row.findings, *row.reasons, *(label.replace("_", " ") for label in row.positive))
    words = ", ".join(dict.fromkeys(said))  # some findings are reasons, too
    text = words or ("nothing positive" if row.state == EcgState.SCORED.value else row.state)
    return Text(text, style=colour.get(row.state, ""))


def document(
    hospital: "Hospital", found: Sequence[Row], *, message: bytes, picture: Path, seconds: float
) -> dict[str, object]:
    """The same for programs."""
    return {
        "folder": str(hospital.folder),
        "settings": str(hospital.settings_path),
        "store": str(hospital.folder / "staging.sqlite"),
        "picture": str(picture),
        "seconds": round(seconds, 1),
        "counts": asdict(hospital.store.questions.counts()),
        "acknowledged": acknowledged(found),
        "ehr_received": len(hospital.ehr.messages),
        "ecgs": [asdict(row) for row in found],
        "oru": message.decode("utf-8", "replace").replace("\r", "\n"),
    }


def acknowledged(found: Sequence[Row]) -> int:
    """How many results the EHR accepted."""
    return sum(row.acknowledged == "AA" for row in found)


def chosen(found: Sequence[Row]) -> Row | None:
    """The ECG whose picture and message are shown: the surest positive head, else the first that was scored."""
    scored = [row for row in found if row.state == EcgState.SCORED.value]
    striking = [row for row in scored if set(row.positive) & set(COLUMNS)]
    striking.sort(key=lambda row: -max(p for p in row.probabilities.values() if p is not None))
    return next(iter([*striking, *scored, *(row for row in found if row.ecg_id)]), None)
