"""The SOP Classes an ECG or a measured outcome may arrive under (DICOM PS3.4 B.5), and their transfer syntaxes."""

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

#: What the reader takes an ECG from. The last two are no ECG classes, but catheter-laboratory systems
#: store 12-lead ECGs under them.
ECG_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.9.1.1": "12-lead ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.2": "General ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.3": "Ambulatory ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.4": "General 32-bit ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.2.1": "Hemodynamic Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.3.1": "Basic Cardiac Electrophysiology Waveform Storage",
}

#: Structured reports that may hold a measured ejection fraction (PS3.4 B.5).
REPORT_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.88.22": "Enhanced SR Storage",
    "1.2.840.10008.5.1.4.1.1.88.33": "Comprehensive SR Storage",
    "1.2.840.10008.5.1.4.1.1.88.34": "Comprehensive 3D SR Storage",
    "1.2.840.10008.5.1.4.1.1.88.72": "Simplified Adult Echo SR Storage",
}

#: What is always offered to senders and asked for from archives.
STORED_SOP_CLASSES = ECG_SOP_CLASSES | REPORT_SOP_CLASSES

#: What else may hold words about an ECG; taken by the listeners and sources whose settings say so.
DOCUMENT_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.88.11": "Basic Text SR Storage",
    "1.2.840.10008.5.1.4.1.1.104.1": "Encapsulated PDF Storage",
}

VERIFICATION = "1.2.840.10008.1.1"
TWELVE_LEAD_ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

#: Explicit VR Big Endian is retired and not offered on the network; files that carry it are read all the same.
TRANSFER_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


def stored(*, documents: bool) -> tuple[str, ...]:
    """The SOP Classes that a listener offers or a source asks for; `documents`: those with words about ECGs as well."""
    return (*STORED_SOP_CLASSES, *(DOCUMENT_SOP_CLASSES if documents else ()))


def class_name(uid: str) -> str:
    """The standard's name of a SOP Class, or the UID itself where it is private."""
    return (STORED_SOP_CLASSES | DOCUMENT_SOP_CLASSES).get(uid) or UID(uid).name
