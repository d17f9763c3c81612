"""Read a European Data Format file (EDF, EDF+; Kemp 1992, 2003) that holds the leads of one ECG.

Own code: the format is a page long, and a library would bring more than it saves.
"""

import re
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.assembly import Channel, assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext, require_length
from ecgfm_connectors.ecg import AcquiredAt, Ecg, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.leads import Lead, from_label
from ecgfm_connectors.numbers import parse_number
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.times import locate
from ecgfm_connectors.units import millivolts

#: Widths of the fields that follow one after another, each for all signals in turn.
_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
#: What stands for the number of data records while a recording is being written.
_UNKNOWN = -1
_LABEL, _UNIT, _PHYSICAL_MIN, _PHYSICAL_MAX, _DIGITAL_MIN, _DIGITAL_MAX, _COUNT = 0, 2, 3, 4, 5, 6, 8


def read(content: bytes, context: ReadingContext) -> Contents:
    """The one ECG of an EDF file; channels that are no standard lead are left out.

    Raises Unreadable: `edf-header`, `waveform-length`, `sampling-frequency`; Refused: `no-sensitivity`,
    `unknown-unit`, `edf-discontinuous` and what `assemble` refuses.
    """
    fields, records, duration = _header(content)
    findings: list[Finding] = []
    leads = {index: lead for index, label in enumerate(fields[_LABEL]) if (lead := _lead(label)) and lead.canonical}
    if not leads:
        raise Refused("not-12-lead", "no signal is one of the 12 standard leads")
    counts = [_whole(text, "samples a record") for text in fields[_COUNT]]
    if records == _UNKNOWN:
        records = _records_there(content, counts)
        text = "the header does not say how many data records follow (-1): all that are there are taken"
        findings.append(Finding(code="header-malformed", text=text))
    if len({counts[index] for index in leads}) != 1:
        raise Refused("not-simultaneous", "the leads have different sampling rates")
    raw = _raw_samples(content, counts, records)
    rate = counts[next(iter(leads))] / duration
    assembled = assemble(
        [Channel(lead=lead, samples=_millivolts(raw[index], fields, index, lead)) for index, lead in leads.items()]
    )
    acquired = _acquired(content, context)
    if acquired is None:
        findings.append(Finding(code="acquisition-time-missing", text="the header gives no usable time"))
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="edf",
        patient=Patient(),  # the 80 characters of free text identify no patient reliably
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        findings=(*findings, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _lead(label: str) -> Lead | None:
    return from_label(label.strip())


def _whole(text: str, what: str) -> int:
    value = parse_number(text)
    if value is None or value != int(value) or not 0 <= value < 2**31:
        raise Unreadable("edf-header", f"the number of {what} is no whole number")
    return int(value)


def _decimal(text: str) -> float | None:
    """A number of the header; EDF allows only a point, some programs write their country's comma. A comma before three
    digits may part thousands as well: such a number is none.
    """
    if re.fullmatch(r"[-+]?\d+,(?:\d{1,2}|\d{4,})", text):
        text = text.replace(",", ".")
    return parse_number(text)


def _header(content: bytes) -> tuple[list[list[str]], int, float]:
    """The fields of all signals, the number of data records, and the duration of one in s."""
    text = content[: 256 * 513].decode("latin-1").replace("\0", " ")
    if len(text) < 256:
        raise Unreadable("edf-header", "the file is shorter than its header")
    if text[192:197] == "EDF+D":
        raise Refused("edf-discontinuous", "an interrupted recording (EDF+D) is not one ECG")
    signals = _whole(text[252:256], "signals")
    if not 0 < signals <= 512 or len(content) < 256 * (signals + 1):
        raise Unreadable("edf-header", "the file is shorter than its header, or has no signals")
    fields, start = [], 256
    for width in _FIELDS:
        fields.append([text[start + width * n : start + width * (n + 1)].strip() for n in range(signals)])
        start += width * signals
    duration = _decimal(text[244:252].strip())
    if duration is None or duration <= 0:
        raise Unreadable("sampling-frequency", "a data record has no duration")
    written = text[236:244].strip()
    return fields, _UNKNOWN if written == "-1" else _whole(written, "data records"), duration


def _records_there(content: bytes, counts: list[int]) -> int:
    """The number of whole data records in the file."""
    return (len(content) - 256 * (len(counts) + 1)) // max(1, 2 * sum(counts))


def _raw_samples(content: bytes, counts: list[int], records: int) -> list[NDArray[np.int16]]:
    """(samples,) for each signal. Raises Unreadable where the file is not as long as its header says."""
    start, frame = 256 * (len(counts) + 1), sum(counts)
    if records <= 0 or frame <= 0 or len(content) - start < 2 * records * frame:
        raise Unreadable("waveform-length", "the file holds fewer samples than its header declares")
    require_length(records * frame)
    table = np.frombuffer(content, dtype="<i2", count=records * frame, offset=start).reshape(records, frame)
    edges = np.concatenate(([0], np.cumsum(counts)))
    return [table[:, edges[n] : edges[n + 1]].reshape(-1) for n in range(len(counts))]


def _millivolts(raw: NDArray[np.int16], fields: list[list[str]], index: int, lead: Lead) -> NDArray[np.float32]:
    """Physical value from the two ranges of the header."""
    columns = (_PHYSICAL_MIN, _PHYSICAL_MAX, _DIGITAL_MIN, _DIGITAL_MAX)
    low, high, digital_low, digital_high = (_decimal(fields[column][index]) for column in columns)
    if low is None or high is None or digital_low is None or digital_high is None or digital_low == digital_high:
        raise Refused("no-sensitivity", f"lead {lead.name} has no usable physical and digital range")
    unit = millivolts(fields[_UNIT][index])
    if unit is None:
        raise Refused("unknown-unit", f"lead {lead.name} is not in a unit of voltage, or does not say which")
    gain = (high - low) / (digital_high - digital_low)
    return (((raw.astype(np.float64) - digital_low) * gain + low) * unit).astype(np.float32)


def _acquired(content: bytes, context: ReadingContext) -> AcquiredAt | None:
    """dd.mm.yy hh.mm.ss, years 1985–2084 by the standard's rule; local time of the site."""
    written = content[168:184].decode("ascii", errors="replace")
    try:
        moment = datetime.strptime(written, "%d.%m.%y%H.%M.%S")  # noqa: DTZ007 - located in the site's zone below
    except ValueError:
        return None
    year = moment.year % 100
    moment = moment.replace(year=1900 + year if year >= 85 else 2000 + year)
    return locate(moment, original=written, site=context.zone)
