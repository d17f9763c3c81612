"""The stored form of an ECG: coded statements come back, and rows of versions that did not keep them stay readable."""

import json
from datetime import UTC, datetime
from typing import Any

from ecgfm_clinical.staging import codec
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_connectors.ecg import Device, Ecg
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.understanding import said_of, understood
from tests.helpers.fakes import make_ecg

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
PACED = Statement(concept="paced", source="MUSE", code="PaceSpikes")


def stored(one: Ecg, about: dict[str, object]) -> EcgVersion:
    """Its row, without what is sealed."""
    return EcgVersion(
        ecg_id=1,
        payload_id=1,
        recording_id=1,
        source_key="",
        said_key=None,
        signal_key=None,
        order_key=None,
        version=1,
        source="test",
        format=one.format,
        received_at=NOW,
        acquired_at=None,
        patient_key="",
        state="waiting",
        priority=10,
        scoring_id=None,
        sampling_rate=one.sampling_rate,
        samples=one.signal.shape[1],
        about=about,
        private=b"",
        key_id=None,
    )


def opened(private: dict[str, object]) -> codec.PrivatePart:
    return codec.private_from(json.dumps(private).encode())


def test_coded_statements_come_back() -> None:
    one = make_ecg(1, coded=(PACED,), statements=("Gibberish", "Sinusrhythmus"))
    about, private = codec.about(one), codec.private(one)
    assert codec.ecg_from(stored(one, about), opened(private), one.signal).coded == (PACED,)
    assert about["unread_statements"] == 1
    assert "PaceSpikes" not in str(about)


def test_a_row_of_an_earlier_version_is_readable_and_its_words_are_understood() -> None:
    one = make_ecg(1, statements=("Schrittmacherrhythmus",))
    about, private = codec.about(one), codec.private(one)
    del about["unread_statements"], private["coded"]
    back = codec.ecg_from(stored(one, about), opened(private), one.signal)
    assert back.coded == ()
    assert said_of("paced", understood(back)) == "stated"


def test_what_is_not_understood_is_counted_by_device_and_software(ward: Any) -> None:
    for number, (software, said) in enumerate(
        [
            ("1.0", "Sinus rhythm"),
            ("1.0", "Vorhofflimmern"),
            ("2.0", "Rythme sinusal"),
            ("2.0", "Xyz"),
            ("2.0", "Abc"),
        ]
    ):
        device = Device(manufacturer="GE", model="MAC", software=software)
        ward.take(make_ecg(number, device=device, statements=(said,)), ward.received(f"{number}".encode()))
    found = {one.software: (one.ecgs, one.unread, one.ecgs_with_unread) for one in ward.store.questions.statements()}
    assert found == {"1.0": (2, 0, 0), "2.0": (3, 2, 2)}
