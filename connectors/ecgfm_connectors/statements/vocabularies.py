"""The closed vocabularies that devices and archives code statements in, as concepts of `statement.CATEGORIES`.

SNOMED CT: the codes of the PhysioNet/CinC challenges 2020–2021, of DICOM CID 3555 (pacing; also its SNOMED-RT ids), and
those of DICOM CID 3673. SCP: the statement acronyms of EN 1064 as PTB-XL uses them. Minnesota: the code of Prineas,
Crow and Zhang, 2nd edition, 2010. A statement of a vocabulary that is not here is kept as `unread` with its code.
"""

from collections.abc import Mapping

from ecgfm_connectors.statement import Statement

SNOMED: Mapping[str, str] = {
    "426783006": "sinus-rhythm",
    "427084000": "sinus-tachycardia",
    "11092001": "sinus-tachycardia",
    "426177001": "sinus-bradycardia",
    "49710005": "sinus-bradycardia",
    "427393009": "sinus-rhythm",  # sinus arrhythmia
    "427172004": "premature-ventricular",
    "17338001": "premature-ventricular",
    "164884008": "premature-ventricular",
    "3424008": "tachycardia",
    "426761007": "supraventricular-tachycardia",
    "713422000": "supraventricular-tachycardia",  # atrial tachycardia
    "164895002": "ventricular-tachycardia",
    "164889003": "atrial-fibrillation",
    "49436004": "atrial-fibrillation",
    "164890007": "atrial-flutter",
    "5370000": "atrial-flutter",
    "426627000": "bradycardia",
    "74390002": "pre-excitation",
    "195060002": "pre-excitation",
    "233917008": "av-block",
    "270492004": "av-block-1",
    "195042002": "av-block",
    "54016002": "av-block",
    "426183003": "av-block",
    "27885002": "av-block",
    "59118001": "right-bundle-branch-block",
    "713427006": "right-bundle-branch-block",
    "164909002": "left-bundle-branch-block",
    "733534002": "left-bundle-branch-block",
    "445118002": "fascicular-block",
    "445211001": "fascicular-block",
    "164865005": "infarction",
    "57054005": "infarction",
    "164867002": "infarction",
    "54329005": "infarction",
    "10370003": "paced",
    "251266004": "paced",  # pacing pattern of the CinC challenges
    "18590009": "paced",
    "69158002": "paced",
    "344994008": "paced",
    "371910005": "paced",
    "P2-35000": "paced",
    "P2-35200": "paced",
    "P2-35002": "paced",
    "R-002D9": "paced",
}

SCP: Mapping[str, str] = {
    "SR": "sinus-rhythm",
    "STACH": "sinus-tachycardia",
    "SBRAD": "sinus-bradycardia",
    "SARRH": "sinus-rhythm",
    "PVC": "premature-ventricular",
    "BIGU": "premature-ventricular",
    "TRIGU": "premature-ventricular",
    "SVTAC": "supraventricular-tachycardia",
    "PSVT": "supraventricular-tachycardia",
    "AFIB": "atrial-fibrillation",
    "AFLT": "atrial-flutter",
    "WPW": "pre-excitation",
    "1AVB": "av-block-1",
    "2AVB": "av-block",
    "3AVB": "av-block",
    "CRBBB": "right-bundle-branch-block",
    "CLBBB": "left-bundle-branch-block",
    "LAFB": "fascicular-block",
    "LPFB": "fascicular-block",
    **dict.fromkeys(("AMI", "ALMI", "ASMI", "IMI", "ILMI", "IPMI", "IPLMI", "LMI", "PMI"), "infarction"),
    "PACE": "paced",
}

MINNESOTA: Mapping[str, str] = {
    "6-1": "av-block",
    "6-2": "av-block",
    "6-3": "av-block-1",
    "6-4": "pre-excitation",
    "6-8": "paced",
    "7-1": "left-bundle-branch-block",
    "7-2": "right-bundle-branch-block",
    "7-7": "fascicular-block",
    "7-8": "bifascicular-block",
    "8-1-2": "premature-ventricular",
    "8-3-1": "atrial-fibrillation",
    "8-3-2": "atrial-flutter",
    "8-7": "sinus-tachycardia",
    "8-8": "sinus-bradycardia",
}

VOCABULARIES: Mapping[str, Mapping[str, str]] = {"SNOMED": SNOMED, "SCP": SCP, "Minnesota": MINNESOTA}

#: Sources of marks that a device sets where its own detector found pacing; each of their codes means that.
PACING_MARKS = frozenset({"MUSE", "DXL", "MDC", "SCP-ECG"})

#: Coding Scheme Designator or HL7 coding system -> vocabulary.
SCHEMES = {"SCT": "SNOMED", "SRT": "SNOMED", "SNM": "SNOMED", "SNOMED": "SNOMED", "SNOMED-CT": "SNOMED"}


def from_code(source: str, code: str, wording: str = "") -> Statement:
    """The statement of one code; its concept is `unread` where the vocabulary or the code is not here."""
    known = VOCABULARIES.get(source, {})
    concept = known.get(code.strip())
    if concept is None and source == "Minnesota":  # a longer code is a kind of the shorter one
        concept = next((known[part] for part in _shorter(code.strip()) if part in known), None)
    return Statement(concept=concept or "unread", source=source, code=code.strip(), wording=wording)


def _shorter(code: str) -> list[str]:
    parts = code.split("-")
    return ["-".join(parts[:length]) for length in range(len(parts) - 1, 1, -1)]
