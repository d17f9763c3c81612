"""Audit messages are what the standard's schema allows, whatever their texts hold."""

from dataclasses import replace
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring

from ecgfm_connectors.audit import message as audit
from ecgfm_connectors.audit.message import AuditMessage, Code, Object, Participant, write
from tests.helpers.audit_schema import faults

MESSAGE = AuditMessage(
    event=audit.EXPORT,
    action="R",
    at=datetime(2031, 1, 1, 12, 30, 15, 123456, tzinfo=UTC),
    types=(Code(value="x", meaning="of our own", system="99ECGFM"),),
    participants=(
        Participant(
            user_id="nurse@ward",
            name="ADA",
            requestor=True,
            roles=(audit.SOURCE,),
            ae_titles=("CART1", "CART2"),
            host="192.0.2.7",
            is_address=True,
        ),
        Participant(user_id="file", roles=(audit.DESTINATION_MEDIA,), host="host.example", media=audit.MEDIA_URI),
    ),
    site="Test Hospital",
    source="ecgfm-clinical@host",
    objects=(
        Object(
            object_id="1.2.3",
            id_type=audit.STUDY_INSTANCE_UID,
            kind="2",
            role="3",
            name="ECG",
            sop_instances=("1.2.3.4", "1.2.3.5"),
            details=(("Alert Description", "<xml> & more"),),
        ),
        Object(object_id="4711^^^TESTHOSP", id_type=audit.PATIENT_NUMBER, kind="1", role="1"),
    ),
)


def test_a_message_with_everything_is_valid_and_says_it() -> None:
    written = write(MESSAGE)
    assert faults(written) == []
    root = fromstring(written)
    event = _one(root, "EventIdentification")
    assert event.attrib == {
        "EventActionCode": "R",
        "EventDateTime": "2031-01-01T12:30:15.123+00:00",
        "EventOutcomeIndicator": "0",
    }
    assert _one(event, "EventID").attrib == {"csd-code": "110106", "codeSystemName": "DCM", "originalText": "Export"}
    person, medium = root.findall("ActiveParticipant")
    assert person.get("AlternativeUserID") == "AETITLES=CART1;CART2"
    assert (person.get("NetworkAccessPointTypeCode"), medium.get("NetworkAccessPointTypeCode")) == ("2", "1")
    study, patient = root.findall("ParticipantObjectIdentification")
    assert [one.get("UID") for one in study.iter("Instance")] == ["1.2.3.4", "1.2.3.5"]
    assert (patient.get("ParticipantObjectID"), patient.findtext("ParticipantObjectName")) == (
        "4711^^^TESTHOSP",
        "not told",
    )


@pytest.mark.parametrize("text", ["<&\"'>", "\x00\x0b\x1b\ufffe\ud800", "Ä\U0001f600", "", "]]>", "line\nline"])
def test_no_text_breaks_a_message(text: str) -> None:
    participant = replace(MESSAGE.participants[0], user_id=text, name=text, host=text, ae_titles=(text,))
    objects = (replace(MESSAGE.objects[0], object_id=text, name=text),)
    written = write(replace(MESSAGE, participants=(participant,), objects=objects, site=text, source=text))
    assert faults(written) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'EventActionCode="R"', b'EventActionCode="X"'),
        (b' UserID="file"', b""),
        (b"+00:00", b""),
        (b'csd-code="110106"', b'code="110106"'),
        (b"<ParticipantObjectName>not told</ParticipantObjectName>", b""),
        (b"<AuditSourceTypeCode", b"<AuditSourceType"),
        (b'UID="1.2.3.4"', b'UID="1.2.3."'),
        (b"ActiveParticipant", b"Participant"),
    ],
)
def test_the_check_knows_a_message_that_is_not_valid(right: bytes, wrong: bytes) -> None:
    written = write(MESSAGE)
    assert right in written
    assert faults(written.replace(right, wrong))


def _one(element: Element, name: str) -> Element:
    found = element.find(name)
    assert found is not None
    return found
