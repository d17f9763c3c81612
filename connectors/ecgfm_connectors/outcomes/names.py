"""What the name of an observation says it measures, in the words of eight languages."""

import re
from dataclasses import dataclass
from typing import Literal

from ecgfm_connectors.decision import Kind
from ecgfm_connectors.outcomes.folding import fold, words
from ecgfm_connectors.outcomes.phrases import phrases, word_set

MAX_LENGTH = 200  #: characters of a name that are looked at

#: What a name with the right words may mean instead.
Other = Literal[
    "other-chamber", "other-patient", "other-organ", "other-analyte", "other-specimen", "change", "score", "prior",
    "stress", "limit", "goal", "date-or-time", "method", "interpretation", "prediction", "question", "regional",
    "volume", "derived",
]  # fmt: skip

EJECTION_WORDS = """lvef|lv ef|ef|fevg|fevi|feve|fevs|fey|f ey|fe|ejection fraction|ejektionsfraktion|auswurffraktion
    fraction d ejection|fraccion de eyeccion|frazione d eiezione|frazione di eiezione|ejectiefractie
    fracao de ejecao|fraccao de ejeccao|fraccao de ejecao|fracao de ejeccao|linksventrikelejektionsfraktion
    linkerventrikelejectiefractie|lv ejectiefractie|e f|f e|lvefbp|efbp|autoef"""

#: Abbreviations that name another chamber's or organ's fraction.
_OTHER_CHAMBERS = "rvef|laef|raef|svef|fevd|gbef"

