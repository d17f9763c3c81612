"""Words that may stand beside an ejection fraction without making anything else of it, in eight languages, folded.

The vocabulary of cues knows what misleads; nobody knows every word that does: `expected`, `on the referral MUGA`,
`post TAVI`, `at St Elsewhere`. So a value counts only where each word of its clause is either a cue that a rule has
judged or in this table. A word in neither leaves the value out as `unknown-words`: what is missing here costs values,
never makes wrong ones. Words of time, of treatment, of other people and of other places do not belong here.
"""

import re

from ecgfm_connectors.outcomes.phrases import phrases
from ecgfm_connectors.outcomes.report import danger, lexicon, said
from ecgfm_connectors.outcomes.report.typos import Typos
from ecgfm_connectors.outcomes.report.vocabulary import CUES, HEADINGS

_HARMLESS = phrases(
    {
        "grammar": """a|the|an|this|that|there|has|have|having|its|it|in|on|with|and|be|been|as|his|her|who|which
            shows
            showed|showing|demonstrates|demonstrated|demonstrate|reveals|revealed|seen|noted|appears|appear|appearing
            remains|remain|remained|per|using|via|for|giving|yielding|corresponding|consistent|indicating|i|s|but
            der|die|das|den|dem|des|ein|eine|einer|einem|einen|eines|mit|im|in|ist|wird|war|zeigt|zeigen|sich|bei
            liegt
            entspricht|entsprechend|betragt|nach|dabei|somit|hier|gut|es|als|wie|aber|bleibt|errechnet
            le|la|les|l|d|un|une|des|du|avec|en|au|aux|se|sur|par|dans|ce|cette|son|sa|qui|soit|il|elle|montre
            retrouve|objective|reste|selon|mais
            el|los|las|lo|una|con|del|su|que|se|en|por|segun|muestra|presenta|resulta|es|pero|tiene
            il|ha|lo|gli|i|uno|una|con|della|dello|dei|nel|nella|secondo|si|risulta|mostra|presenta|in|sua|che|dell
            pari
            de|het|een|met|in|op|bij|volgens|toont|blijkt|is|die|bedraagt|komt|hierbij|maar|er|wordt|heeft
            o|os|as|um|uma|com|da|do|das|dos|na|no|nas|nos|em|pelo|pela|segundo|mostra|apresenta|sua|seu|que|mas|e
            en|ett|den|det|med|av|i|pa|som|har|visar|ger|ar|enligt|ligger|utgor|men|finns|ses""",
        "measuring": """etant|estant|zijnde|varande|being|wobei|estim*|calculat*|measur*|assess*|visual*|eyeball*|eye
            eyes|quantif*|quantit*|automat*|auto
            manual*|approximat*|roughly|grossly|method*|technique|techniques|modified|disk|disks|disc|discs|summation
            volume|volumes|volumetric*|trace*|tracing|formula|derived|value|values|result*|report|reading|estimate
            computed|determined|obtained|mode|m|mm|mod|sp|al|bip|teich*|quinones|cubed|average*|mean|averaged|contrast
            enhanced|gated|images|imaging|views|view|chamber|chambers|apical views|ch|c|tomtec|heartmodel|qlab|autoef
            geschatzt*|schatzung|schatzungsweise|berechnet*|gemessen*|bestimmt*|visuell*|augenmas|eyeballing|methode
            ermittelt*|quantifiziert*|planimetri*|wert|werte|messwert|mittelwert|kontrast*|volumetrie
            estimee*|estime|evalu*|calcule*|mesure*|visuellement|methode|valeur|oeil|mesuree|ordre|moyenne|chiffree
            estimad*|calculad*|medid*|valorad*|cuantific*|visualmente|metodo*|metodic*|valor|media|ojo|reporta
            entorno|torno
            comprendid*|reduit*|alentours
            stimat*|calcolat*|misurat*|valutat*|quantificat*|visivamente|visiva|visivo|metodo|valore|occhio|intorno
            aggira|attorno|compresa|compreso|stima|ai
            geschat*|berekend*|gemeten*|bepaald*|visueel|visuele|methode|waarde|rond|oog|schatting
            calculad*|medid*|avaliad*|quantificad*|visual|metodo|valor|olho|rondar|ronda
            uppskatt*|beraknad*|beraknas|matt|matning|uppmatt*|visuell*|metod|varde|ogonmatt|berakning
            ml|cm|mmhg|bpm|kg
            biplaan*|biplaine|biplana|biplane|biplano|simpson""",
        "function": """fie|fct|fkt|func|function*|systolic|systolique*|systolisch*|systolisk*|sistolic*|sistolica
            contractil*
            kontraktil*
            pump|pumpfunktion|pump function|performance|fonction*|funktion*|funcion*|funzion*|funcao|funcoes|functie*
            overall|global*|ejection|ventricle*|ventricul*|ventricol*|ventrikel*|ventrikul*|kammer*|kamer*|linkerkamer
            kammare*|vansterkammar*|vanster|links|linksventrik*|linke|linken|linkes|linker|linkerkamer*
            linkerventrik*|left|gauche|izquierd*|sinistr*|esquerd*|lvf|lvsf
            vsn|vsx|vsin|myocard*|myokard*|miocard*|heart|cardiac|cardiaque|cuore|coeur|corazon|coracao|kardio
            cardiac*|kardial*|hart|herz|hjart*|hjarta
            cavity|cavite|cavidad|cavita|cavidade|size|sized|grosse|gros|taille|tamano|tamanho|dimension*|grootte
            storlek|thickness|wanddick*|epaisseur|espesor|spessor*|wanddikte|espessura|vaggtjocklek|wall|walls|motion
            wandbewegung*|cinetique*|cinetica|contrazione|contractie|motilidad|motilita|morfologia|geometr*""",
        "grade": """normal*|abnormal*|preserv*|conserv*|erhalten*|behoud*|bewaard*|bevarad*|mantenid*|mantenut*|gut*
            good|fair|poor|excellent|hyperdynam*|hyperkinet*|iperdinamic*|hiperdinamic*|hyperdynamique|hyperdynaam
            low|lower|high|limit|limits|borderline|grenzwertig*|limite*|limiti|limitrofe|basse|bas|bassa|baja|bajo
            laag
            lag|lage|lagt|mild*|moderat*|sever*|marked*|slight*|significant*|critical*|profound*|very|severely
            reduc*|reduced|impair*|depress*|diminish*|decreased|compromis*|dysfunction*|lvsd|failure|reduziert*
            eingeschrankt*|leicht*|mittel*|mittelgradig*|masig*|massig*|hochgrad*|hochgr|schwer*|massiv*|deutlich*
            stark*
            vermindert*|herabgesetzt*|gestort*|diskret*|global|leichtgr*|mittelgr*|red|eingeschr
            alter*|abaiss*|diminu*|dimin*|effondr*|legere*|leger|moder*|severe*|tres|discret*|dysfonction*|correct
            correcte
            bonne|bon|normale
            deprimid*|disminuid*|leve*|moderad*|grave*|muy|disfunc*|ligera*|ligero|buena|bueno|severamente|importante*
            marcad*|conservad*
            ridott*|depress*|liev*|moderat*|sever*|gravem*|disfunzion*|buona|buono|normale|molto|ottim*|nei|discreta
            verminder*|gestoord*|licht*|sterk|matig*|ernstig*|slecht*|dysfunctie|goed*|normaal|afgenomen|zeer
            redelijk*
            ligeiramente|boa|bom|gravemente|muito|preservad*|deprimid*|compromet*|diminuid*|disfuncao
            nedsatt*|latt*|mattlig*|kraftig*|uttal*|god|gott|dalig*|bra|normal*|dysfunktion*|mycket|svart|grav*""",
        "finding": """dilat*|enlarg*|vergroser*|erweiter*|gedilat*|vergroot*|forstor*|hypertroph*|hipertrof*|ipertrof*
            hypertrofi*|hypokin*|akin*|dyskin*|hipocin*|hipoquin*|acin*|aquin*|ipocin*|discin*|disquin*|dyssynchron*
            hypocin*|dissincron*|asincron*|cardiomyopath*|kardiomyopath*|miocardiopat*|cardiomiopat*|cardiomyopat*
            kardiomyopat*|cardiopat*|ischaemi*|ischami*|ischemi*|isquemi*|dilatativ*|dilated|nonischemic|diffuse
            diffus*|difus*|segmental|concentric*|konzentr*|concentriq*|concentrisch*|koncentrisk*|remodel*
            heart failure|herzinsuffizienz|insuffisance cardiaque|hartfalen|hjartsvikt|scompenso|hfref|hfpef|hfmref
            surcharge|lvh|cmp|dcm|icm|cmd|lbbb|lsb|bbg""",
        "brain": "tia|tias|ait|cva|avc|esus|stroke|strokes|ictus|schlaganfall*|hirninfarkt*|apoplex*|beroerte",
        "valve": """aortic*|aortiq*|aortenklappe*|aortenstenos*|aortastenos*|aortaklep*|mitral*|tricuspid*|tricuspide*
            trikuspid*|pulmonary|valve|valves|valvular|valvulaire*|valvular*|klappen*|klappe|kleppen|klaff*|valvola*
            valvul*|regurgitation|regurgitant|insufficiency|insuffizienz|insufficienza|insuficiencia|insufficientie
            rigurgito|estenosis|stenosi|calcified|sclerosis|vitium|vitien|prosthesis|prothese""",
        "dimension": """ao|root|aorta|ascending|asc|diameter|diam|durchmesser|diametro|diametre|dtd|dts|dtdvg|dtsvg
            ddvi
            dsvi|ddve|dsve|siv|pp|ivs|dd|ds|lvd|lvs|lvedd|lvesd""",
        "surely": """clearly|certainly|definitely|now|nun|sicher|eindeutig|klar|nettement|claramente|chiaramente
            duidelijk|tydligt|klart|weiterhin|toujours|siempre|sempre|nog|steeds|still|fortfarande|overigens""",
        "clock": "ore|ora|kl|klockan|uhr|om|uur|hrs|h|am|pm|alle|alas|dd|vom",
        "person": "patient|patientin|patienten|patiente|paciente|paziente|patienter|doente|he|she|subject",
        "study": """sonographisch*|sonografisch*|sonographie|sonografie|ecografi*|echographi*|echografi*
            notfallecho|study|exam|examination|today
            echo*|eco|stressecho*|stresseko*|ecocardio*|echokardio*|ekokardio*
            eko|tte|tee|ett|ukg
            untersuchung|examen|esame|exame|onderzoek|undersokning|ultraschall|kontrolle|myocardscan*|mri|cmr
            cardioscan|scintigra*|ventriculogra*|ventricologra*|lavokardio*|laevokardio*|cintilogra*|radionuclide
            optimal*|suboptimal*|troligen|total|tot|totale""",
        "more findings": lexicon.FINDINGS,
        "seen": lexicon.SEEN,
        "speech": lexicon.SPEECH,
        "selected": "|".join(f"{word}*" for word in said.SELECTED) + "|read|readout|reported",
    }
)  # fmt: skip
#: Where a finding stands: behind `35 % with …` these say nothing of the value; beside its name they
#: make it a region's.
_WALLS = phrases(
    {
        "wall": """anterieur*|inferieur*|posterieur*|anterior*|antero*|inferior*|infero*|lateral*|posterior*
            postero*|septal*|septum|septo|setto|sept
            apical*|apikal*|apex|apice|spitze|basal*|basis|base|mid|medial*|region*|vorderwand*|hinterwand*|seitenwand
            paroi|pared|parede|parete|wand|framvagg*|bakvagg*|inferolateral*|anteroseptal*|territory|lad|rca|lcx|cx
            scar|scars|narbe*|cicatri*|litteken*|arr|infarkt*|sequel*|secuela*|esiti"""
    }
)
_LINKS = [words for words, cue in CUES.exact.items() if cue == "link"]
_TYPOS = Typos((words[0] for words in (*_HARMLESS.exact, *_LINKS) if len(words) == 1), _HARMLESS.stems)
_OF_A_SECTION = frozenset(("findings", "conclusion"))
_WORKUPS = ("abklarung", "utredning")  #: `Synkopenabklärung`: why the present study was made
#: `3D`, `4CH`, `2C`: how it was seen.
_VIEW = re.compile(r"[234](?:d|c|ch|kb|k)?")


def is_harmless(word: str, written: str) -> bool:
    """Whether a word that is no cue may stand beside a value; `written` is what stands in the text, folded."""
    if word == "figures":
        return _VIEW.fullmatch(written.strip()) is not None
    if not word or word.endswith(_WORKUPS) or _HARMLESS.at((word,), 0) is not None:
        return True
    heading = HEADINGS.at((word,), 0)
    return (heading is not None and heading[0] in _OF_A_SECTION) or _is_typo(word)


def _is_typo(word: str) -> bool:
    """Whether a word is a harmless one with one typing error, and nothing that another table knows."""
    known = CUES.at((word,), 0) is not None or _WALLS.at((word,), 0) is not None or danger.is_word(word)
    return not known and _TYPOS.has(word)


def is_measuring(word: str) -> bool:
    """Whether a word says how the value was found or how good it is: `visually`, `Teichholz`, `low normal`."""
    found = _HARMLESS.at((word,), 0) if word else None
    return found is not None and found[0] in ("measuring", "grade", "seen", "speech")


def is_wall(word: str) -> bool:
    """Whether a word names a wall of the ventricle."""
    return _WALLS.at((word,), 0) is not None
