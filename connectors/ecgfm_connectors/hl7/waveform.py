"""Reads waveforms written out in OBX: HL7 chapter 7 (CHN, TIM, WAV with NA or MA) and IHE PCD arrays (NA with MDC
codes).

Chapter 7 (2.5.1 §7.14–7.17): the suffix of OBX-3.1 says what an OBX holds, OBX-4 ties the OBXs of a channel together;
signal = (sample - baseline) × sensitivity × correction, and a value that a channel leaves out is that of the channel
before it. IHE PCD WCM: one NA a lead, its attributes in OBXs whose OBX-4 continues that of the NA (`1.7.6.2` ->
`1.7.6.2.1`).
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.assembly import Assembled, Channel, assemble
from ecgfm_connectors.context import MAX_SAMPLES
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.hl7.message import Segment
from ecgfm_connectors.leads import Lead, from_code, from_label, from_number
from ecgfm_connectors.numbers import parse_number, parse_numbers
from ecgfm_connectors.times import parse_timestamp
from ecgfm_connectors.units import millivolts

MAX_CHANNELS = 256  #: of one channel definition

_BLOCK = 65536  # characters of samples parsed at a time
_POTENTIALS = 131072 + 256  # MDC_ECG_ELEC_POTL_x = this + the lead's number (ISO/IEEE 11073-10101)
_PCD_ATTRIBUTE = re.compile(r"MDC_(ATTR_|EVT_INOP)")
_SAMPLING = {"MDC_ATTR_SAMP_RATE": 1.0, "MDC_ATTR_TIME_PD_SAMP": -1.0, "MDC_ATTR_TIME_PER_SAMP": -1.0}
_SECONDS = {"MDC_DIM_SEC": 1.0, "S": 1.0, "MDC_DIM_MILLI_SEC": 1e-3, "MS": 1e-3, "MDC_DIM_MICRO_SEC": 1e-6, "US": 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """The waveform of one order."""

    assembled: Assembled
    sampling_rate: float  #: Hz
    started: str  #: TIM or OBX-14, as sent; empty where neither is there
    first: Segment  #: the OBX by whose place the recording is identified


@dataclass(frozen=True, slots=True, kw_only=True)
class _Definition:
    """One CD: the definition of a channel of chapter 7."""

    names: tuple[str, ...] = ()
    sensitivity: float | None = None  # per unit of the samples, in `unit`
    unit: str = ""
    correction: float = 1.0
    baseline: float = 0.0
    skew: float = 0.0  # s
    rate: float | None = None  # Hz


def read_recording(observations: list[Segment]) -> Recording | None:
    """The waveform in the OBXs of one order, None where there is none.

    Raises Unreadable: `sample-text`, `channel-definition`, `channel-count`, `sampling-frequency`, `length-mismatch`,
    `too-large`; Refused: `no-sensitivity`, `unknown-unit`, `scale-doubtful`, `mixed-rates`, `lead-doubtful`, and what
    `assemble` refuses.
    """
    if any(_suffix(obx) == "WAV" for obx in observations):
        return _chapter_7(observations)
    arrays = [obx for obx in observations if obx.value(2).upper() == "NA" and _names_ecg(obx)]
    return _pcd(arrays, observations) if arrays else None


def is_part_of_waveform(obx: Segment) -> bool:
    """Whether an OBX belongs to a waveform rather than to the measurements beside it."""
    kind = obx.value(2).upper()
    return (
        kind in ("NA", "MA", "CD")
        or _suffix(obx) in ("TIM", "CHN", "WAV", "ANO")
        or _PCD_ATTRIBUTE.match(obx.value(3, 2)) is not None
    )


# --- chapter 7 --------------------------------------------------------------------------------------------------------


def _suffix(obx: Segment) -> str:
    return obx.value(3, 1, 2).upper()


def _chapter_7(observations: list[Segment]) -> Recording:
    definitions, started = _definitions(observations), ""
    starts: dict[str, str] = {}  # OBX-4 -> TIM
    samples: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    first = None
    for obx in observations:
        suffix, sub_id = _suffix(obx), obx.value(4)
        if suffix == "TIM":
            started = started or obx.value(5)
            starts.setdefault(sub_id, obx.value(5))
        elif suffix == "WAV":
            first = first or obx
            key = sub_id if sub_id in definitions or len(definitions) != 1 else next(iter(definitions))
            if key not in definitions:
                raise Unreadable("channel-definition", "a WAV OBX has no CHN OBX with the same OBX-4")
            for index, row in enumerate(_rows(obx, len(definitions[key]))):
                samples.setdefault((key, index), []).append(row)
    assert first is not None
    channels, rates = [], set()
    for (key, index), blocks in samples.items():
        definition = definitions[key][index]
        rates.add(definition.rate)
        if lead := _lead_of(definition.names):
            late = definition.skew + _later(starts.get(key, started), than=started)
            samples_late = late * (definition.rate or 0.0)
            scaled = _scaled(np.concatenate(blocks), definition)
            channels.append(Channel(lead=lead, samples=scaled, skew=samples_late))
    rate = _one_rate(rates)
    return Recording(assembled=assemble(channels), sampling_rate=rate, started=started, first=first)


def _definitions(observations: list[Segment]) -> dict[str, list[_Definition]]:
    """OBX-4 -> its channels, each completed by the channel before it."""
    found: dict[str, list[_Definition]] = {}
    previous = _Definition()
    for obx in observations:
        if _suffix(obx) == "CHN":
            repetitions = obx.repetitions(5)
            if len(repetitions) > MAX_CHANNELS:
                raise Unreadable("channel-count", f"{len(repetitions)} channels are defined in one OBX")
            for repetition in repetitions:
                previous = _definition(obx, repetition.split(obx.delimiters.component), previous)
                found.setdefault(obx.value(4), []).append(previous)
    return found


def _definition(obx: Segment, parts: list[str], previous: _Definition) -> _Definition:
    def number(component: int, subcomponent: int) -> float | None:
        return parse_number(obx.leaf(parts, component, subcomponent))

    sensitivity, correction, baseline = number(3, 1), number(4, 1), number(4, 2)
    return _Definition(
        names=(obx.leaf(parts, 1, 2), obx.leaf(parts, 2, 1)),
        sensitivity=sensitivity if sensitivity is not None else previous.sensitivity,
        unit=obx.leaf(parts, 3, 2) or previous.unit,
        correction=correction if correction is not None else previous.correction,
        baseline=baseline if baseline is not None else previous.baseline,
        skew=number(4, 3) or 0.0,
        rate=number(5, 1) or previous.rate,
    )


def _rows(obx: Segment, channels: int) -> list[NDArray[np.float64]]:
    """One row of samples a channel. MA: a repetition an instant, a component a channel. NA: a repetition a channel, or
    one long row broken into repetitions where there is one channel."""
    raw = obx.raw(5).strip()
    repetition, component = obx.delimiters.repetition, obx.delimiters.component
    if obx.value(2).upper() == "MA":
        instants = raw.split(repetition)
        widths = {instant.count(component) + 1 for instant in instants}
        if widths != {channels}:
            raise Unreadable(
                "channel-count", f"{channels} channels are defined, the samples are in {sorted(widths)[:4]}"
            )
        return list(_numbers(raw, obx).reshape(len(instants), channels).T)
    if channels == 1:
        return [_numbers(raw, obx)]
    rows = raw.split(repetition)
    if len(rows) != channels:
        raise Unreadable("channel-count", f"{channels} channels are defined, samples are there for {len(rows)}")
    return [_numbers(row, obx) for row in rows]


def _numbers(raw: str, obx: Segment) -> NDArray[np.float64]:
    """Samples, NaN where one is left out. Read in blocks, because a word costs twenty times its characters."""
    marks = obx.delimiters
    text = raw.replace(marks.repetition, marks.component)
    if text.count(marks.component) >= MAX_SAMPLES:
        raise Unreadable("too-large", f"more than {MAX_SAMPLES} samples")
    text = _without_spaces(text, marks.component)
    blocks, start = [], 0
    while start <= len(text):
        cut = text.find(marks.component, start + _BLOCK)
        end = len(text) if cut < 0 else cut
        blocks.append(_block(text[start:end].split(marks.component)))
        start = end + 1
    return np.concatenate(blocks)


def _block(words: list[str]) -> NDArray[np.float64]:
    if "" not in words:
        return parse_numbers(" ".join(words))
    missing = np.array([word == "" for word in words])
    return np.where(missing, np.nan, parse_numbers(" ".join(word or "0" for word in words)))


def _without_spaces(text: str, component: str) -> str:
    """Raises Unreadable `sample-text` where a component holds two numbers, which would shift the channels."""
    if len(text.split(maxsplit=1)) < 2 and text.strip() == text:
        return text
    words = [word.strip() for word in text.split(component)]
    if any(len(word.split()) > 1 for word in words):
        raise Unreadable("sample-text", "a component of the samples holds two numbers")
    return component.join(words)


def _scaled(samples: NDArray[np.float64], definition: _Definition) -> NDArray[np.float32]:
    if definition.sensitivity is None or not definition.unit:
        raise Refused("no-sensitivity", "a channel definition gives no sensitivity; the amplitudes have no unit")
    scale = definition.sensitivity * definition.correction * _unit(definition.unit)
    return ((samples - definition.baseline) * scale).astype(np.float32)


def _unit(unit: str) -> float:
    factor = millivolts(unit)
    if factor is None:
        raise Refused("unknown-unit", "the amplitudes are in a unit that is no voltage")
    return factor


def _one_rate(rates: set[float | None]) -> float:
    if len(rates) > 1:
        raise Refused("mixed-rates", "the leads were sampled at different rates")
    rate = rates.pop() if rates else None
    if rate is None or rate <= 0:
        raise Unreadable("sampling-frequency", "the sampling frequency is missing or not a number")
    return rate


def _later(text: str, *, than: str) -> float:
    """Seconds from one timestamp to another; 0 where one of them is no time."""
    moment, other = parse_timestamp(text), parse_timestamp(than)
    if moment is None or other is None or (moment.tzinfo is None) != (other.tzinfo is None):
        return 0.0
    return (moment - other).total_seconds()


def _lead_of(names: tuple[str, ...]) -> Lead | None:
    found = {lead for name in names if name and (lead := from_code(name) or from_label(_without_prefix(name)))}
    if len(found) > 1:
        raise Refused("lead-doubtful", "a channel is named as two different leads")
    return found.pop() if found else None


# --- IHE PCD ----------------------------------------------------------------------------------------------------------


def _pcd(arrays: list[Segment], observations: list[Segment]) -> Recording:
    samples: dict[str, list[NDArray[np.float64]]] = {}
    heads: dict[str, Segment] = {}
    for obx in arrays:
        heads.setdefault(obx.value(4), obx)
        samples.setdefault(obx.value(4), []).append(_numbers(obx.raw(5).strip(), obx))
    channels, rates, started = [], set(), arrays[0].value(14)
    for sub_id, blocks in samples.items():
        attributes = _attributes(sub_id, observations)
        lead = _mdc_lead(heads[sub_id])
        assert lead is not None
        rate = _rate(attributes)
        rates.add(rate)
        values = _masked(np.concatenate(blocks), attributes) * _scale(heads[sub_id], attributes, blocks)
        skew = _later(heads[sub_id].value(14), than=started) * (rate or 0.0)
        channels.append(Channel(lead=lead, samples=values.astype(np.float32), skew=skew))
    common = _one_rate(rates)
    return Recording(assembled=assemble(channels), sampling_rate=common, started=started, first=arrays[0])


def _attributes(sub_id: str, observations: list[Segment]) -> dict[str, Segment]:
    return {obx.value(3, 2): obx for obx in observations if obx.value(4).startswith(f"{sub_id}.")}


def _rate(attributes: dict[str, Segment]) -> float | None:
    for name, power in _SAMPLING.items():
        if (obx := attributes.get(name)) and (value := parse_number(obx.value(5))):
            if power > 0:
                return value
            seconds = _SECONDS.get(obx.value(6, 2).upper()) or _SECONDS.get(obx.value(6).upper())
            return 1 / (value * seconds) if seconds else None
    return None


def _scale(head: Segment, attributes: dict[str, Segment], blocks: list[NDArray[np.float64]]) -> float:
    """mV in one unit of the samples: OBX-6 where it is a voltage, else the resolution attribute with its own unit."""
    stated = millivolts(head.value(6, 2)) or millivolts(head.value(6))
    obx = attributes.get("MDC_ATTR_NU_MSMT_RES")
    step = parse_number(obx.value(5)) if obx else None
    unit = (millivolts(obx.value(6, 2)) or millivolts(obx.value(6))) if obx else None
    if stated is None:
        if step is None or unit is None:
            raise Refused("no-sensitivity", "neither OBX-6 nor a resolution says what one unit of the samples is")
        return step * unit
    whole = all(np.array_equal(block[np.isfinite(block)] % 1, np.zeros(np.isfinite(block).sum())) for block in blocks)
    if step is not None and step != int(step) and whole:
        # Whole numbers with a broken resolution are raw counts, although OBX-6 says they are a voltage already.
        raise Refused("scale-doubtful", "OBX-6 and the resolution attribute disagree on what the samples mean")
    return stated


def _masked(samples: NDArray[np.float64], attributes: dict[str, Segment]) -> NDArray[np.float64]:
    """NaN where a sample equals the value that MDC_EVT_INOP announces as "no signal" (0 and ±1 are signal)."""
    obx = attributes.get("MDC_EVT_INOP")
    invalid = parse_number(obx.value(5)) if obx else None
    if invalid is None or abs(invalid) <= 1:
        return samples
    return np.where(samples == invalid, np.nan, samples)


def _names_ecg(obx: Segment) -> bool:
    return "ECG" in obx.value(3, 2).upper() or _mdc_lead(obx) is not None


def _mdc_lead(obx: Segment) -> Lead | None:
    """The lead by its MDC code and by its name; both must agree, for gateways are known to number them freely."""
    code, name = obx.value(3), obx.value(3, 2)
    by_code = from_code(code)
    if by_code is None and re.fullmatch(r"131[345]\d\d", code):
        by_code = from_number(int(code) - _POTENTIALS)
    by_name = from_code(name) or from_label(_without_prefix(name))
    if by_code and by_name and by_code.name != by_name.name:
        raise Refused("lead-doubtful", "the code and the name of a lead are of two different leads")
    found = by_code or by_name
    if found is None and "ECG" in name.upper():
        raise Refused("lead-doubtful", "an ECG channel is named after no known lead")
    return found


def _without_prefix(name: str) -> str:
    return re.sub(r"^MDC_ECG_(ELEC_POTL|LEAD)_", "", name.strip().upper())
