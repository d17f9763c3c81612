"""What is sent on the demo ward: each ECG in the wire format of the system that sends it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ecgfm_clinical.demo.cases import AUTHORITY, CASES, Case, ecg_of
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.shipped.vendor import vendor_recording
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files import payload
from ecgfm_connectors.patient import Identifier
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import aecg_writer, dicom_writer, oru_writer

Route = Literal["C-STORE", "MLLP", "folder"]

CONTEXT = ReadingContext(default_authority=AUTHORITY, zone=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One payload on its way to us, and what to call it on screen."""

    patient: str  #: an invented name, or the file name of the user's own recording; never a real name
    order: str = ""  #: placer order number, where one is sent
    about: str  #: what is special about it
    route: Route
    file_name: str  #: under which it is dropped, if it goes by the folder
    content: bytes = field(repr=False)
    source_ids: tuple[str, ...]  #: of the ECGs inside; empty where it cannot be read
    problem: str = ""  #: code and text of why it cannot be read


def ward(now: datetime) -> list[Delivery]:
    """Every case of the ward list, and the real recording that pydicom carries. `now` (aware) is when the ward
    is asked.
    """
    found = [_delivery(case, now) for case in CASES]
    path = vendor_recording()
    if path is not None:
        about = "real: Mortara ELI 250"  # pydicom's own test file
        found.insert(0, replace(_own(path, 0, now), patient="anonymous", about=about))
    return found


def own(folder: Path, now: datetime) -> list[Delivery]:
    """The user's recordings, as they are. Those that name no patient are sent as DICOM under an invented identity.

    Raises InputError where there is nothing to send.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist; --ecgs needs a folder of ECG files, or one file")
    paths = list(payload.find(folder)) if folder.is_dir() else [folder]
    if not paths:
        raise InputError(f"{folder} holds no file; --ecgs needs a folder of ECG files, or one file")
    return [_own(path, number, now) for number, path in enumerate(paths, start=1)]


def _delivery(case: Case, now: datetime) -> Delivery:
    ecg = ecg_of(case, now)
    route, name, content = _written(case, ecg, now)
    return Delivery(
        patient=case.name,
        order=ecg.order.placer,
        about=", ".join(
            filter(None, (case.alteration, "STAT" if case.stat else "", f"{case.age} years" if case.age < 18 else ""))
        ),
        route=route,
        file_name=name,
        content=content,
        source_ids=_source_ids(read(content, CONTEXT)),
    )


def _written(case: Case, ecg: Ecg, now: datetime) -> tuple[Route, str, bytes]:
    match case.transport:
        case "dicom":
            return "C-STORE", f"demo-{case.number:02d}.dcm", dicom_writer.write_ecg(ecg)
        case "hl7":
            embed: Literal["dicom", "aecg"] = "dicom" if case.number % 2 else "aecg"
            message = oru_writer.write_ecg(ecg, control_id=f"DEMO{case.number:04d}", sent_at=now, embed=embed)
            return "MLLP", f"demo-{case.number:02d}.hl7", message
        case "aecg":
            return "folder", f"demo-{case.number:02d}.xml", aecg_writer.write_ecg(ecg)


def _own(path: Path, number: int, now: datetime) -> Delivery:
    """A file of the user's: sent as it is where it can be read and filed, else as it is into the folder."""
    content = b""
    try:
        content = payload.load(path)
        contents = read(content, CONTEXT)
    except PayloadError as error:
        return _dropped(path, content, str(error))
    if not contents.ecgs:
        return _dropped(path, content, "no-ecg: holds no ECG")
    if not contents.ecgs[0].patient.identifiers:
        return _named(path, contents.ecgs[0], number)
    return Delivery(
        patient=path.name,
        about="",
        route=_route(content),
        file_name=path.name,
        content=content,
        source_ids=_source_ids(contents),
    )


def _route(content: bytes) -> Route:
    """Part 10 files travel by C-STORE and single messages by MLLP; everything else is dropped into the folder."""
    if content[128:132] == b"DICM":
        return "C-STORE"
    return "MLLP" if content[:3] == b"MSH" else "folder"


def _dropped(path: Path, content: bytes, problem: str) -> Delivery:
    return Delivery(
        patient=path.name,
        about="",
        route="folder",
        file_name=path.name,
        content=content,
        source_ids=(),
        problem=problem,
    )


def _named(path: Path, ecg: Ecg, number: int) -> Delivery:
    identity = Identifier(authority=AUTHORITY, value=f"DEMO-OWN-{number:04d}")
    patient = replace(ecg.patient, identifiers=(identity,), family_name="DEMO", given_name=f"Own {number:04d}")
    content = dicom_writer.write_ecg(replace(ecg, patient=patient))
    return Delivery(
        patient=path.name,
        about=f"{ecg.format}, names no patient: {identity.value} invented",
        route="C-STORE",
        file_name=f"{path.stem}.dcm",
        content=content,
        source_ids=_source_ids(read(content, CONTEXT)),
    )


def _source_ids(contents: Contents) -> tuple[str, ...]:
    return tuple(ecg.source_id for ecg in contents.ecgs)


def by_source_id(deliveries: Sequence[Delivery]) -> dict[str, Delivery]:
    """Which delivery brought an ECG."""
    return {source_id: delivery for delivery in deliveries for source_id in delivery.source_ids}
