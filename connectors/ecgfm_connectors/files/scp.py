"""Read an SCP-ECG record (EN 1064:2005+A1, ISO 11073-91064): the rhythm data of section 6.

Own code: `ecgdatakit` 2.0 rounds the sampling rate to whole Hz and refuses records whose byte counts overflow sixteen
bits, which a Contec converter writes; `biosig` (2.5 of Debian; 3.9 did not build from PyPI) opens paths only and makes
up the samples that a cut-off record does not hold. The tests compare with both. Declared lengths are believed only
where the data agree with them.
"""

import binascii
from datetime import timedelta, timezone, tzinfo

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import assemble, signal_identity
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding
from ecgfm_connectors.files.scp_sections import Sections, pacemaker_spikes, statements, tags, universal_statements
from ecgfm_connectors.files.scp_signal import rhythm
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.times import acquired_at, parse_date

_MANUFACTURERS = {
    6: "Hewlett-Packard",
    7: "Marquette",
    8: "Mortara",
    9: "Nihon Kohden",
    13: "Siemens",
    16: "Welch Allyn",
}


def read(content: bytes, context: ReadingContext) -> Contents:
    """The one recording of an SCP-ECG record.

    Raises Unreadable: `scp-structure`, `huffman`, `sampling-frequency`, `waveform-length`; Refused: `no-recording`,
    `no-sensitivity`, `scp-compression`, `too-large` and what `assemble` refuses.
    """
    sections = Sections(content)
    findings: list[Finding] = []
    if binascii.crc_hqx(content[2 : sections.length], 0xFFFF) != int.from_bytes(content[:2], "little"):
        findings.append(Finding(code="checksum-mismatch", text="the record's CRC does not agree with its content"))
    rate, channels = rhythm(sections, findings)
    assembled = assemble(channels)
    about = tags(sections.body(1))
    acquired = _acquired(about, context)
    if acquired is None:
        findings.append(Finding(code="acquisition-time-missing", text="section 1 gives no possible date"))
    ecg = Ecg(
        source_id=signal_identity(assembled.signal, rate),
        format="scp",
        patient=_patient(about, context.default_authority),
        acquired=acquired,
        sampling_rate=rate,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        device=_device(about),
        filters=_filters(about),
        statements=statements(sections.body(8)),
        coded=(*_coded(sections), *_pacing(sections)),
        measurements=_age(about),
        findings=(*findings, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def _coded(sections: Sections) -> tuple[Statement, ...]:
    """Section 11; an acronym with modifiers is only possible, because the modifiers are not known here."""
    return tuple(
        from_code("SCP", acronym, certainty="possible" if more else "stated")
        for acronym, more in universal_statements(sections.body(11))
    )


def _pacing(sections: Sections) -> tuple[Statement, ...]:
    return (from_code("SCP-ECG", "section 7 spikes"),) if pacemaker_spikes(sections.body(7)) else ()


def _acquired(about: dict[int, bytes], context: ReadingContext) -> AcquiredAt | None:
    """Tags 25 and 26, in the zone of tag 34 where it is there."""
    day, clock = _day(about.get(25, b"")), about.get(26, b"")
    if not day or len(clock) < 3:
        return None
    return acquired_at(f"{day}{clock[0]:02d}{clock[1]:02d}{clock[2]:02d}", site=context.zone, message=_zone(about))


def _zone(about: dict[int, bytes]) -> tzinfo | None:
    """Tag 34: minutes east of UTC; 0x7FFF is unknown."""
    minutes = int.from_bytes(about.get(34, b"\xff\x7f")[:2], "little", signed=True)
    return timezone(timedelta(minutes=minutes)) if abs(minutes) <= 14 * 60 else None


def _day(value: bytes) -> str:
    """A four-byte date as YYYYMMDD; empty where it is none."""
    if len(value) < 4:
        return ""
    written = f"{int.from_bytes(value[:2], 'little'):04d}{value[2]:02d}{value[3]:02d}"
    return written if len(written) == 8 else ""


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("latin-1").strip()


def _patient(about: dict[int, bytes], default_authority: str) -> Patient:
    number = _text(about.get(2, b""))
    sex = about.get(8, b"\0")[:1]
    return Patient(
        identifiers=(Identifier(authority=default_authority, value=number),) if number else (),
        birth_date=parse_date(_day(about.get(5, b""))),
        sex="M" if sex == b"\x01" else "F" if sex == b"\x02" else "U",
        family_name=_text(about.get(0, b"")),
        given_name=_text(about.get(1, b"")),
    )


def _age(about: dict[int, bytes]) -> tuple[tuple[str, str], ...]:
    """Tag 4: a number, and 1 years, 2 months, 3 weeks, 4 days, 5 hours."""
    value = about.get(4, b"")
    if len(value) < 3 or not 1 <= value[2] <= 5:
        return ()
    return ages.measurement(str(int.from_bytes(value[:2], "little")), "YMWDH"[value[2] - 1])


def _device(about: dict[int, bytes]) -> Device:
    """Tag 14, the acquiring device: its fixed part, and the strings after it where they are whole."""
    machine = about.get(14, b"")
    if len(machine) < 14:
        return Device()
    strings = [part.decode("latin-1").strip() for part in machine[36:].split(b"\0")]
    return Device(
        manufacturer=_MANUFACTURERS.get(machine[7], "") or (strings[4] if len(strings) > 4 else ""),
        model=_text(machine[8:14]),
        serial=strings[1] if len(strings) > 1 else "",
        software=" ".join(filter(None, (strings[2] if len(strings) > 2 else "", strings[0]))),
    )


def _filters(about: dict[int, bytes]) -> Filters:
    """Tags 27 (hundredths of Hz), 28 (Hz) and 29 (notch bits); 0 is what is written where nothing is known."""
    high_pass, low_pass = (int.from_bytes(about.get(tag, b"")[:2], "little") for tag in (27, 28))
    notch = about.get(29, b"\0")[:1] or b"\0"
    return Filters(
        high_pass=high_pass / 100.0 if high_pass else None,
        low_pass=float(low_pass) if low_pass else None,
        notch=60.0 if notch[0] & 1 else 50.0 if notch[0] & 2 else None,
    )
