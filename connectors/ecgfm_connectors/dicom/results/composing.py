"""A result becomes the objects that one message stores, in the order in which they are stored.

| status | objects |
|---|---|
| F | the report, and the page; then, where an earlier message is in doubt, the notes that reject what it left perhaps |
| C | the report with its predecessor, and the page; then the note that rejects the former objects |
| W, D | the note that rejects the former objects |

Of former objects that perhaps never came, each has a note of its own.
"""

from collections.abc import Iterator

from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.results.measurement_report import measurement_report
from ecgfm_connectors.dicom.results.page import encapsulated_page
from ecgfm_connectors.dicom.results.profile import REPORT_CLASSES, ObjectProfile
from ecgfm_connectors.dicom.results.rejection import rejection_notes
from ecgfm_connectors.dicom.results.stored import stored_by
from ecgfm_connectors.dicom.results.subject import Subject, subject_of
from ecgfm_connectors.result import Result


def compose(result: Result, profile: ObjectProfile) -> bytes:
    """The body of the message: Part 10 files, joined by `multipart.join`.

    Raises Refused with the codes of `subject.subject_of` and `stored.stored_by`.
    """
    subject = subject_of(result, profile)
    return multipart.join(list(_objects(result, subject, profile)), control_id=result.control_id)


def _objects(result: Result, subject: Subject, profile: ObjectProfile) -> Iterator[bytes]:
    former = stored_by(result.former) if result.former is not None or result.status != "F" else ()
    if result.status not in ("W", "D"):
        replaced = former if result.status == "C" else ()
        reports = tuple(one for one in replaced if one.sop_class_uid in REPORT_CLASSES.values())
        yield measurement_report(result, subject, profile, reports)
        if result.page is not None:
            yield encapsulated_page(result, subject, profile, result.page)
    if former:
        yield from rejection_notes(result, subject, profile, former)
