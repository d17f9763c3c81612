"""Messages as laboratories, echo systems and document systems send them all day:
invented people, every common shape.

Each message comes with the outcomes it must give. `SHAPES` names what has been covered; a test counts them.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_VERSIONS = ("2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8.2")
_PDF = "JVBERi0xLjQKJeLjz9M="
_CDA = "PENsaW5pY2FsRG9jdW1lbnQ+PC9DbGluaWNhbERvY3VtZW50Pg=="
#: OBR-4, OBX-2, OBX-3, OBX-5, OBX-6, OBX-7 of results that are no concern of ours, in the spellings that LIS send.
_ORDINARY = (
    ("CHEM^Chemistry^L", "NM", "2951-2^Sodium^LN", "140", "mmol/L", "135-145"),
    ("CHEM^Chemistry^L", "NM", "2823-3^Potassium^LN", "4.1", "mmol/L", "3.5-5.1"),
    ("CHEM^Chemistry^L", "SN", "33914-3^eGFR^LN", ">^60", "mL/min/{1.73_m2}", ""),
    ("CRP^CRP^L", "ST", "1988-5^C reactive protein^LN", "<5", "mg/L", "<5"),
    ("CRP^CRP^L", "ST", "1988-5^CRP^LN", "<= 5", "mg/L", ""),
    ("CRP^CRP^L", "TX", "1988-5^CRP^LN", "<0.3", "mg/dl", ""),
    ("CBC^Blood count^L", "NM", "6690-2^WBC^LN", "7.2", "10*3/uL", "4.5-11.0"),
    ("CBC^Blood count^L", "ST", "777-3^Platelets^LN", "<3", "10*9/L", "150-400"),
    ("MICRO^Urine culture^L", "TX", "630-4^Culture^LN", "<10,000 CFU/mL mixed flora", "", ""),
    ("MICRO^Blood culture^L", "FT", "600-7^Culture^LN", "<no growth>", "", ""),
    ("MICRO^Urine culture^L", "CWE", "634-6^Organism^LN", "112283007^Escherichia coli^SCT", "", ""),
    ("SERO^Serology^L", "CE", "5196-1^HBsAg^LN", "260385009^Negative^SCT", "", ""),
    ("SERO^Serology^L", "SN", "22587-0^Titer^LN", "^1^:^128", "{titer}", ""),
    ("COAG^Coagulation^L", "ST", "5902-2^PT^LN", "11.8", "s", "9.4-12.5"),
    ("URIN^Urinalysis^L", "ST", "5811-5^Specific gravity^LN", "1.015", "", "1.005-1.030"),
    ("URIN^Urinalysis^L", "ST", "20454-5^Protein^LN", "2+", "", "Negative"),
    ("BB^Blood bank^L", "ST", "882-1^ABO^LN", "A POS", "", ""),
    ("HORM^Hormones^L", "ST", "3016-3^TSH^LN", "<0.01 (L)", "mIU/L", "0.4-4.0"),
    ("DRUG^Digoxin^L", "ST", "10535-3^Digoxin^LN", "see note", "ng/mL", "0.8-2.0"),
    ("CHEM^Chemistry^L", "ST", "2345-7^Glucose^LN", "", "mg/dL", "70-99"),
    ("CHEM^Chemistry^L", "NM", "2345-7^Glucose^LN", '""', "mg/dL", "70-99"),
    ("CHEM^Chemistry^L", "ST", "2345-7^Glucose^LN", "<-- specimen clotted", "mg/dL", "70-99"),
    ("PATH^Surgical pathology^L", "FT", "22637-3^Report^LN", "Diagnosis:\\.br\\Benign. Size < 2 cm.\\.br\\End", "", ""),
    ("XR^Chest x-ray^L", "FT", "HTML^Display^L", "<HTML><BODY><P>Lungs clear.</P></BODY></HTML>", "", ""),
    ("XR^Chest x-ray^L", "TX", "RPT^Report^L", "<p>Heart size normal.</p>", "", ""),
    ("NOTE^Discharge letter^L", "TX", "LET^Letter^L", "History of heart failure, EF 20%.", "", ""),
    ("GEN^Genetics^L", "ST", "TTN^Titin^L", "c.1234G>A (p.Arg412Gln)", "", ""),
    ("LAB^Report^L", "ED", "PDF^Report^L", f"LIS^Application^PDF^Base64^{_PDF}", "", ""),
    ("LAB^Report^L", "ED", "CDA^Report^L", f"LIS^text^XML^Base64^{_CDA}", "", ""),
    ("LAB^Report^L", "RP", "LINK^Report^L", "http://reports.example/1^^HTML^TEXT", "", ""),
    ("VAC^Vaccine^L", "DT", "30952-6^Date^LN", "20250301", "", ""),
    ("VIT^Vitals^L", "NM", "8867-4^Heart rate^LN", "72", "/min", ""),
    ("BGA^Blood gas^L", "NM", "2744-1^pH^LN", "7.41", "[pH]", "7.35-7.45"),
    ("CHEM^Chemistry^L", "NM", "13969-1^CK-MB^LN", "4.1", "ng/mL", "<5"),
    ("CHEM^Chemistry^L", "ST", "33762-6^NT-proBNP^LN", ">70000", "pg/mL", "<125"),
    ("CRP^CRP^L", "NM", "1988-5^CRP^LN", "3~4", "mg/L", "<5"),
    ("SERO^Serology^L", "ST", "31147-2^RPR^LN", "1:16", "", "Non-reactive"),
    ("ALL^Allergy^L", "ST", "6158-0^Tropomyosin IgE^LN", "<0.10", "kU/L", "<0.35"),
    ("TIME^Timed test^L", "TM", "X1^Time of collection^L", "0815", "", ""),
    ("DICT^Coded comment^L", "CF", "X2^Comment^L", "C12^Sample received late^L", "", ""),
    ("CHEM^Chemistry^L", "ST", "X3^Free text^L", "\\.br\\A \\F\\ B \\T\\ C \\S\\ D \\E\\", "", ""),
)
_HS, _TNI, _LVEF = "67151-1^Troponin T hs^LN", "10839-9^Troponin I^LN", "18043-0^LVEF^LN"
_TROP, _ECHO = "TROP^Troponin^L", "93306^Echo^CPT"
#: Results that are ours, with what becomes of them: OBX-11 and the values they give.
_OURS: tuple[tuple[str, str, str, str, str, str, str, tuple[float, ...]], ...] = (
    (_TROP, "NM", _HS, "28", "ng/L", "<14", "F", (28.0,)),
    (_TROP, "SN", _HS, "<^6", "ng/L", "<14", "F", (6.0,)),
    (_TROP, "ST", _TNI, "<0.04", "NG/ML", "0.00-0.08", "F", (40.0,)),
    (_TROP, "NM", _HS, "31", "ng/L", "<14", "C", (31.0,)),
    (_TROP, "ST", _HS, "HEMOLYZED", "ng/L", "<14", "F", ()),
    (_TROP, "ST", _HS, "15/250", "ng/L", "<14", "F", ()),
    (_TROP, "NM", "TND^Troponin delta^L", "4", "ng/L", "", "F", ()),
    (_TROP, "NM", _HS, "29", "ng/L", "<14", "P", ()),
    (_TROP, "ST", _HS, "Pending", "ng/L", "<14", "I", ()),
    (_ECHO, "NM", _LVEF, "55", "%", "", "F", (55.0,)),
    (_ECHO, "TX", "59462-2^Echo report^LN", "LVEF 30-35 %. Prior EF 50%.", "", "", "F", (30.0,)),
    (_ECHO, "NM", "RVEF^RV ejection fraction^L", "44", "%", "", "F", ()),
)

Message = tuple[bytes, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What every shape needs to write one message."""

    number: int
    chance: random.Random

    def head(self, kind: str) -> str:
        version = self.chance.choice(_VERSIONS)
        return f"MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||{kind}|T{self.number:05d}|P|{version}"

    def pid(self) -> str:
        return f"PID|1||{1000 + self.number % 50}^^^HOSP^MR||TESTPERSON^ALEX||19550505|{self.chance.choice('MFU')}"

    def obr(self, place: int, service: str, status: str = "F", specimen: str = "") -> str:
        filler = f"F{self.number}-{place}"
        return f"OBR|{place}|P{self.number}|{filler}|{service}|||20260301080000||||||||{specimen}||||||||||{status}"

    def obx(self, place: int, row: tuple[str, ...], status: str = "F") -> str:
        return f"OBX|{place}|{row[1]}|{row[2]}||{row[3]}|{row[4]}|{row[5]}|N|||{status}|||20260301081500"

    def written(self, *segments: str) -> bytes:
        end = self.chance.choice(("\r", "\r", "\r", "\r\n", "\n"))
        return (end.join(segments) + end).encode()


