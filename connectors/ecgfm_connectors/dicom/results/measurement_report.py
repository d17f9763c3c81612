"""The result as a TID 1500 Measurement Report (PS3.16), in a Comprehensive or Comprehensive 3D SR object.

One measurement group (TID 1501) a label. Its NUM is the model's probability under a code of ours, never under one that
names a measured ejection fraction or troponin; the operating point is a property of the NUM, the answer at it a
qualitative evaluation. Where an ECG is not evaluable the NUM has no value and says so (CID 42), and the reasons are
qualitative evaluations. Algorithm identification (TID 4019) and the waveform object stand with every group.
"""

from collections.abc import Iterator

from ecgfm_connectors.dicom.results import concepts as c
from ecgfm_connectors.dicom.results.concepts import Concept, ours
from ecgfm_connectors.dicom.results.document import Identity, common, encoded
from ecgfm_connectors.dicom.results.items import ItemWriter
from ecgfm_connectors.dicom.results.profile import REPORT_CLASSES, ObjectProfile
from ecgfm_connectors.dicom.results.stored import StoredObject, evidence
from ecgfm_connectors.dicom.results.subject import Subject
from ecgfm_connectors.dicom.results.uids import uid
from ecgfm_connectors.dicom.writing import MANUFACTURER, Elements
from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.outcomes import codes
from ecgfm_connectors.printed import printed
from ecgfm_connectors.result import Observation, Result
from ecgfm_connectors.waveform_object import WaveformObject

_DECIMALS = 4  # of a probability
DEMO_TITLE = "DEMONSTRATION, NOT FOR CLINICAL USE: "


def measurement_report(
    result: Result, subject: Subject, profile: ObjectProfile, predecessors: tuple[StoredObject, ...] = ()
) -> bytes:
    """The Part 10 file. `predecessors`: the report that this one corrects."""
    identity = Identity(
        sop_class_uid=REPORT_CLASSES[profile.report],
        sop_instance_uid=uid(result.control_id, "report"),
        series_uid=uid(result.control_id, "report series"),
        modality="SR",
        series_number=9001,
        series_description=f"{DEMO_TITLE if result.demo else ''}AI-ECG result",
    )
    report = common(identity, subject, profile, result.composed_at) | {
        "ReferencedPerformedProcedureStepSequence": (),
        "PerformedProcedureCodeSequence": (),
        "CompletionFlag": "COMPLETE",
        "PreliminaryFlag": "FINAL",
        "VerificationFlag": "UNVERIFIED",
    }
    if predecessors:
        report["PredecessorDocumentsSequence"] = evidence(predecessors)
    if subject.waveform is not None:
        report["CurrentRequestedProcedureEvidenceSequence"] = evidence([_stored(subject.waveform)])
    return encoded(identity, report | _Tree(result, subject, profile).root(), profile)


def _stored(waveform: WaveformObject) -> StoredObject:
    return StoredObject(
        study_uid=waveform.study_uid,
        series_uid=waveform.series_uid,
        sop_class_uid=waveform.sop_class_uid,
        sop_instance_uid=waveform.sop_instance_uid,
        is_sure=True,
    )


