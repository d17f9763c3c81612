"""Messages as laboratories, echo systems and document systems send them all day:
invented people, every common shape.
"""

import random
from collections.abc import Iterator

_VERSIONS = ("2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8.2")
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
    ("LAB^Report^L", "ED", "PDF^Report^L", "LIS^Application^PDF^Base64^JVBERi0xLjQKJeLjz9M=", "", ""),
    (
        "LAB^Report^L",
        "ED",
        "CDA^Report^L",
        "LIS^text^XML^Base64^PENsaW5pY2FsRG9jdW1lbnQ+PC9DbGluaWNhbERvY3VtZW50Pg==",
        "",
        "",
    ),
    ("LAB^Report^L", "RP", "LINK^Report^L", "http://reports.example/1^^HTML^TEXT", "", ""),
    ("VAC^Vaccine^L", "DT", "30952-6^Date^LN", "20250301", "", ""),
    ("VIT^Vitals^L", "NM", "8867-4^Heart rate^LN", "72", "/min", ""),
)
#: Results that are ours, with what becomes of them: a value, or the reason.
_OURS = (
    ("TROP^Troponin^L", "NM", "67151-1^Troponin T hs^LN", "28", "ng/L", "<14", 28.0),
    ("TROP^Troponin^L", "SN", "67151-1^Troponin T hs^LN", "<^6", "ng/L", "<14", 6.0),
    ("TROP^Troponin^L", "ST", "10839-9^Troponin I^LN", "<0.04", "NG/ML", "0.00-0.08", 40.0),
    ("TROP^Troponin^L", "ST", "67151-1^Troponin T hs^LN", "HEMOLYZED", "ng/L", "<14", None),
    ("TROP^Troponin^L", "ST", "67151-1^Troponin T hs^LN", "15/250", "ng/L", "<14", None),
    ("TROP^Troponin^L", "NM", "TND^Troponin delta^L", "4", "ng/L", "", None),
    ("93306^Echo^CPT", "NM", "18043-0^LVEF^LN", "55", "%", "", 55.0),
    ("93306^Echo^CPT", "TX", "59462-2^Echo report^LN", "LVEF 30-35 %. Prior EF 50%.", "", "", 30.0),
    ("93306^Echo^CPT", "NM", "RVEF^RV ejection fraction^L", "44", "%", "", None),
)


def messages(number: int, seed: int = 1) -> Iterator[tuple[bytes, tuple[float, ...]]]:
    """So many messages, each with the values it must give."""
    chance = random.Random(seed)
    for at in range(number):
        kind = chance.choices(("lab", "ours", "adt", "mdm"), (70, 15, 10, 5))[0]
        head = f"MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||{{}}|T{at:05d}|P|{chance.choice(_VERSIONS)}"
        pid = f"PID|1||{1000 + at % 50}^^^HOSP^MR||TESTPERSON^ALEX||19550505|{chance.choice('MFU')}"
        end = chance.choice(("\r", "\r", "\r", "\r\n", "\n"))
        if kind == "adt":
            segments = [head.format(chance.choice(("ADT^A04", "ADT^A08", "ADT^A31"))), "EVN||20260301", pid, "PV1||I"]
            yield _joined(segments, end), ()
        elif kind == "mdm":
            body = f"OBX|1|TX|NOTE^Note^L||Seen today, note {at}. BP < 140.||||||F"
            yield _joined([head.format("MDM^T02"), "EVN|T02|20260301", pid, "TXA|1|CN||20260301", body], end), ()
        else:
            rows = [chance.choice(_OURS)] if kind == "ours" else [(*row, None) for row in chance.sample(_ORDINARY, 3)]
            segments = [head.format(chance.choice(("ORU^R01", "ORU^R01^ORU_R01"))), pid]
            for place, row in enumerate(rows, start=1):
                segments.append(f"OBR|{place}|P{at}|F{at}-{place}|{row[0]}|||20260301080000||||||||||||||||||F")
                segments.append(f"OBX|1|{row[1]}|{row[2]}||{row[3]}|{row[4]}|{row[5]}|N|||F|||20260301081500")
                segments += ["NTE|1|L|Expected range < 5 & > 1"] * chance.randint(0, 1)
            yield _joined(segments, end), tuple(row[6] for row in rows if row[6] is not None)


def _joined(segments: list[str], end: str) -> bytes:
    return (end.join(segments) + end).encode()
