"""Write an Ecg in the formats of vendors and of SCP-ECG and EDF: for tests and golden files, never for a hospital."""

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.leads import LEAD_NUMBERS

INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
STEP = 0.005  #: mV for one unit in every format here
_Counts = NDArray[np.int64]


def counts(ecg: Ecg, leads: Sequence[str] = LEADS) -> dict[str, _Counts]:
    """Each lead in whole steps of 5 µV."""
    return {lead: np.rint(ecg.signal[LEADS.index(lead)] / STEP).astype(np.int64) for lead in leads}


def write_muse(ecg: Ecg, *, with_doctype: bool = True) -> bytes:
    """GE MUSE `RestingECG`: a median block first, then the rhythm; eight leads with CRC-32."""
    at = ecg.acquired.at if ecg.acquired else None
    patient = ecg.patient
    number = patient.identifiers[0].value if patient.identifiers else ""
    parts = [
        '<?xml version="1.0" encoding="ISO-8859-1"?>',
        '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">' if with_doctype else "",
        "<RestingECG><PatientDemographics>",
        f"<PatientID>{escape(number)}</PatientID>",
        f"<DateofBirth>{patient.birth_date:%m-%d-%Y}</DateofBirth>" if patient.birth_date else "",
        f"<Gender>{'FEMALE' if patient.sex == 'F' else 'MALE'}</Gender>",
        f"<PatientLastName>{escape(patient.family_name)}</PatientLastName>",
        f"<PatientFirstName>{escape(patient.given_name)}</PatientFirstName></PatientDemographics>",
        f"<TestDemographics><AcquisitionDevice>{escape(ecg.device.model)}</AcquisitionDevice>",
        f"<AcquisitionTime>{at:%H:%M:%S}</AcquisitionTime><AcquisitionDate>{at:%m-%d-%Y}</AcquisitionDate>"
        if at
        else "",
        "</TestDemographics><Diagnosis>",
        *(_muse_statement(statement) for statement in ecg.statements),
        "</Diagnosis>",
        _muse_waveform(ecg, "Median", samples=600),
        _muse_waveform(ecg, "Rhythm", samples=ecg.signal.shape[1]),
        "</RestingECG>",
    ]
    return "\n".join(parts).encode("latin-1", errors="xmlcharrefreplace")


def _muse_statement(statement: str) -> str:
    text = f"<StmtFlag>ENDSLINE</StmtFlag><StmtText>{escape(statement)}</StmtText>"
    return f"<DiagnosisStatement>{text}</DiagnosisStatement>"


def _muse_waveform(ecg: Ecg, kind: str, samples: int) -> str:
    leads = "".join(_muse_lead(lead, row[:samples]) for lead, row in counts(ecg, INDEPENDENT).items())
    high_pass, low_pass = ecg.filters.high_pass or 0.0, ecg.filters.low_pass or 150.0
    return (
        f"<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>8</NumberofLeads>"
        f"<SampleBase>{ecg.sampling_rate:g}</SampleBase><SampleExponent>0</SampleExponent>"
        f"<HighPassFilter>{high_pass * 100:g}</HighPassFilter><LowPassFilter>{low_pass:g}</LowPassFilter>"
        f"<ACFilter>{ecg.filters.notch or 'NONE'}</ACFilter>{leads}</Waveform>"
    )


def _muse_lead(lead: str, row: _Counts) -> str:
    data = row.astype("<i2").tobytes()
    return (
        f"<LeadData><LeadByteCountTotal>{len(data)}</LeadByteCountTotal>"
        f"<LeadSampleCountTotal>{len(row)}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>{STEP * 1000:g}</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID>"
        f"<LeadSampleSize>2</LeadSampleSize><LeadOff>FALSE</LeadOff><LeadDataCRC32>{zlib.crc32(data)}</LeadDataCRC32>"
        f"<WaveFormData>{base64.encodebytes(data).decode()}</WaveFormData></LeadData>"
    )