def _panel(frame: Frame) -> Message:
    """ORU^R01 with three orders, some with notes."""
    segments = [frame.head(frame.chance.choice(("ORU^R01", "ORU^R01^ORU_R01"))), frame.pid()]
    for place, row in enumerate(frame.chance.sample(_ORDINARY, 3), start=1):
        segments += [frame.obr(place, row[0]), frame.obx(1, row)]
        segments += ["NTE|1|L|Expected range < 5 & > 1"] * frame.chance.randint(0, 1)
    return frame.written(*segments), ()


def _ours(frame: Frame) -> Message:
    *row, status, values = frame.chance.choice(_OURS)
    told = tuple(str(part) for part in row)
    body = (frame.obr(1, told[0], status if status in "PI" else "F"), frame.obx(1, told, str(status)))
    return frame.written(frame.head("ORU^R01"), frame.pid(), *body), values


def _cancelled(frame: Frame) -> Message:
    """OBR-25 or OBX-11 X, D, W; a test that was never done has no value."""
    row = frame.chance.choice(_ORDINARY)
    status = frame.chance.choice("XDW")
    value = (*row[:3], "TEST NOT PERFORMED", *row[4:])
    return frame.written(frame.head("ORU^R01"), frame.pid(), frame.obr(1, row[0], "X"), frame.obx(1, value, status)), ()


