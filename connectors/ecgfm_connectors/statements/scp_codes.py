"""The statement acronyms of EN 1064, annex B (universal statement codes of section 11), as PTB-XL publishes them.

PTB-XL 1.0.3 `scp_statements.csv`: 71 acronyms, with the ids that its authors found for them in ISO/IEEE 11073-10102 and
DICOM. The annex has more; PTB-XL lists those that its cardiologists used. `other` is known and of no concern to a gate
or label; bigeminy and trigeminy (`BIGU`, `TRIGU`) are "of unknown origin" and name no ventricular beat.
"""

from collections.abc import Mapping

_STATED = {
    "sinus-rhythm": "SR SARRH",
    "sinus-tachycardia": "STACH",
    "sinus-bradycardia": "SBRAD",
    "premature-ventricular": "PVC",
    "supraventricular-tachycardia": "SVTAC PSVT",
    "atrial-fibrillation": "AFIB",
    "atrial-flutter": "AFLT",
    "pre-excitation": "WPW",
    "av-block-1": "1AVB",
    "av-block": "2AVB 3AVB",
    "right-bundle-branch-block": "CRBBB",
    "left-bundle-branch-block": "CLBBB",
    "fascicular-block": "LAFB LPFB",
    "infarction": "AMI ALMI ASMI IMI ILMI IPMI IPLMI LMI PMI",
    "paced": "PACE",
    "other": (
        "NDT NST_ DIG LNGQT NORM LVH ISC_ IRBBB IVCD ISCAL LAO/LAE ISCIN INJAS ISCIL ISCAS INJAL ISCLA RVH"
        " ANEUR RAO/RAE"
        " EL ILBBB ISCAN SEHYP INJIN INJLA INJIL ABQRS STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_"
        " PRC(S) SVARR BIGU TRIGU"
    ),
}

SCP: Mapping[str, str] = {code: concept for concept, codes in _STATED.items() for code in codes.split()}
