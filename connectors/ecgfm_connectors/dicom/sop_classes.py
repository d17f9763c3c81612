"""The SOP Classes an ECG may arrive under (DICOM PS3.4 B.5), and the transfer syntaxes we take them in."""

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

#: What the Storage SCP offers and the reader accepts. The last two are no ECG classes, but catheter-laboratory systems
#: store 12-lead ECGs under them.
ECG_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.9.1.1": "12-lead ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.2": "General ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.3": "Ambulatory ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.1.4": "General 32-bit ECG Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.2.1": "Hemodynamic Waveform Storage",
    "1.2.840.10008.5.1.4.1.1.9.3.1": "Basic Cardiac Electrophysiology Waveform Storage",
}

VERIFICATION = "1.2.840.10008.1.1"
TWELVE_LEAD_ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

#: Explicit VR Big Endian is retired and not offered on the network; files that carry it are read all the same.
TRANSFER_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


def class_name(uid: str) -> str:
    """The standard's name of a SOP Class, or the UID itself where it is private."""
    return ECG_SOP_CLASSES.get(uid) or UID(uid).name
