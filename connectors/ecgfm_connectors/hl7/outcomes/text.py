"""Reads the ejection fraction that the text of an order's report states: the TX, FT and ST observations as one text."""

import re

from ecgfm_connectors.decision import Decision, LeftOut, Source
from ecgfm_connectors.hl7.message import Segment
from ecgfm_connectors.hl7.outcomes.observations import Read
from ecgfm_connectors.hl7.outcomes.order import Order
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.outcomes import dictionary, names
from ecgfm_connectors.outcomes.report import reader
from ecgfm_connectors.outcomes.report.reader import Reading
from ecgfm_connectors.outcomes.report.statements import Statement

_TEXTS = frozenset(("TX", "FT", "ST"))
_INLINE = re.compile(r"</?(?:b|i|u|em|strong|span|font|sub|sup|a)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)
_BLOCK = re.compile(
    r"</?(?:p|br|div|tr|table|tbody|li|ul|ol|h[1-6]|html|body|head|hr|pre)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE
)
_NAMED = 3  #: observations whose names are asked whether this is an echo report
_SENTENCES = {
    "lvef-ambiguous": "the report states several ejection fractions, and none as its conclusion or biplane value",
    "lvef-not-present": "the report speaks of an ejection fraction, but not of a measured one of the present study",
    "lvef-unknown-words": "a word that no table knows stands beside the number and may make another one of it",
    "report-too-long": "the text is too long for a report",
}


def read(order: Order, observations: list[Segment]) -> Read | None:
    """The outcome of a report's text; None where it is no echo report, or says nothing of an ejection fraction."""
    texts = [(at, obx) for at, obx in enumerate(observations, start=1) if obx.value(2).upper() in _TEXTS and obx.raw(5)]
    if not texts or not _is_echo(order, [obx for _, obx in texts]):
        return None
    position, first = texts[0]
    status = order.status(first)
    if status is None:
        return None
    moment = order.observed(first)
    text = "\n".join(_plain(obx.text(5)) for _, obx in texts)
    reading = reader.read(text, moment.at.date() if moment else None, order.table.harmless())
    if reading.found is None and reading.reason is None:
        return None
    coded = order.coded(first)
    code = coded.codes[0] if coded.codes else ("", "")
    source = _source(reading, f"{code[1] or 'L'}|{code[0]}", coded.names, position)
    if reading.found is None or moment is None:
        reason = reading.reason or "outcome-without-time"
        return Read(
            left_out=LeftOut(
                kind="lvef",
                reason=reason,
                text=_SENTENCES.get(reason, "neither OBX-14 nor OBR-7 nor TXA-4 tells when it was measured"),
                source=source,
                patient=order.patient,
                observed_at=moment.at if moment else None,
                unused=reading.unused,
            )
        )
    found = reading.found
    return Read(
        outcome=Outcome(
            source_id=order.source_id(first, "lvef") + "|text",
            patient=order.patient,
            kind="lvef",
            value=float(found.low),
            upper_value=None if found.high is None else float(found.high),
            comparator=found.comparator,
            unit="%",
            code=source.code,
            assay="report text",
            observed_at=moment.at,
            precision=moment.precision,
            status=status,
            text=found.sentence.strip(),
            decision=Decision(rule=reading.rule, source=source, unused=reading.unused),
        )
    )


def _plain(text: str) -> str:
    """Without the line breaks of FT that were escaped twice, and without HTML's tags; `<30 %` is no tag."""
    text = text.replace("\\.br\\", "\n").replace("&nbsp;", " ")
    return _INLINE.sub("", _BLOCK.sub("\n", text))


def _source(reading: Reading, code: str, named: tuple[str, ...], position: int) -> Source:
    """The sentence and the number's place in it."""
    found: Statement | None = reading.found
    name = named[0] if named else ""
    return Source(
        place=f"OBX[{position}]-5",
        code=code,
        name=name,
        text=found.sentence if found else "",
        span=found.span if found else (0, 0),
    )


def _is_echo(order: Order, texts: list[Segment]) -> bool:
    """Whether the order, or one of the first observations, names an examination of the heart that measures it."""
    services = [names.service(order.service)]
    for obx in texts[:_NAMED]:
        coded = order.coded(obx)
        services.append(names.service(" ".join((*coded.names, *(code for code, _ in coded.codes)))))
        if dictionary.identify(coded, order.table) is not None:
            services.append("cardiac")
    return "cardiac" in services and not {"other-patient", "other-organ", "prediction"} & set(services)