def write_mfer(ecg: Ecg, *, little_endian: bool = True, block: int = 500, kind: int = 0) -> bytes:
    """MFER (ISO 22077): preamble, definitions, one attribute group a channel,
    one frame of sequences × channels × block.
    """
    order: Literal["little", "big"] = "little" if little_endian else "big"
    at, patient = ecg.acquired.at if ecg.acquired else None, ecg.patient

    def define(tag: int, value: bytes) -> bytes:
        size = len(value).to_bytes(4, "big")
        return bytes((tag,)) + (bytes((len(value),)) if len(value) < 128 else b"\x84" + size) + value

    number = patient.identifiers[0].value if patient.identifiers else ""
    born = patient.birth_date
    rows = np.stack(list(counts(ecg).values()))
    cube = rows.reshape(12, -1, block).transpose(1, 0, 2)
    dtype = ("<" if little_endian else ">") + {0: "i2", 2: "i4"}[kind]
    parts = [
        define(0x40, b"MFR Standard 12 leads ECG       "),
        define(0x01, bytes((little_endian,))),
        define(0x17, f"Maker^{ecg.device.model}^1.0^7".encode()),
        define(0x82, number.encode()),
        define(0x81, f"{patient.family_name}^^{patient.given_name}".encode()),
        define(0x84, b"\x02" if patient.sex == "F" else b"\x01"),
        define(0x83, b"\0\0\0" + born.year.to_bytes(2, order) + bytes((born.month, born.day))) if born else b"",
        define(0x85, at.year.to_bytes(2, order) + bytes((at.month, at.day, at.hour, at.minute, at.second)))
        if at
        else b"",
        define(0x08, (1).to_bytes(2, order)),
        define(0x0B, b"\x01\xfd" + round(1000 / ecg.sampling_rate).to_bytes(2, order)),
        define(0x0C, b"\x00\xfa" + round(STEP * 1000).to_bytes(2, order)),
        define(0x0A, bytes((kind,))),
        define(0x04, block.to_bytes(2, order)),
        define(0x05, (12).to_bytes(1, order)),
        define(0x06, len(cube).to_bytes(2, order)),
    ]
    for channel, lead in enumerate(LEADS):
        parts.append(b"\x3f" + bytes((channel,)) + define(0, define(0x09, LEAD_NUMBERS[lead].to_bytes(2, order)))[1:])
    return b"".join(parts) + define(0x1E, cube.astype(dtype).tobytes()) + b"\x80\0"


def write_mortara(ecg: Ecg) -> bytes:
    """Mortara ELI XML: twelve channels of 200 units a mV."""
    at = ecg.acquired.at if ecg.acquired else None
    patient = ecg.patient
    number = patient.identifiers[0].value if patient.identifiers else ""
    born = f'DOB="{patient.birth_date:%Y%m%d}" ' if patient.birth_date else ""
    told = "".join(f"<STATEMENT TEXT={quoteattr(text)} REASON=''/>" for text in ecg.statements)
    channels = "".join(_mortara_channel(lead, row, ecg.sampling_rate) for lead, row in counts(ecg).items())
    parts = (
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<ECG ACQUISITION_TIME="{at:%Y%m%d%H%M%S}" VENT_RATE="62">' if at else "<ECG>",
        (
            f"<SUBJECT ID={quoteattr(number)} LAST_NAME={quoteattr(patient.family_name)} "
            f'FIRST_NAME={quoteattr(patient.given_name)} GENDER="{"Female" if patient.sex == "F" else "Male"}" {born}/>'
        ),
        f'<SOURCE MANUFACTURER="Mortara Instrument, Inc." MODEL={quoteattr(ecg.device.model)} LOW_PASS_FILTER="150"/>',
        f"<AUTOMATIC_INTERPRETATION>{told}</AUTOMATIC_INTERPRETATION>",
        f'<TYPICAL_CYCLE SAMPLE_FREQ="{ecg.sampling_rate:g}" UNITS_PER_MV="200"/>{channels}</ECG>',
    )
    return "\n".join(parts).encode()


def _mortara_channel(lead: str, row: _Counts, rate: float) -> str:
    data = base64.b64encode(row.astype("<i2").tobytes()).decode()
    return (
        f'<CHANNEL NAME="{lead}" OFFSET="0" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="{1 / STEP:g}" '
        f'DURATION="{len(row)}" SAMPLE_FREQ="{rate:g}" ENCODING="BASE64" DATA="{data}"/>'
    )


def write_schiller(ecg: Ecg, *, pacemaker: str = "") -> bytes:
    """Schiller SEMA XML: averages first, then the rhythm of twelve leads in steps of 5 µV."""
    at, patient = ecg.acquired.at if ecg.acquired else None, ecg.patient
    number = patient.identifiers[0].value if patient.identifiers else ""
    when = f"<startdatetime><date>{at:%Y-%m-%d}</date><time>{at:%H:%M:%S}</time></startdatetime>" if at else ""
    born = f"<birthdate>{patient.birth_date:%Y-%m-%d}</birthdate>" if patient.birth_date else ""
    parts = (
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<com.xiriuz.sema.xml.schillerEDI.SchillerEDI><examdescript>{when}<aquiringdevice><hardware>",
        f"<vendor>SCHILLER</vendor><model>{escape(ecg.device.model)}</model></hardware></aquiringdevice></examdescript>",
        f"<patdata><id>{escape(number)}</id><lastname>{escape(patient.family_name)}</lastname>",
        f"<firstname>{escape(patient.given_name)}</firstname>{born}",
        f"<gender>{'FEMALE' if patient.sex == 'F' else 'MALE'}</gender>",
        f"<pacemaker><value>{pacemaker}</value></pacemaker></patdata><eventdata><event>",
        _schiller_waves("ECG_AVERAGES", {lead: row[:600] for lead, row in counts(ecg).items()}, ecg.sampling_rate),
        _schiller_waves("ECG_RHYTHMS", counts(ecg), ecg.sampling_rate),
        "</event></eventdata></com.xiriuz.sema.xml.schillerEDI.SchillerEDI>",
    )
    return "\n".join(parts).encode()


