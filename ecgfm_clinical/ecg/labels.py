"""Which of the 17 interpretation labels each thing that a device states means."""

from collections.abc import Mapping

SINUS, PVC, TACHY, VT = "Sinus rhythm", "Premature ventricular contraction", "Tachycardia", "Ventricular tachycardia"
AF, AFL, BRADY, PRE = "Atrial fibrillation", "Atrial flutter", "Bradycardia", "Accessory pathway conduction"
AVB, AVB1, BIF = "Atrioventricular block", "1st degree atrioventricular block", "Bifascicular block"
RBBB, LBBB, MI, PACED = "Right bundle branch block", "Left bundle branch block", "Infarction", "Electronic pacemaker"

#: Half of a bifascicular block; with a right bundle branch block it is one.
FASCICLE = "fascicular block"

#: What devices state (`ecgfm_connectors.statements`) -> the labels it means.
LABELS: Mapping[str, tuple[str, ...]] = {
    "sinus-rhythm": (SINUS,),
    "sinus-tachycardia": (SINUS, TACHY),
    "sinus-bradycardia": (SINUS, BRADY),
    "premature-ventricular": (PVC,),
    "tachycardia": (TACHY,),
    "supraventricular-tachycardia": (TACHY,),
    "supraventricular-tachycardia-aberrant": (TACHY, "Supraventricular tachycardia with aberrancy"),
    "ventricular-tachycardia": (TACHY, VT),
    "atrial-fibrillation": (AF,),
    "atrial-flutter": (AFL,),
    "bradycardia": (BRADY,),
    "pre-excitation": (PRE,),
    "av-block": (AVB,),
    "av-block-1": (AVB, AVB1),
    "right-bundle-branch-block": (RBBB,),
    "left-bundle-branch-block": (LBBB,),
    "fascicular-block": (FASCICLE,),
    "bifascicular-block": (BIF,),
    "infarction": (MI,),
    "paced": (PACED,),
    "poor-quality": ("Poor data quality",),
}
