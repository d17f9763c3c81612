"""Writes ORU^R01 messages that carry an ECG file in an OBX, as a cart's interface sends them; for tests and the
demo.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.hl7.ack import timestamp
from ecgfm_connectors.hl7.escapes import escape
from ecgfm_connectors.patient import Patient


def write_ecg(
    ecg: Ecg,
    *,
    control_id: str,
    sent_at: datetime,
    embed: Literal["dicom", "aecg"] = "dicom",
    sender: tuple[str, str] = ("CART", "WARD"),
    version: str = "2.5.1",
) -> bytes:
    """One ECG as ORU^R01 with the recording base64-encoded in OBX-5 (ED). `sent_at` (aware) is MSH-7."""
    return write_message(
        [(_payload(ecg, embed), "DICOM" if embed == "dicom" else "XML")],
        patient=ecg.patient,
        order=ecg.order,
        acquired_at=ecg.acquired.at if ecg.acquired else None,
        statements=ecg.statements,
        control_id=control_id,
        sent_at=sent_at,
        sender=sender,
        version=version,
        test=ecg.test_data,
    )


def write_message(
    files: Sequence[tuple[bytes, str]],
    *,
    patient: Patient,
    control_id: str,
    sent_at: datetime,
    order: Order | None = None,
    acquired_at: datetime | None = None,
    statements: Sequence[str] = (),
    sender: tuple[str, str] = ("CART", "WARD"),
    version: str = "2.5.1",
    test: bool = False,
) -> bytes:
    """An ORU^R01 around any files: (content, subtype of table 0291) each becomes one OBX of type ED."""
    order = order or Order()
    header = ["MSH", "^~\\&", *map(escape, sender), "ECGFM", "", timestamp(sent_at), "", "ORU^R01^ORU_R01"]
    lines = [
        [*header, escape(control_id), "T" if test else "P", version, *[""] * 5, "UNICODE UTF-8"],
        _pid(patient),
        ["PV1", "1", "O", *[""] * 16, escape(order.visit)],
        ["ORC", "RE", _entity(order.placer), _entity(order.filler)],
        _obr(order, acquired_at),
    ]
    for number, (content, subtype) in enumerate(files, start=1):
        data = base64.b64encode(content).decode("ascii")
        lines.append(["OBX", str(number), "ED", "11524-6^EKG study^LN", str(number)])
        lines[-1] += [f"{escape(sender[0])}^AP^{subtype}^Base64^{data}", "", "", "", "", "", "F"]
    for number, text in enumerate(statements, start=len(files) + 1):
        lines.append(["OBX", str(number), "TX", "18844-1^EKG impression^LN", "", escape(text, formatted=True)])
        lines[-1] += ["", "", "", "", "", "F"]
    return "".join("|".join(fields) + "\r" for fields in lines).encode("utf-8")


def _payload(ecg: Ecg, embed: Literal["dicom", "aecg"]) -> bytes:
    if embed == "dicom":
        from ecgfm_connectors.testing import dicom_writer

        return dicom_writer.write_ecg(ecg)
    from ecgfm_connectors.testing import aecg_writer

    return aecg_writer.write_ecg(ecg)


def _pid(patient: Patient) -> list[str]:
    numbers = [f"{escape(i.value)}^^^{escape(i.authority)}^{escape(i.type)}" for i in patient.identifiers]
    name = f"{escape(patient.family_name)}^{escape(patient.given_name)}"
    born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    return ["PID", "1", "", "~".join(numbers), "", name, "", born, patient.sex]


def _obr(order: Order, acquired_at: datetime | None) -> list[str]:
    when = timestamp(acquired_at) if acquired_at else ""
    fields = ["OBR", "1", _entity(order.placer), _entity(order.filler), "11524-6^EKG study^LN"]
    return [*fields, "S" if order.stat else "", "", when, *[""] * 17, "F"]


def _entity(number: str) -> str:
    return "^".join(escape(part) for part in number.split("^"))
