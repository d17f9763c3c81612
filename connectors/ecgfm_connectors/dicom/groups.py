"""Which multiplex group of a DICOM waveform object is the recording: by originality, leads and duration, not by index.

One object may hold the rhythm, a median beat, and strips (PS3.3 A.34.3, C.10.9).
"""

from dataclasses import dataclass, field

from ecgfm_connectors.assembly import MINIMUM_LEADS, leads_given
from ecgfm_connectors.dicom.elements import Elements
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.leads import Lead, from_code, from_label
from ecgfm_connectors.skew import MOST_CORRECTED

#: A median beat lasts about 1.2 s; a recording called DERIVED but at least this long (s) is taken, with a finding.
SHORTEST_RECORDING = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One multiplex group: its item, and the lead of each channel that is one of the twelve."""

    item: Elements = field(repr=False)
    leads: dict[int, Lead]  #: channel index -> lead; channels of other leads and quantities are left out
    definitions: tuple[Elements, ...] = field(repr=False)
    sampling_rate: float  #: Hz
    samples: int  #: per channel
    original: bool
    offset: float | None  #: Multiplex Group Time Offset, ms

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.sampling_rate

    @property
    def names(self) -> frozenset[str]:
        return frozenset(lead.name for lead in self.leads.values())


def choose(dataset: Elements) -> tuple[list[Group], list[Finding]]:
    """The group that is the recording, or several groups recorded at the very same time that make up the recording
    together.

    Raises Refused: `no-waveform`, `not-12-lead`, `not-simultaneous`, `only-derived`, `lead-doubtful`;
    Unreadable: `sampling-frequency`, `sample-count`.
    """
    groups = [_group(item) for item in dataset.items("WaveformSequence")]
    if not groups:
        raise Refused("no-waveform", "the object holds no waveform group")
    findings = []
    candidates = [group for group in groups if group.original and group.leads]
    if not candidates:
        candidates = [group for group in groups if group.duration >= SHORTEST_RECORDING and group.leads]
        if not candidates:
            _refuse_without(groups)
        findings = [Finding(code="marked-derived", text="the recording is marked DERIVED; its length says otherwise")]
    best = max(candidates, key=_worth)
    if leads_given(best.names) >= MINIMUM_LEADS:
        whole = sum(leads_given(group.names) >= MINIMUM_LEADS for group in candidates)
        if whole > 1:
            text = f"the object holds {whole} recordings of all leads; the first of the longest is taken"
            findings.append(Finding(code="several-recordings", text=text))
        return [best], findings
    return _together(candidates, best), findings


def _refuse_without(groups: list[Group]) -> None:
    if any(group.leads for group in groups):
        raise Refused("only-derived", "only median or representative beats, no recording")
    raise Refused("not-12-lead", "no channel of any group is one of the 12 standard leads")


def _worth(group: Group) -> tuple[bool, float, float]:
    """All leads first, then the longest, then the finest."""
    return leads_given(group.names) >= MINIMUM_LEADS, group.duration, group.sampling_rate


def _together(candidates: list[Group], best: Group) -> list[Group]:
    """All groups that share the best group's start (stated in the object, never assumed), rate and length; starts that
    differ by a sample or two are put right as a skew of their channels.
    """
    if best.offset is not None and best.duration >= SHORTEST_RECORDING:
        same = [group for group in candidates if _starts_with(group, best, best.offset)]
        if leads_given(frozenset().union(*(group.names for group in same))) >= MINIMUM_LEADS:
            return same
    if leads_given(frozenset().union(*(group.names for group in candidates))) >= MINIMUM_LEADS:
        text = "the leads lie in several groups recorded one after another (as on a printed strip), not together"
        raise Refused("not-simultaneous", text)
    raise Refused("not-12-lead", f"{len(best.names)} of the 12 standard leads; at least I, II and V1–V6 are needed")


def _starts_with(group: Group, best: Group, start: float) -> bool:
    """Whether a group has the best one's rate and length and starts no further from it than a skew that is put
    right.
    """
    if (group.sampling_rate, group.samples) != (best.sampling_rate, best.samples) or group.offset is None:
        return False
    return abs(group.offset - start) * best.sampling_rate / 1000 <= MOST_CORRECTED


def _group(item: Elements) -> Group:
    rate = item.number("SamplingFrequency")
    samples = item.number("NumberOfWaveformSamples")
    if rate is None or rate <= 0:
        raise Unreadable("sampling-frequency", "a waveform group has no usable Sampling Frequency")
    if samples is None or samples <= 0:
        raise Unreadable("sample-count", "a waveform group has no Number of Waveform Samples")
    definitions = tuple(item.items("ChannelDefinitionSequence"))
    leads = {index: lead for index, channel in enumerate(definitions) if (lead := _lead(channel)) and lead.canonical}
    return Group(
        item=item,
        leads=leads,
        definitions=definitions,
        sampling_rate=rate,
        samples=int(samples),
        original=item.text("WaveformOriginality").upper() == "ORIGINAL",
        offset=item.number("MultiplexGroupTimeOffset"),
    )


def _lead(channel: Elements) -> Lead | None:
    """By code first, by label second; a code and a label that name different leads are no basis for a score."""
    source = channel.first("ChannelSourceSequence")
    coded = from_code(source.text("CodeValue"))
    labels = [from_label(source.text("CodeMeaning")), from_label(channel.text("ChannelLabel"))]
    named = [lead for lead in (coded, *labels) if lead is not None]
    if len({lead.name for lead in named}) > 1:
        raise Refused("lead-doubtful", f"one channel is called {' and '.join(lead.name for lead in named)}")
    return named[0] if named else None