def _with_notes(frame: Frame) -> Message:
    """NTE at every level, with what an XML reader would choke on."""
    row = frame.chance.choice(_ORDINARY)
    notes = ("NTE|1|L|<note>", "NTE|2||See <a href='x'>", "NTE|3|P|A & B < C > D", "NTE|4|L|")
    return frame.written(
        frame.head("ORU^R01"), frame.pid(), notes[0], frame.obr(1, row[0]), notes[1], frame.obx(1, row), *notes[2:]
    ), ()


def _microbiology(frame: Frame) -> Message:
    """Unsolicited culture with organisms and susceptibilities below a parent (OBR-26, OBR-29), OBX-4 sub-ids."""
    drugs = [f"OBX|{at}|ST|18906-8^Ciprofloxacin^LN|1.{at}|<=0.25|ug/mL||S|||F|||20260301081500" for at in range(1, 4)]
    parent = f"{frame.obr(2, 'SUSC^Susceptibility^L')}|634-6&Organism&LN^1|||P{frame.number}^F{frame.number}-1"
    organism = "OBX|1|CWE|634-6^Organism^LN|1|3092008^Staphylococcus aureus^SCT||||||F"
    return frame.written(
        frame.head("ORU^R01"), frame.pid(), frame.obr(1, "MICRO^Wound culture^L"), organism, parent, *drugs
    ), ()


def _specimens(frame: Frame) -> Message:
    """SPM and OBR-15; the troponin of a pleural fluid is none of ours."""
    fluid = frame.chance.random() < 0.5
    spm = "SPM|1|||PLR^Pleural fluid^HL70487" if fluid else "SPM|1|||SER^Serum^HL70487|||||||||||||20260301080000"
    values = () if fluid else (27.0,)
    obx = f"OBX|1|NM|{_HS}||27|ng/L|<14||||F|||20260301081500"
    return frame.written(frame.head("ORU^R01^ORU_R01"), frame.pid(), frame.obr(1, _TROP), obx, spm), values


