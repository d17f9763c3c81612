"""The walk of one ECG: from cart to chart over real sockets, on both databases, told afterwards by the store."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ecgfm_clinical.demo import alterations
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.shipped import recordings
from ecgfm_clinical.staging.records import EcgState, MessageState
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.hl7.message import parse
from ecgfm_connectors.testing import aecg_writer, cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.helpers.fakes import make_ecg, wait_until

pytestmark = pytest.mark.slow


def segments(body: bytes, name: str) -> list[list[str]]:
    """The fields of every segment of one name, field 0 being the name."""
    return [line.split("|") for line in body.decode().split("\r") if line.startswith(name)]


def test_from_cart_to_chart(service: Service, store: Store, ehr: EhrReceiver) -> None:
    content = dicom_writer.write_ecg(make_ecg(1))
    (answer,) = cart.send([content], host="127.0.0.1", port=service.ports["dicom"])
    assert answer.status == 0x0000
    (body,) = ehr.wait_for(1)
    (ecg_id,) = store.ecgs.find("1.2.3.1")
    wait_until(lambda: store.ecgs.story(ecg_id).messages[0].state is MessageState.ACKNOWLEDGED)

    story = store.ecgs.story(ecg_id)
    assert story.state is EcgState.SCORED
    assert store.ecgs.payload(ecg_id).content.endswith(content[-1000:])  # as it was sent
    assert story.messages[0].body == body
    (msh,), (pid,), (obr,) = segments(body, "MSH"), segments(body, "PID"), segments(body, "OBR")
    assert (msh[8], msh[9], msh[10], msh[11]) == ("ORU^R01^ORU_R01", story.messages[0].control_id, "T", "2.5.1")
    assert pid[3].startswith("T1^^^TEST")
    (result,) = story.recording.results
    assert (obr[3].split("^")[0], result.state) == (result.filler, "sent")
    stored = [f"{score.probability:.4f}" for score in story.scorings[0].scores]
    assert [obx[5] for obx in segments(body, "OBX")] == stored
    assert {obx[11] for obx in segments(body, "OBX")} == {"F"}
    assert any("NOT FOR CLINICAL USE" in nte[3] for nte in segments(body, "NTE"))
    assert parse(body)
    actions = [event.action for event in story.events]
    for earlier, later in zip(
        ("ecg.staged", "ecg.scored", "message.created", "message.sending"),
        ("ecg.scored", "message.created", "message.sending", "message.acknowledged"),
        strict=True,
    ):
        assert actions.index(earlier) < actions.index(later)


def drop(settings: Settings, name: str, content: bytes) -> None:
    """Put a file in at once: with `stable_seconds` of 0 one that is still written may be read."""
    (settings.folder / name).write_bytes(content)
    (settings.folder / name).rename(settings.folder / "drop" / name)


def test_every_way_in_ends_in_a_result_and_the_sum_closes(
    service: Service, store: Store, ehr: EhrReceiver, settings: Settings
) -> None:
    now = datetime.now(UTC)
    cart.send([dicom_writer.write_ecg(make_ecg(1))], host="127.0.0.1", port=service.ports["dicom"])
    message = oru_writer.write_ecg(make_ecg(2), control_id="CART0001", sent_at=now)
    with MllpCart("127.0.0.1", service.ports["hl7"]) as sender:
        assert sender.send(message).code == "AA"
    drop(settings, "three.xml", aecg_writer.write_ecg(make_ecg(3)))
    short = alterations.too_short(recordings.load(4), 500.0, np.random.default_rng(4))
    cart.send([dicom_writer.write_ecg(make_ecg(4, short))], host="127.0.0.1", port=service.ports["dicom"])
    drop(settings, "letter.txt", b"Dear colleague,")

    ehr.wait_for(4)
    wait_until(lambda: store.questions.counts().received == 5 and not store.questions.counts().waiting)
    table = store.questions.count_table()
    assert (table.total.scored, table.total.not_evaluable, table.total.failed) == (3, 1, 1)
    assert set(table.by_source) == {"dicom", "hl7", "drop"}
    x_only = [body for body in ehr.messages if {obx[11] for obx in segments(body, "OBX")} == {"X"}]
    assert len(x_only) == 1
    assert b"too-short" in x_only[0]
    assert (settings.folder / "drop" / "processed").is_dir()


def test_what_was_seen_before_is_answered_and_not_scored_again(
    service: Service, store: Store, ehr: EhrReceiver
) -> None:
    content = dicom_writer.write_ecg(make_ecg(1))
    for _ in range(3):
        (answer,) = cart.send([content], host="127.0.0.1", port=service.ports["dicom"])
        assert answer.status == 0x0000
    ehr.wait_for(1)
    wait_until(lambda: not store.questions.backlog().destinations)
    assert store.questions.counts().received == 1
    assert len(ehr.messages) == 1


def test_a_lost_acknowledgement_repeats_the_same_bytes(service: Service, store: Store, ehr: EhrReceiver) -> None:
    ehr.plan(Fault.DROP_BEFORE_ACK, Fault.DROP_BEFORE_ACK)
    cart.send([dicom_writer.write_ecg(make_ecg(1))], host="127.0.0.1", port=service.ports["dicom"])
    bodies = ehr.wait_for(3)
    assert len(set(bodies)) == 1
    (ecg_id,) = store.ecgs.find("1.2.3.1")
    wait_until(lambda: store.ecgs.story(ecg_id).messages[0].state is MessageState.ACKNOWLEDGED)
    assert [error.kind for error in store.ecgs.story(ecg_id).messages[0].errors] == ["Unreachable"]


def test_stopping_finishes_what_is_under_way(settings: Settings, store: Store, ehr: EhrReceiver) -> None:
    running = Service(settings, "all", store)
    running.start()
    cart.send(
        [dicom_writer.write_ecg(make_ecg(number)) for number in range(6)], host="127.0.0.1", port=running.ports["dicom"]
    )
    running.stop()
    assert store.questions.counts().received == 6
    assert store.questions.backlog().jobs_running == 0
    again = Service(settings, "all", store)
    again.start()
    try:
        assert len(set(ehr.wait_for(6))) == 6
    finally:
        again.stop()
