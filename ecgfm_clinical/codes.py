"""Every reason, finding and refusal code of the product with its sentence and where it comes from.

Codes are stable: they stand in the store, in results (OBX-5, NTE) and in settings (`heads.NAME.allow`). A code that is
not in this table may not be used; a test reads the source. The readers' own codes are explained further in
CONFORMANCE.md, those of heads in RUNBOOK.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Origin = Literal[
    "judging",  # a head does not score the ECG
    "refused",  # understood, and not taken
    "unreadable",  # does not decode
    "finding",  # read in spite of it; stands beside the ECG
    "outcome",  # the value of an outcome is left out
    "cohort",  # an ECG is left out of training
    "drift",  # what the drift report found
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code."""

    name: str
    text: str  #: a clause for people, without patient data
    origins: frozenset[Origin]


def _code(name: str, text: str, *origins: Origin) -> Code:
    return Code(name=name, text=text, origins=frozenset(origins))


CODES: Mapping[str, Code] = MappingProxyType(
    {
        code.name: code
        for code in (
            _code(
                "acquisition-time-fallback", "another date of the object stands in for the acquisition time", "finding"
            ),
            _code("acquisition-time-date-only", "the day is known and no time of the day", "finding"),
            _code("acquisition-time-missing", "no usable time at all", "finding"),
            _code("after-peak", "recorded after the highest troponin of the episode", "cohort"),
            _code("age", "outside the cohort's age range", "cohort"),
            _code("age-above-range", "older than the head's age range", "judging"),
            _code("age-below-range", "younger than the head's age range", "judging"),
            _code("age-unknown", "the head has an age range and the age is not known", "judging"),
            _code("ambiguous-number", "the point or comma may part thousands or decimals", "outcome"),
            _code("amplitude-implausible", "gain or unit wrong: all leads far too large or far too small", "judging"),
            _code("decimated", "SCP-ECG: parts of the signal were stored at a lower rate", "finding"),
            _code("lvef-preliminary", "the ejection fraction of a report that is not verified", "outcome"),
            _code("multiple-recordings", "one file holds several recordings", "refused"),
            _code("order-incomplete", "an order without ORC-1, a patient number, or both ORC-2 and ORC-3", "refused"),
            _code("other-order", "an order for something else than an ECG: nothing for us", "refused"),
            _code("unsupported-event", "MSH-9.2 of an order message is not the one that is read", "refused"),
            _code(
                "wfdb-flac", "the FLAC stream of a WFDB record is damaged or another than its header says", "unreadable"
            ),
            _code("approximate", "the value is marked as approximate", "outcome"),
            _code(
                "arm-leads-suspected",
                "right and left arm electrodes look exchanged, or the heart lies on the right",
                "judging",
                "finding",
            ),
            _code("auroc", "the AUROC of the live model fell", "drift"),
            _code("bad-delimiters", "MSH-1 or MSH-2 hold no usable separators", "unreadable"),
            _code("base64", "OBX-5 is not base64, or was cut off on the way", "unreadable"),
            _code("batch-count", "BTS-1 states another number of messages than the batch holds", "finding"),
            _code("birth-date-differs", "PID-7 and the embedded ECG differ", "finding"),
            _code("calibration", "predicted and observed shares of positives drifted apart", "drift"),
            _code(
                "cancel-incomplete",
                "a document or order is cancelled without its number; nothing was taken back",
                "refused",
            ),
            _code("channel-count", "channels declared and defined differ in number", "unreadable"),
            _code("channel-definition", "a WAV OBX has no CHN OBX with the same OBX-4", "unreadable"),
            _code("channel-disconnected", "Channel Status DISCONNECTED: the lead is taken as missing", "finding"),
            _code("channel-invalid", "Channel Status INVALID: the lead is taken as missing", "finding"),
            _code("channel-questionable", "Channel Status QUESTIONABLE", "finding"),
            _code("channel-skew", "a lead was moved by its skew", "finding"),
            _code("channel-uncalibrated", "Channel Status UNCALIBRATED", "finding"),
            _code("channel-unzeroed", "Channel Status UNZEROED", "finding"),
            _code("charset", "an outcome table that is not UTF-8", "unreadable"),
            _code("charset-mismatch", "bytes are not in the declared character set", "finding"),
            _code("charset-undeclared", "MSH-18 is empty", "finding"),
            _code("charset-unknown", "MSH-18 names no known character set", "finding"),
            _code("charset-unsupported", "a character set that cannot be decoded", "unreadable"),
            _code("checksum-mismatch", "samples and their CRC do not agree", "unreadable", "finding"),
            _code("clipped-lead", "samples held at the converter's limit", "judging"),
            _code("damaged", "a reader stopped at something unforeseen", "unreadable"),
            _code("date-or-time", "a date, a time or an identifier stands where the value belongs", "outcome"),
            _code("day-only", "only the day of the results is known, and the window is one of hours", "cohort"),
            _code("decoder-fault", "the decoder failed; the payload is kept", "unreadable"),
            _code("document", "the OBX holds a document for people, not samples", "refused"),
            _code("edf-discontinuous", "an interrupted EDF+D recording", "refused"),
            _code("edf-header", "the EDF header contradicts itself", "unreadable"),
            _code(
                "einthoven-violation",
                "leads I, II, III contradict each other: swapped or mislabelled leads",
                "judging",
                "finding",
            ),
            _code("embedding", "embeddings lie elsewhere than those the model was made on", "drift"),
            _code("empty", "no bytes, or no value", "unreadable", "outcome"),
            _code("encoding-characters", "MSH-2 is short or repeats a character; completed", "finding"),
            _code(
                "event-not-followed", "this ADT event changes neither a patient's number nor demographics", "refused"
            ),
            _code("fewer-samples-than-declared", "the recording is shorter than its header says", "finding"),
            _code("fill-cut", "fill or a calibration pulse at an end was cut off", "finding"),
            _code("flat-lead", "a lead keeps one value for 1 s or more: not connected", "judging"),
            _code("future", "acquired in the future", "cohort"),
            _code("gain-implausible", "the stated gain does not fit the samples", "judging"),
            _code("header-malformed", "a header was read in spite of a slip", "finding"),
            _code("hex", "OBX-5 is not hexadecimal, or was cut off on the way", "unreadable"),
            _code("huffman", "damaged Huffman coding", "unreadable"),
            _code(
                "identifier-damaged", "a patient identifier holds bytes that its character set does not know", "refused"
            ),
            _code("input", "a measured property of the ECGs changed", "drift"),
            _code("lead-doubtful", "which lead a channel is cannot be said for certain", "refused"),
            _code("lead-off", "the device marked a lead as off", "finding"),
            _code("length-mismatch", "leads of one recording differ in length", "unreadable"),
            _code("line-ends", "segments end with LF, not CR", "finding"),
            _code("lvef-ambiguous", "several different values, none the conclusion's or the biplane one", "outcome"),
            _code("lvef-implausible", "outside 3–95 %", "outcome"),
            _code("lvef-not-present", "the report's numbers are not of the present study", "outcome"),
            _code("lvef-unknown-words", "a word that no table knows stands beside the report's number", "outcome"),
            _code("lvef-unit", "a unit of something else", "outcome"),
            _code("maker-format", "a maker's own format that is not read; the text names the maker", "refused"),
            _code("marked-derived", "a recording marked DERIVED", "finding"),
            _code(
                "merge-incomplete",
                "the event needs a PID with a number and an MRG after it; nothing was merged",
                "refused",
            ),
            _code("merge-into-itself", "MRG-1 and PID-3 name the same numbers; nothing was merged", "refused"),
            _code("merge-unmatched", "the numbers to merge are not of one authority; nothing was merged", "refused"),
            _code("mfer-structure", "MFER definitions contradict each other or end early", "unreadable"),
            _code("missing-column", "an outcome table without a column it needs", "unreadable"),
            _code("missing-file", "a file, or a signal file that a header names, is not there", "unreadable"),
            _code("missing-lead", "a lead was not recorded", "judging"),
            _code("mix", "devices, sites or other groups come in other shares", "drift"),
            _code("mixed-rates", "leads sampled at different rates", "refused"),
            _code("move-not-followed", "the event moves identifiers or visits of a person held here", "refused"),
            _code("name-differs", "PID-5 and the embedded ECG differ", "finding"),
            _code("nan-sample", "some samples of a lead are missing", "judging"),
            _code("no-ecg", "the message holds no ECG, outcome or identity change", "refused"),
            _code("dicom-length", "a value is longer than its DICOM attribute may be", "refused"),
            _code("dicom-value", "a value holds characters that DICOM takes for no text", "refused"),
            _code("former-unknown", "the objects that a correction replaces are not known", "refused"),
            _code("no-waveform-object", "the ECG came as no DICOM object whose study could be stored into", "refused"),
            _code("outcome-undecided", "the reported range lies on both sides of the threshold", "cohort"),
            _code("patient-differs", "the recording is another patient's by now than its object's", "refused"),
            _code("unmapped-authority", "the settings name no system for the authority of a number", "refused"),
            _code("waveform-object-incomplete", "the waveform object lacks a valid UID to refer to", "refused"),
            _code("no-identifier", "the ECG names no patient, so its result cannot be filed", "refused"),
            _code("no-label", "no label for this recording", "cohort"),
            _code("no-number", "the value is no number", "outcome"),
            _code("no-outcome", "an outcome table without a usable row", "cohort", "refused"),
            _code("no-parquet", "a Parquet table where the package that reads it is not installed", "refused"),
            _code("no-patient", "no patient identifier", "cohort"),
            _code("no-recording", "only medians, representative beats or reports", "refused"),
            _code("no-samples", "every lead is empty", "unreadable"),
            _code("no-sensitivity", "arbitrary units: no amplitude scale", "refused"),
            _code("no-signal", "the signal was removed by retention", "cohort"),
            _code("no-time", "no acquisition time", "cohort"),
            _code("no-waveform", "no samples in the object", "refused"),
            _code("noise", "more than 0.1 mV of noise between the beats", "judging"),
            _code("not-12-lead", "fewer than eight of the twelve leads, derived ones included", "refused"),
            _code("not-a-recording", "a document, picture or array without lead names", "refused"),
            _code("not-a-unit", "something that is no unit follows the number", "outcome"),
            _code("not-dicom", "no DICOM object", "unreadable"),
            _code("not-hl7", "does not start with an MSH segment", "unreadable"),
            _code(
                "not-simultaneous",
                "leads recorded one after another, or more than two samples apart",
                "judging",
                "refused",
                "finding",
            ),
            _code("not-xml", "not well-formed", "unreadable"),
            _code("only-derived", "only a median or representative beat", "refused"),
            _code("outcome-first", "the outcome came before the ECG", "cohort"),
            _code("outcome-ambiguous", "different values of one code and time, of a kind of the site's own", "outcome"),
            _code("outcome-implausible", "outside what the site says can be", "outcome"),
            _code("death-doubtful", "a date of death that cannot be, or that is contradicted", "outcome", "cohort"),
            _code("follow-up", "no death is known, and nothing shows the patient alive after the window", "cohort"),
            _code("death-without-time", "dead, and PID-29 holds no date that can be read", "outcome"),
            _code("outcome-answer", "an answer about a finding of the site's own that it does not list", "outcome"),
            _code("outcome-unit", "no unit, or none that the site lists for its kind", "outcome"),
            _code("outcome-doubted", "a comment says that the value is another patient's or not to be used", "outcome"),
            _code("outcome-not-numeric", "no number that can be read one way only", "outcome"),
            _code("outcome-row", "rows of an outcome table were left out", "finding"),
            _code("outcome-without-patient", "outcomes without a patient number were left out", "finding"),
            _code("document-without-patient", "a document of another system names no patient number", "finding"),
            _code("outcome-without-time", "no field tells when it was measured", "outcome"),
            _code("outside-window", "no result inside the time window", "cohort"),
            _code("paced-rhythm", "the device reports a paced rhythm, for which the head was not made", "judging"),
            _code("pacing-spikes", "the signal holds pacing spikes, and the device says nothing of pacing", "judging"),
            _code("padding-ambiguous", "the padding value is also an ordinary amplitude", "finding"),
            _code("padding-masked", "padding was taken out", "finding"),
            _code("padding-undeclared", "an undeclared sentinel was taken out", "finding"),
            _code("patient-mismatch", "PID and the embedded ECG name different patients of one authority", "refused"),
            _code("patient-unconfirmed", "PID and the embedded ECG name patients of different authorities", "finding"),
            _code("pointer-missing", "the file that RP names cannot be read", "unreadable"),
            _code("pointer-not-followed", "RP names a file elsewhere and allowed_roots is not set", "refused"),
            _code("pointer-outside", "RP names a file outside the folders this port may read", "refused"),
            _code("pointer-scheme", "RP names a file on another host", "refused"),
            _code("rate-out-of-range", "sampling rate outside 100 to 1000 Hz", "judging"),
            _code("reconstructed-leads", "leads the device computed from other electrodes", "finding"),
            _code("report-too-long", "more than 200 000 characters", "outcome"),
            _code("sample-count", "no number of samples", "unreadable"),
            _code("sample-interpretation", "samples of a kind no ECG has", "refused"),
            _code("sample-range", "amplitudes beyond all numbers", "unreadable"),
            _code("sample-text", "samples that are no numbers, or no base64", "unreadable"),
            _code("sampling-frequency", "no usable sampling frequency", "unreadable"),
            _code("scale-doubtful", "OBX-6 and the resolution attribute disagree on what the samples mean", "refused"),
            _code("score", "scores are distributed otherwise", "drift"),
            _code(
                "scp-compression",
                "SCP-ECG with bimodal compression, or with reference beats of another rate",
                "refused",
            ),
            _code("scp-structure", "pointers or sections contradict each other", "unreadable"),
            _code("segment-continued", "lines that name no segment were joined to the one above", "finding"),
            _code("several-numbers", "the value holds several numbers", "outcome"),
            _code("several-recordings", "one object holds several recordings of all leads: one was taken", "finding"),
            _code("sex-differs", "PID-8 and the embedded ECG differ", "finding"),
            _code("single-segment", "the segment ends (CR) were lost on the way", "unreadable"),
            _code("sop-class", "not an ECG waveform class", "refused"),
            _code("patient-doubtful", "held for a person, or taken back by its sender", "cohort"),
            _code("patient-objects", "the patient is kept out of learning", "cohort"),
            _code("superseded", "an older version of a recording that was sent again", "cohort"),
            _code("test-data", "the sender marks it as test data", "judging", "cohort"),
            _code("test-outcome", "MSH-11 says test data: no outcome is taken", "finding"),
            _code("too-large", "longer, or expanding to more, than any recording", "refused", "unreadable"),
            _code("too-long", "longer than the head's longest recording", "judging"),
            _code("too-many-messages", "more messages in one file than are read", "unreadable"),
            _code("too-many-segments", "more segments in one message than are read", "unreadable"),
            _code("too-short", "less than 5 s recorded", "judging", "cohort"),
            _code("troponin-ambiguous", "different values of one code and time", "outcome"),
            _code("troponin-implausible", "negative, or beyond every assay", "outcome"),
            _code("troponin-range", "two numbers where one belongs", "outcome"),
            _code("troponin-unit", "no unit, or none of mass by volume", "outcome"),
            _code("truncated", "the object ends early", "unreadable"),
            _code("two-people", "one payload names two people", "finding"),
            _code("unit-contradiction", "OBX-6 and the unit in the value contradict each other", "outcome"),
            _code("unit-unknown", "OBX-6 is no unit that we know", "outcome"),
            _code("unknown-destination", "the settings name no such destination any more", "refused"),
            _code("unknown-format", "no format we read", "unreadable"),
            _code("unknown-sender", "MSH-3 is not on the listener's list", "refused"),
            _code("unknown-unit", "a lead in something that is no voltage, or in an unnamed unit", "refused"),
            _code("unknown-xml", "XML of a kind we do not know", "refused"),
            _code("unsupported-type", "MSH-9 is none of the message types that are read", "refused"),
            _code("unsupported-version", "a document type or version we do not know", "refused"),
            _code("unusable", "the result cannot be used", "cohort"),
            _code("unwritable", "the result holds what its message cannot carry", "refused"),
            _code("waveform-length", "more or fewer samples than declared", "unreadable"),
            _code("wfdb-format", "a storage format or layout we do not read", "refused"),
            _code("wfdb-header", "the header contradicts itself", "unreadable"),
            _code("wfdb-package", "a zip that is no packed WFDB record", "refused", "unreadable"),
            _code("xli", "damaged XLI compression", "unreadable"),
            _code("xml-entities", "XML that defines entities or a document type", "refused"),
        )
    }
)

#: What a head may be told to score in spite of (`heads.NAME.allow`).
REASONS = frozenset(code.name for code in CODES.values() if "judging" in code.origins)