def _schiller_waves(kind: str, rows: Mapping[str, _Counts], rate: float) -> str:
    head = "<datastype>COMMASEPARATE</datastype>"
    channels = "".join(
        f"<channel><name>{lead}</name>{head}<data>{','.join(map(str, row.tolist()))}</data></channel>"
        for lead, row in rows.items()
    )
    return (
        f"<wavedata><type>{kind}</type><resolution><samplerate><unit>HZ</unit><value>{rate:g}</value>"
        f"<exponent>1</exponent></samplerate><yres><units>UV</units><unitperbit>{STEP * 1000:g}</unitperbit></yres>"
        f"</resolution>{channels}</wavedata>"
    )


def write_cardiosoft(ecg: Ecg) -> bytes:
    """GE CardioSoft `CardiologyXML`: medians, a longer full disclosure with other samples, and the strip."""
    at = ecg.acquired.at if ecg.acquired else None
    moment = "".join(f"<{name}>{getattr(at, name.lower())}</{name}>" for name in _CLOCK) if at else ""
    number = ecg.patient.identifiers[0].value if ecg.patient.identifiers else ""
    disclosure = {lead: np.tile(row, 2) for lead, row in counts(ecg).items()}
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><CardiologyXML><ObservationType>RestECG</ObservationType>'
        f"<ObservationDateTime>{moment}</ObservationDateTime>"
        f"<ClinicalInfo><DeviceInfo><Desc>{escape(ecg.device.model)}</Desc></DeviceInfo></ClinicalInfo>"
        f"<PatientInfo><PID>{escape(number)}</PID><Gender>{'FEMALE' if ecg.patient.sex == 'F' else 'MALE'}</Gender>"
        "</PatientInfo><FilterSetting><Filter50Hz>Yes</Filter50Hz><LowPass units='Hz'>150</LowPass></FilterSetting>"
        "<Interpretation><Diagnosis>"
        + "".join(f"<DiagnosisText>{escape(statement)}</DiagnosisText>" for statement in ecg.statements)
        + "</Diagnosis></Interpretation><RestingECGMeasurements><MedianSamples>"
        + _cardiosoft_data({lead: row[:600] for lead, row in counts(ecg).items()}, ecg)
        + "</MedianSamples></RestingECGMeasurements><FullDisclosure>"
        + _cardiosoft_data(disclosure, ecg)
        + "</FullDisclosure><StripData>"
        + _cardiosoft_data(counts(ecg), ecg)
        + "</StripData></CardiologyXML>"
    )
    return text.encode("latin-1", errors="xmlcharrefreplace")


_CLOCK = ("Hour", "Minute", "Second", "Day", "Month", "Year")


def _cardiosoft_data(rows: dict[str, _Counts], ecg: Ecg) -> str:
    samples = len(next(iter(rows.values())))
    return (
        f"<NumberOfLeads>{len(rows)}</NumberOfLeads><SampleRate units='Hz'>{ecg.sampling_rate:g}</SampleRate>"
        f"<ChannelSampleCountTotal>{samples}</ChannelSampleCountTotal>"
        f"<Resolution units='uVperLsb'>{STEP * 1000:g}</Resolution>"
        + "".join(
            f'<WaveformData lead="{lead}">{",".join(map(str, row.tolist()))}</WaveformData>'
            for lead, row in rows.items()
        )
    )


