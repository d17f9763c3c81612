"""The statement codes of the interpretation programs inside carts, and the marks that carts set, as concepts.

No maker's list is public as a whole. Below is what public documents and files show; every other code is kept as
`unread` with its device and software version, while the words beside it are read all the same.

GE 12SL. Numbers: 21, 101, 1301, 1305 and 1687 from the ORU example of a MUSE site in public HL7 parsers (coding system
`MEIECG`); 19, 22 and 161, the paced rhythms and the infarctions from published analyses of the Harvard-Emory ECG
Database, whose labels are 12SL codes. Acronyms: those of PTB-XL+ (`12slv23ToSNOMED.csv`), grouped as its users do.

Philips DXL. `SB` and `NPTA` stand in a PageWriter file, `SR` and `AXR` in the public reader of another study.

Glasgow (Uni-G). Its guides print sentences and no codes: the words are read.
"""

from collections.abc import Mapping

_TWELVE_SL = {
    "sinus-rhythm": "19 22 NSR SRTH SAR MSAR",
    "sinus-bradycardia": "21 SBRAD MSBRAD",
    "sinus-tachycardia": "STACH",
    "premature-ventricular": "PVC",
    "atrial-fibrillation": "161 AFIB",
    "atrial-flutter": "FLUT",
    "pre-excitation": "WPW WPWA WPWB",
    "av-block-1": "101 FAV",
    "av-block": "CHB SAV MBZI MBZII VAVB",
    "right-bundle-branch-block": "RBBB",
    "left-bundle-branch-block": "LBBB",
    "fascicular-block": "AFB PFB",
    "infarction": "700 740 760 780 801 810 820 SMI AMI LMI IMI IPMI POSTMI ASMI ALMI STEMI",
    "paced": "183 184 185 186 289 290 291 292 293 295 296 297 298 326 APR VPR ASVPR AVDPR",
    "other": (
        "1301 1305 1687 IRBBB ILBBB LVH LVH2 LVH3 QRSV RVH RVE+ LNGQT IVCB IVCD LOWV LAE RAE BAE NST STDEP2 JST NT NSTT"
        " AT MAT LT MLT IT MIT ILT MILT ALT MALT SPR AVDIS BIVH PULD PAC PSVC ABER EAR EABRAD EATACH JR JTACH"
        " JUNBRAD UR"
        " SERYR1 SERYR2 QRST ARM"
    ),
}
_DXL = {"sinus-rhythm": "SR", "sinus-bradycardia": "SB", "other": "AXR NPTA"}
_DXL_MARKS = ("pacemodes", "pacepulses", "atrialpaceflag", "ventdualpaceflag")


def _by_code(stated: Mapping[str, str]) -> dict[str, str]:
    return {code: concept for concept, codes in stated.items() for code in codes.split()}


TWELVE_SL: Mapping[str, str] = _by_code(_TWELVE_SL)
#: Statement codes, and the fields of the analysis that mark pacing.
DXL: Mapping[str, str] = _by_code(_DXL) | dict.fromkeys(_DXL_MARKS, "paced")
#: What a MUSE export marks: the cart's own detector of pacing spikes.
MUSE: Mapping[str, str] = {"PaceSpikes": "paced"}
#: What a Schiller export says of the patient.
SCHILLER: Mapping[str, str] = {"pacemaker": "paced"}
#: What SCP-ECG measures: the pacemaker spikes of section 7.
SCP_MARKS: Mapping[str, str] = {"section 7 spikes": "paced"}