_MEASURED = phrases(
    {
        "lvef": EJECTION_WORDS + "|" + _OTHER_CHAMBERS,
        "troponin": """troponin*|troponiini*|ctni|ctnt|hstni|hstnt|hsctni|hsctnt|tni|tnt|tropi|tropt
            hstropi|hstropt|trophs|hstrop|tropihs|tropths|tropo|ctroponin*|tn i hs|tn t hs|hs tn i|hs tn t
            tnih|tnths|tnihs
            trop""",
    }
)
_OTHERS = phrases(
    {
        "other-chamber": """rv|rvef|right|rechts*|rechter*|hoger*|vd|droit*|derech*|destr*|direit*|fevd|la|laef
            left atrial|left atrium|ra|raef|atri*|vorhof*|oreillette*|auricul*|boezem*|og|ai|ae|svef|single ventricle
            systemic|univentricular|fontan|hk""",
        "other-patient": "fetal|fetus|foetal|fotal*|fetale|fatale|donor",
        "other-organ": "gallbladder|gb|gbef|hida|cck|biliary|hepatobiliary|cholescinti*|gastric|vesic*|gallenblase*",
        "other-analyte": """skelet*|squelett*|antibod*|antikorper*|anticorps|anticuerpo*|anticorp*|antistof*
            antikropp*
            anti|ab|qc|control|calibrator|blank|standard|macrotroponin*|macro|tropomyosin*|ige|recovery|gene|genetic*
            isoform*|fast|slow""",
        "other-specimen": """pleural*|fluid|fluids|urin*|orina|csf|liquor|ascit*|aszites|dialys*|drain|drainage
            effusion
            punctate|punktat*|punktion*|erguss*|pleurapunkt*|pleuravocht|liquide|liquido|vocht|cord|saliva
            perikarderguss*
            pericardial|synovial""",
        "change": """change*|delta*|difference*|diff|differenz*|differenza|diferencia|diferenca|verschil*|forandring*
            anderung*|veranderung*|variation|variacao|variacion|variazione|cambio|ratio|rapport|quotient|verhaltnis
            percent change|relative|trend|recovery|slope|rate|velocity""",
        "score": "sd|z|zscore|z score|score|scores|percentile*|perzentil*|points|grade|class|category|risk|risiko",
        "prior": """prior|prev|previous*|last|ago|months|month|preop|pre op|postop|discharge|admission|verlauf
            baseline
            nadir|historical|history|former|outside|vorbefund*|vorwert*|voruntersuchung*|anterieur*|precedent*|previa
            previo|anterior*|previas|vorig*|tidigare|foregaende|eerder*|ancien*|initial""",
        "stress": """stress|poststress|post|peak|exercise|dobutamin*|belastung*|effort|esfuerzo|sforzo|inspanning*
            esforco|estres|estresse|belastning*""",
        "limit": """percentil|99th|99|limit*|lod|loq|lob|url|uln|cutoff|cut off|threshold|reference|ref|range
            grenzwert*
            referenz*|afkap*|seuil|umbral|soglia|limiar|gransvarde*|schwelle*""",
        "goal": "goal|target|ziel*|objetivo|objectif|streefwaarde",
        "date-or-time": """date|datum|time|hours|hour|hrs|days|since|onset|turnaround|tat|year|heure*|horas|ore
            stunden
            uren|timmar|collected|drawn|uhrzeit|tid|duration|ejection time|interval""",
        "method": "qualitativ*|method|methode|metodo|technique|quality|source|performed|modality|device",
        "interpretation": """interp*|critical|called|notified|comment*|kommentar*|commento|comentario*|note|nota|notes
            opmerking*|observac*|osserv*|message|text|bemerkung*|panel|conclusion|bewertung|beurteilung""",
        "prediction": "probability|predicted|prediction|model|algorithm|ecg|ekg|wahrscheinlichkeit|suspected",
        "question": """low|high|abnormal|flag|documented|less|greater|yes|question|indicator|known|below|above|over
            under|if""",
        "regional": "regional|segment*|wall|slice|septal|lateral|apical",
        "derived": """max|maximum|maximal|min|minimum|highest|lowest|mean|average|median|mittelwert|moyenne|media
            gemiddeld*|medelvarde|hochste*|niedrigste*""",
        "volume": "volume|stroke|output|mass|index|effective",
    }
)  # fmt: skip
#: Cardiac markers, electrolytes, blood counts and dimensions of the heart: a code of ours above one of them is wrong.
_NEIGHBOURS = phrases(
    {
        "neighbour": """ck|ckmb|cpk|creatin*|kreatin*|creatine kinase|ldh|ast|asat|alt|alat|got|gpt|myoglobin*
            mioglobin*|bnp
            nt probnp|ntprobnp|probnp|natriuret*|dimer*|d dimer*|crp|reactive protein|procalcitonin*|pct|lactat*
            lattat*
            potassium|kalium|potasio|potassio|sodium|natrium|sodio|glucose|glukos*|glucos*|urea|urée|harnstoff|egfr
            gfr
            hemoglobin*|haemoglobin*|hamoglobin*|hematocrit*|leuko*|leuco*|thrombo*|platelet*|inr|quick|tsh|cholester*
            shortening|verkurzung*|raccourcissement|acortamiento|accorciamento|encurtamento|strain|gls|tapse|diameter
            diametre|durchmesser|diametro|gradient*|velocity|pressure|druck|pression|presion|pressione"""
    }
)
_LEFT = phrases(
    {"left": "lv|lvef|left ventric*|left ventricular|left ventricle|linksventrik*|linker*|linke*|vg|vi|ve|vs|vk"}
)
_EXPLICIT = frozenset(("lvef", "fevg", "fevi", "feve", "fevs", "lvefbp"))
#: Every word that the name of a left ventricular ejection fraction may hold; another one may make anything of it.
_OF_LVEF = word_set(
    """lv lvef lvefbp left ventricular ventricle ventricles ef efbp fe fey ejection fraction fractions e f d s m
    autoef eyeball vis visiva echographie ecografia
    vg vi ve vs vk fevg fevi feve fevs fejve links linke linker linken linksventrikulare linksventrikularen
    linksventrikular ventrikel ventrikels kammer gauche ventricule ventriculaire izquierdo ventriculo izquierda
    ventricular sinistro ventricolo sinistra ventricolare esquerdo esquerda vansterkammare vansterkammarens
    vanster kammare kammares linkerventrikel linkerkamer kamer biplana biplanare biplaan biplanes bipl simps teichh
    vansterkammar vsx vsn eyeccion expulsion eiezione ejecao ejeccao fracao
    fraccao fraccion frazione biplane biplan biplano biplanar bp bip mod mdb simpson simpsons teichholz teich
    cubed cube mm mode single plane monoplane monoplan a c ch chamber chambers view four two estimated est estim
    calc calculated computed measured visual visually visuell visuelle visivo visueel auto automated automatic
    manual geschatzt berechnet estimee estimada stimata geschat uppskattad calculee calculada calcolata echo eko
    echocardiography echocardiogram echocardiographic us usg ultrasound tte tee toe mri mr mrt irm rm cmr ct muga
    spect gated nuclear mibi cath angio angiography angiogram ventriculography ventriculogram contrast enhanced
    by of the on in at de du des del della dello di da do la le el d l nach per par por via mit con com met med
    and und selon segun secondo volgens segundo enligt method methode metodo metod disk disks disc discs
    summation global overall systolic function funktion value result reported rest resting repos reposo riposo
    rust ruhe vila repouso percent pct prozent pourcent heart cardiac cardio herz coeur corazon cuore hart hjarta
    coracao"""
)
#: The same for a cardiac troponin: assay, sample, maker and platform, place in a series, place of measurement.
_OF_TROPONIN = word_set(
    """hstropi hstropt trophs tropihs tropths tropo ctroponin total basal messung reflex w
    ic tnic ctnic sensib sensit sensitv hsensitive hochs hochempfindlich kansl kvantitativ
    kwant dosage dosierung dosagem dosaggio determinacion bestimmung bepaling analys resultado result risultato
    urgence urgences urgencia urgencias urgenza spoed akut notfall cito emergency ed er stat routine sys proteina
    troponin troponiini troponine troponina troponins troponinen trop tropi tropt tropo tn tni tnt ctn ctni ctnt
    hstn
    hstni hstnt hsctn hsctni hsctnt tnih tnths tnihs i t ctrop hstrop kardiales kardialt hs us hypersens high
    highly higher sens sensitive sensitivity sensitiv sensitivo sensitiva sensitivas sensible sensibles highsens
    highsensitive highsensitivity hochsens hochsensitiv hochsensitives hochsensitive ultra ultrasens
    ultrasensitive ultrasensitiv ultrasensible ultrasensivel ultrasensible ultrassensivel ultrassensiveis
    ultrassensiv hypersensible hypersensibel alta haute sensibilite sensibilita sensibilidad sensibilidade as
    ad elevada elevata hoog hoge sensitief sensitieve sensitiviteit gevoelige gevoeligheid hog kanslig kansligt
    kanslighet hochsensitiver hochsensibel hochsensitivem empfindlich sensibel sensibler sensibilite ultrasensivel
    ultra
    hogkanslig hogkansligt hogsensitiv hogsensitivt hoogsensitief hoogsensitieve hoog gevoelig gen generation th
    st nd rd cardiac kardial hjerte hjertet cardiaque cardiaca cardiaco cardiale kardiell hjart hart heart cardio
    serum plasma
    serplas blood blut sang sangre sangue bloed blod venous whole vollblut volbloed helblod heparin lith li hep
    edta s p b sp pl ser bld sst quantitative quantitativ quantitatif quantitativa quantitativo kwantitatief
    quant qn level levels conc concentration konzentration masse mass mcnc massconc assay test immunoassay clia
    eclia elisa cmia ecl method methode metodo metod by in of de du del di da la le im i and und et y e en och or
    the on for per mit con com met med abbott architect alinity siemens atellica centaur dimension vista exl
    advia immulite beckman coulter access dxi roche cobas elecsys ortho vitros biomerieux vidas pathfast lsi
    medience quidel quidelortho triage triagetrue istat stat radiometer aqt tosoh aia snibe maglumi mindray
    biologie delocalisee schnelltest snabbtest sneltest
    sysmex hscl pro h poc poct point care bedside patientnara ptnara initial first second third repeat serial
    series draw pna vtli seh hour hours
    hr hrs min mins minute minutes admission baseline stunde stunden heure heures hora
    horas ora ore uur uren timme timmar presentation arrival rapid urgent express result value lab laboratory ng
    l ml pg mcg ug"""
)
_TWO_DRAWS = re.compile(r"(?<!\d)\d{1,2} ?(?:h|std|hr)? ?(?:/|-|\u2013|vs) ?\d{1,2} ?(?:h|std|hr)(?![a-z])")
_DILUTION = re.compile(r"(?<!\d)1 ?: ?\d")
_CARDIAC = phrases(
    {
        "cardiac": """echo*|tte|tee|toe|ett|ete|eto|ukg|eko*|eco|eco*|ecg gated|cardiac mr|cardiac mri|cardiac ct|cmr
            mri heart|heart|cardiac|cardiaque|cardiaca|cardiaco|kardio*|cardio*|herz*|hart*|hjart*|coeur|cuore|muga
            spect|gated|myocard*|myokard*|ventriculogra*|ventrikulogra*|radionuclide|cath|angiocardio*|mugascan
            cathlab
            irm|rmc|ecocardio*|perfusion|rnv|tvr|doppler"""
    }
)
_NOT_CARDIAC = phrases(
    {
        "other-organ": "hida|hepatobiliary|cholescinti*|gallbladder|gb|biliary|cck|gastric|emptying",
        "other-patient": "fetal|fetus|foetal|obstetric*|ob",
        "prediction": "ecg|ekg|electrocardiogra*|elektrokardio*",
    }
)
_CARDIAC_CODES = ("93303", "93304", "93306", "93307", "93308", "93312", "34552-0", "59281-6", "42148-7", "59462-2")
_SENSITIVE = phrases(
    {
        "hs": """hs|hsctni|hsctnt|hstni|hstnt|high sens*|high sensitivity|high sensitive|high sens|highsens*|hochsens*
            ultra|ultrasens*|us|hypersens*|alta sensib*|alta sensibilita|alta sensibilidade|alta sensibilidad|as
            hogkans*|gen|hstropi|hstropt|trophs|hstrop|tropihs|tropths|hogsens*|hoogsens*|tnths|tnihs|tnih"""
    }
)
_POINT_OF_CARE = phrases(
    {
        "poc": """poc|poct|point of care|istat|i stat|triage|triagetrue|bedside|cobas h|stat tropon|whole blood
        pointofcare|pna|patientnar*|vtli|aqt|schnelltest|rapid test|test rapide|test rapido
        teste rapido|snabbtest|bettseitig*|biologie delocalisee|ebmd|decentralis*|decentralised"""
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What a name says: a kind, or why it is another quantity in spite of the words."""

    kind: Kind
    other: Other | None = None


def measured(name: str) -> Naming | None:
    """The quantity a name speaks of; None where it speaks of neither ejection fraction nor troponin."""
    spoken = words(fold(_spaced(name[:MAX_LENGTH])))
    kind = _MEASURED.first(spoken)
    if kind is None:
        kind = _compound(spoken)
    if kind is None:
        return None
    found: Kind = "lvef" if kind == "lvef" else "troponin"
    return Naming(kind=found, other=other(name, found))


def other(name: str, kind: Kind, only: Other | None = None) -> Other | None:
    """What else a name with the right words means: another chamber, a change, a limit; of these `only` one."""
    folded = fold(name[:MAX_LENGTH])
    if only is None and any(sign in folded for sign in "<>≤≥"):
        return "question"
    if only is None and "99" in folded:
        return "limit"
    if only is None and kind == "troponin" and (change := _between_draws(folded)):
        return change
    spoken = words(folded if kind == "troponin" else fold(_spaced(name[:MAX_LENGTH])))
    for index in range(len(spoken)):
        found = _OTHERS.at(spoken, index)
        if found and only in (None, found[0]) and not _harmless(found[0], spoken, index, kind):
            return found[0]  # type: ignore[return-value]  # the table's keys are the literals
    return None


def _between_draws(folded: str) -> Other | None:
    """`Troponin I 0/3h`, `3h-0h`, `Δ` are changes from one draw to another; `1:10` is a dilution."""
    if "δ" in folded or "∆" in folded or _TWO_DRAWS.search(folded):
        return "change"
    return "derived" if _DILUTION.search(folded) else None


def holds_unknown_words(name: str, kind: Kind) -> bool:
    """Whether a name holds a word that is in no table, so that it may be anything's."""
    spoken = words(fold(_spaced(name[:MAX_LENGTH])))
    known = _OF_LVEF if kind == "lvef" else _OF_TROPONIN
    return any(word not in known and not word.endswith(_ENDS) for word in spoken)


def without_name(text: str) -> str:
    """A value without the name of a troponin before it: `Troponin I 41 ng/L`."""
    at = next((at for at, char in enumerate(text) if char.isdigit() or char in "<>≤≥"), 0)
    name = text[:at].rstrip(" :=")
    if not name or not any(char.isalpha() for char in name):
        return text
    naming = measured(name)
    if naming is None or naming.kind != "troponin" or naming.other or holds_unknown_words(name, "troponin"):
        return text
    return text[at:]


def names_another(name: str) -> bool:
    """Whether a name names a quantity that is often beside an ejection fraction or a troponin."""
    return _NEIGHBOURS.first(words(fold(_spaced(name[:MAX_LENGTH])))) is not None


def is_left(name: str) -> bool:
    """Whether the name says that the left ventricle is meant."""
    spoken = words(fold(_spaced(name[:MAX_LENGTH])))
    return bool(_EXPLICIT & set(spoken)) or _LEFT.first(spoken) is not None or _compound(spoken) is not None


def service(text: str) -> Literal["cardiac", "other-organ", "other-patient", "prediction", ""]:
    """What kind of examination the name of an order speaks of."""
    spoken = words(fold(text[:MAX_LENGTH]))
    barred = _NOT_CARDIAC.first(spoken)
    if barred:
        return barred  # type: ignore[return-value]  # the table's keys are the literals
    named = _CARDIAC.first(spoken) or next((code for code in _CARDIAC_CODES if code in text), None)
    return "cardiac" if named else ""


def assay(name: str) -> str:
    """hs-I, hs-T, I or T as the name of a troponin tells; empty where it does not."""
    spoken = words(fold(name[:MAX_LENGTH]))
    letter = next((found for index in range(len(spoken)) if (found := _letter(spoken, index))), "")
    return ("hs-" if letter and _SENSITIVE.first(spoken) else "") + letter


def point_of_care(text: str) -> bool:
    """Whether a name or a service speaks of a test at the bedside."""
    return _POINT_OF_CARE.first(words(fold(text[:MAX_LENGTH]))) is not None


def _letter(spoken: tuple[str, ...], index: int) -> str:
    word = spoken[index]
    if word.startswith(("tropon", "ctropon")) or word in ("tropo", "tn"):
        following = spoken[index + 1] if index + 1 < len(spoken) else ""
        return following[0].upper() if following in ("i", "t", "ic", "tc") else ""
    if word.removesuffix("hs").endswith(("tropi", "tropt")):
        return word.removesuffix("hs")[-1].upper()
    for stem in ("ctn", "tn"):
        at = word.find(stem)
        if at >= 0 and word[at + len(stem) : at + len(stem) + 1] in ("i", "t"):
            return word[at + len(stem)].upper()
    return ""


#: Beside a troponin these name the draw: `Troponin I 3 hour`.
_OF_A_DRAW = frozenset(("rate", "initial", "baseline", "hour", "hours", "hrs", "admission"))


def _harmless(cue: str, spoken: tuple[str, ...], index: int, kind: Kind) -> bool:
    """Words that mean something else beside the other quantity."""
    word = spoken[index]
    if cue == "method" and spoken[index + 1 : index + 2] == ("of",):
        return True  # of disks
    if kind == "troponin":
        if word in ("peak", "high"):
            return word == "high"  # high sensitivity
        return cue in ("other-chamber", "volume", "regional", "stress", "method") or word in _OF_A_DRAW
    return word in ("vi", "ve", "fast", "slow") or (
        word == "la" and index == 0 and len(spoken) > 1 and spoken[1].startswith("f")
    )


#: How compounds for an ejection fraction end.
_ENDS = ("ejektionsfraktion", "ejektionsfraktionen", "ejectiefractie", "auswurffraktion")


def _compound(spoken: tuple[str, ...]) -> str | None:
    """Compounds: `Linkerventrikelejectiefractie`, `LA-Ejektionsfraktion`."""
    return "lvef" if any(word.endswith(_ENDS) for word in spoken) else None


def _spaced(name: str) -> str:
    """Abbreviations run together, taken apart: `RVEF3D` stays, `LVEF_bp` becomes `LVEF bp`."""
    return name.replace("_", " ")