def _embedded(frame: Frame) -> Message:
    """A PDF beside discrete results, with an empty one among them."""
    pdf = f"OBX|2|ED|PDF^Report^L||LIS^Application^PDF^Base64^{_PDF}||||||F"
    row = frame.chance.choice(_ORDINARY[:8])
    empty = "OBX|3|ED|PDF^Empty^L||||||||F"
    segments = (frame.pid(), "ORC|RE", frame.obr(1, row[0]), frame.obx(1, row), pdf, empty)
    return frame.written(frame.head("ORU^R01"), *segments), ()


def _serial(frame: Frame) -> Message:
    """Two draws of one order, told apart by OBX-14."""
    draws = [
        f"OBX|{at}|NM|{_HS}|{at}|{value}|ng/L|<14|H|||F|||2026030108{15 * at:02d}00"
        for at, value in enumerate((18, 62), start=1)
    ]
    return frame.written(frame.head("ORU^R01"), frame.pid(), frame.obr(1, _TROP), *draws), (18.0, 62.0)


def _unusual(frame: Frame) -> Message:
    """Z segments, unknown segments, PV1, PD1, OBX without OBR, DSC, many empty fields, a very long line."""
    row = frame.chance.choice(_ORDINARY[:8])
    extra = ("PD1||||1^DOE^J", "PV1|1|E|ER^1^1", "ZPI|1|x^y&z~w", "ZZZ", "CTI|1")
    long = f"OBX|2|TX|X9^Comment^L||{'lorem ipsum < 5 & so on ' * 80}||||||F"
    return frame.written(
        frame.head("ORU^R01"), frame.pid(), *extra, frame.obr(1, row[0]), frame.obx(1, row), long, "DSC||I"
    ), ()


def _other_events(frame: Frame) -> Message:
    """Point of care (R30, R32), observation without order (W01), display (R33): read as ORU."""
    row = frame.chance.choice(_ORDINARY[:8])
    event = frame.chance.choice(("ORU^R30^ORU_R30", "ORU^R32^ORU_R30", "ORU^W01^ORU_W01", "ORU^R03"))
    return frame.written(frame.head(event), frame.pid(), frame.obr(1, row[0]), frame.obx(1, row)), ()


def _document(frame: Frame) -> Message:
    event = frame.chance.choice(("MDM^T02", "MDM^T02^MDM_T02", "MDM^T06", "MDM^T08"))
    body = f"OBX|1|TX|NOTE^Note^L||Seen today, note {frame.number}. BP < 140.||||||F"
    segments = (f"EVN|{event[4:7]}|20260301", frame.pid(), "PV1|1|O", "TXA|1|CN||20260301", body)
    return frame.written(frame.head(event), *segments), ()


def _movement(frame: Frame) -> Message:
    event = frame.chance.choice(("ADT^A01", "ADT^A03", "ADT^A04", "ADT^A08", "ADT^A11", "ADT^A31"))
    return frame.written(frame.head(event), "EVN||20260301", frame.pid(), "PV1||I"), ()


#: Shape -> how often of a hundred, and who writes it.
SHAPES: dict[str, tuple[int, Callable[[Frame], Message]]] = {
    "panel": (38, _panel),
    "ours": (14, _ours),
    "cancelled": (6, _cancelled),
    "notes": (6, _with_notes),
    "microbiology": (5, _microbiology),
    "specimens": (4, _specimens),
    "embedded": (5, _embedded),
    "serial": (3, _serial),
    "unusual": (4, _unusual),
    "other events": (4, _other_events),
    "document": (4, _document),
    "movement": (7, _movement),
}


def messages(number: int, seed: int = 1) -> Iterator[Message]:
    """So many messages, each with the values it must give."""
    chance = random.Random(seed)
    shapes = list(SHAPES.values())
    for at in range(number):
        write = chance.choices([write for _, write in shapes], [often for often, _ in shapes])[0]
        yield write(Frame(number=at, chance=chance))
