"""The DICOM object that an ECG came as: what a report beside it must repeat, and refer to."""

from dataclasses import dataclass, field

from ecgfm_connectors.patient import Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveformObject:
    """Patient, study, series and instance as the object itself has them (PS3.3 C.7.1.1, C.7.2.1, C.12.1).

    Values are those of the sender, as text; empty where the object has none.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    study_date: str = ""  #: DA
    study_time: str = ""  #: TM
    study_id: str = ""  #: SH
    accession: str = ""  #: SH
    referring_physician: str = field(default="", repr=False)  #: PN
    patient_id: str = field(default="", repr=False)  #: LO
    issuer: str = ""  #: LO, (0010,0021)
    authority: str = ""  #: by which the number is read: the issuer, or what the site set where the object names none
    patient_name: str = field(default="", repr=False)  #: PN with its component groups
    birth_date: str = field(default="", repr=False)  #: DA
    sex: str = ""  #: CS

    @property
    def identifier(self) -> Identifier | None:
        """Whose it says to be; None where it names no patient."""
        if not self.patient_id or not self.authority:
            return None
        return Identifier(authority=self.authority, value=self.patient_id)