class _Tree:
    """The content tree of one result."""

    def __init__(self, result: Result, subject: Subject, profile: ObjectProfile) -> None:
        self._result = result
        self._subject = subject
        self._profile = profile
        self._write = ItemWriter(profile.character_set)

    def root(self) -> Elements:
        """TID 1500."""
        children = [
            self._write.code("HAS CONCEPT MOD", c.LANGUAGE, c.ENGLISH),
            *self._observer(),
            self._write.code("HAS CONCEPT MOD", c.PROCEDURE_REPORTED, c.ECG_PROCEDURE),
            self._write.container("CONTAINS", c.MEASUREMENTS, [self._group(one) for one in self._told()]),
            self._write.container("CONTAINS", c.QUALITATIVE_EVALUATIONS, list(self._notes())),
        ]
        return self._write.root(c.MEASUREMENT_REPORT, "1500", children)

    def _told(self) -> Iterator[Observation]:
        """A correction is a whole report anew: what it does not hold any more is not in it."""
        return (one for one in self._result.observations if one.status != "D")

    def _observer(self) -> Iterator[bytes]:
        """TID 1001, 1002 and 1004: this installation."""
        write, relation = self._write, "HAS OBS CONTEXT"
        yield write.code(relation, c.OBSERVER_TYPE, c.DEVICE)
        yield write.uid(relation, c.DEVICE_UID, uid("device", self._profile.installation))
        yield write.text(relation, c.DEVICE_NAME, self._result.device_id or MANUFACTURER)
        yield write.text(relation, c.DEVICE_MANUFACTURER, MANUFACTURER)
        yield write.text(relation, c.DEVICE_MODEL, self._result.device_id or MANUFACTURER)

    def _notes(self) -> Iterator[bytes]:
        """AI-generated, the limits, the demonstration mark: for people."""
        about = f"AI-generated from one ECG by {self._result.model_name} {self._result.model_version}; not verified."
        for note in (about, *self._result.notes):
            yield self._write.text("CONTAINS", c.COMMENT, note)

    def _group(self, observation: Observation) -> bytes:
        """TID 1501."""
        if observation.code in codes.MEASURED:
            raise Misconfigured(f"{observation.code} names a measured value; a probability must not be filed under it")
        write, result = self._write, self._result
        asked = ours(observation.code, observation.name)
        children = [
            write.text("HAS OBS CONTEXT", c.TRACKING_IDENTIFIER, f"{result.filler_number} {observation.name}"),
            write.uid("HAS OBS CONTEXT", c.TRACKING_UID, uid("tracked", self._followed(), observation.code)),
            *self._site(observation),
            *self._algorithm(),
            self._number(observation, asked),
            *self._answers(observation),
        ]
        return write.container("CONTAINS", c.MEASUREMENT_GROUP, children)

    def _followed(self) -> str:
        """What stays the same over corrections of the same result."""
        return f"{self._profile.installation} {self._result.filler_number}"

    def _site(self, observation: Observation) -> Iterator[bytes]:
        if observation.finding_site is not None:
            value, scheme, meaning = observation.finding_site
            site = Concept(value=value, scheme=scheme, meaning=meaning)
            yield self._write.code("HAS CONCEPT MOD", c.FINDING_SITE, site)

    def _algorithm(self) -> Iterator[bytes]:
        """TID 4019."""
        write, relation, result = self._write, "HAS CONCEPT MOD", self._result
        yield write.text(relation, c.ALGORITHM_NAME, result.model_name)
        yield write.text(relation, c.ALGORITHM_VERSION, result.model_version)
        if result.model_digest:
            yield write.text(relation, c.ALGORITHM_PARAMETERS, f"bundle SHA-256 {result.model_digest}")
        if result.preprocessing:
            yield write.text(relation, c.ALGORITHM_PARAMETERS, f"signal preparation {result.preprocessing}")
        if result.demo:
            yield write.text(relation, c.ALGORITHM_PARAMETERS, "demonstration model, not for clinical use")

    def _number(self, observation: Observation, asked: Concept) -> bytes:
        """TID 300 with TID 321: the probability, and the waveform that it was inferred from."""
        source = list(self._source())
        if observation.probability is None:
            return self._write.no_number("CONTAINS", asked, c.NOT_ATTEMPTED, source)
        value, limit = printed(observation, _DECIMALS)
        if limit and observation.threshold is not None:
            threshold = self._write.probability("HAS PROPERTIES", c.OPERATING_POINT, observation.threshold, limit)
            source.insert(0, threshold)
        return self._write.probability("CONTAINS", asked, observation.probability, value, source)

    def _source(self) -> Iterator[bytes]:
        if (waveform := self._subject.waveform) is not None:
            yield self._write.waveform(
                "INFERRED FROM", c.SOURCE_OF_MEASUREMENT, waveform.sop_class_uid, waveform.sop_instance_uid
            )

    def _answers(self, observation: Observation) -> Iterator[bytes]:
        if observation.probability is not None and observation.positive is not None and observation.abnormal:
            yield self._write.code("CONTAINS", c.ANSWER, c.POSITIVE if observation.positive else c.NEGATIVE)
        for code, sentence in observation.reasons:
            yield self._write.code("CONTAINS", c.NOT_EVALUABLE, ours(code, sentence))
            yield self._write.text("CONTAINS", c.COMMENT, sentence)