def write_philips(ecg: Ecg, *, version: str = "1.03", compressed: bool = True) -> bytes:
    """Philips XML: the ECG, 50 zeros, a 1 mV calibration pulse and 50 zeros in every lead, as the carts write it."""
    tail = np.concatenate([np.zeros(50), np.full(100, 1.0 / STEP), np.zeros(50)]).astype(np.int64)
    rows = {lead: np.concatenate([row, tail]) for lead, row in counts(ecg).items()}
    samples = len(rows["I"])
    plain = b"".join(row.astype("<i2").tobytes() for row in rows.values())
    data = b"".join(_xli(row) for row in _differences(rows).values()) if compressed else plain
    duration = f"{samples / ecg.sampling_rate * 1000:.10g}"
    if version == "1.03":
        kind = "SierraECG"
        about = f"<signalresolution>{STEP * 1000:g}</signalresolution>"
        attributes = (
            f'compressflag="{compressed}" compressmethod="XLI" durationperchannel="{duration}" nbitspersample="16"'
        )
    else:
        kind = "PhilipsECG"
        about = f"<resolution>{STEP * 1000:g}</resolution>"
        attributes = (
            f'compression="{"XLI" if compressed else "Uncompressed"}" numberofleads="12" '
            f'leadlabels="{" ".join(LEADS)}" durationperchannel="{duration}" samplespersecond="{ecg.sampling_rate:g}" '
            f'resolution="{STEP * 1000:g}" bitspersample="16" signaloffset="0" hipass="0.05" lowpass="150" '
            'notchfiltered="False"'
        )
    at = ecg.acquired.at if ecg.acquired else None
    taken = f' date="{at:%Y-%m-%d}" time="{at:%H:%M:%S}"' if at else ""
    number = ecg.patient.identifiers[0].value if ecg.patient.identifiers else ""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo>'
        f"<documenttype>{kind}</documenttype><documentversion>{version}</documentversion></documentinfo>"
        f"<dataacquisition{taken}><machine>{escape(ecg.device.model)}</machine><signalcharacteristics>"
        f"<samplingrate>{ecg.sampling_rate:g}</samplingrate>{about}<signalbandwidth>0.05-150</signalbandwidth>"
        "<bitspersample>16</bitspersample><numberchannelsvalid>12</numberchannelsvalid><leadset>STD-12</leadset>"
        "</signalcharacteristics></dataacquisition><patient><generalpatientdata>"
        f"<patientid>{escape(number)}</patientid><sex>{'Female' if ecg.patient.sex == 'F' else 'Male'}</sex>"
        "</generalpatientdata></patient><interpretations><interpretation>"
        + "".join(f"<statement><leftstatement>{escape(s)}</leftstatement></statement>" for s in ecg.statements)
        + f'</interpretation></interpretations><waveforms><parsedwaveforms dataencoding="Base64" {attributes}>'
        + base64.encodebytes(data).decode()
        + "</parsedwaveforms></waveforms></restingecgdata>"
    )
    return text.encode()


def _differences(rows: dict[str, _Counts]) -> dict[str, _Counts]:
    """Limb leads as what I and II leave unexplained."""
    one, two, three = rows["I"], rows["II"], rows["III"]
    changed = dict(rows)
    changed["III"] = two - one - three
    changed["aVR"] = -rows["aVR"] - (one + two) // 2
    changed["aVL"] = (one - three) // 2 - rows["aVL"]
    changed["aVF"] = (two + three) // 2 - rows["aVF"]
    return changed


def _xli(row: _Counts) -> bytes:
    """One lead: second differences, high bytes before low bytes, LZW with ten-bit codes, a header of eight bytes."""
    predicted = np.zeros_like(row)
    predicted[2:] = 2 * row[1:-1] - row[:-2] - row[2:]
    first = int(predicted[2])
    words = np.concatenate((row[:2], predicted[3:] + 64, [64])).astype(np.int16).view(np.uint16)
    packed = _lzw((words >> 8).astype(np.uint8).tobytes() + (words & 0xFF).astype(np.uint8).tobytes())
    return struct.pack("<iHh", len(packed), 1, first) + packed


def _lzw(data: bytes) -> bytes:
    table = {bytes((value,)): value for value in range(256)}
    codes, current = [], b""
    for value in data:
        longer = current + bytes((value,))
        if longer in table:
            current = longer
            continue
        codes.append(table[current])
        if len(table) <= 1022:
            table[longer] = len(table)
        current = longer[-1:]
    codes += [table[current], 1023]
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def write_edf(ecg: Ecg) -> bytes:
    """EDF with data records of one second, physical range ±163.84 mV."""
    per_record = round(ecg.sampling_rate)
    records = ecg.signal.shape[1] // per_record
    at = ecg.acquired.at if ecg.acquired else None
    started = f"{at:%d.%m.%y%H.%M.%S}" if at else "01.01.8500.00.00"
    fixed = (("0", 8), ("X X X X", 80), ("Startdate X X X X", 80), (started, 16), (str(256 * 13), 8), ("", 44))
    header = "".join(text.ljust(width)[:width] for text, width in (*fixed, (str(records), 8), ("1", 8), ("12", 4)))
    same = (("", 80), ("mV", 8), ("-163.84", 8), ("163.835", 8), ("-32768", 8), ("32767", 8), ("", 80))
    header += "".join(lead.ljust(16) for lead in LEADS) + "".join(text.ljust(width) * 12 for text, width in same)
    header += str(per_record).ljust(8) * 12 + " " * 32 * 12
    rows = np.stack(list(counts(ecg).values()))[:, : records * per_record]
    table = rows.reshape(12, records, per_record).transpose(1, 0, 2)
    return header.encode("ascii") + table.astype("<i2").tobytes()
