"""The words by which the surroundings of a number tell what it is, in eight languages, folded."""

from ecgfm_connectors.outcomes.phrases import word_set

AHEAD = ("pre", "praop", "vor")
#: Why an examination was made before an operation.
WORKUP = ("work", "workup", "assess", "bedomning", "utredning", "bilan", "evalua", "abklarung", "valutaz", "avalia",
          "check", "screening", "beoordeling", "onderzoek", "risikoeinsch", "control", "kontroll", "controle",
          "vorbereitung", "consult", "visit", "clearance", "untersuchung")  # fmt: skip
#: Behind a number: it is as it was then.
LIKE = word_set("as come wie comme como som zoals same idem gleich unchanged unverandert igual ugual")
BASELINE = word_set("basale basal baseline base ausgangswert ausgangsbefund utgangsvarde uitgangswaarde")
DURING = word_set(
    """at with during under in a au en bei unter vid bij op al post after nach apres tras dopo na efter apos pos
    da con durante com pendant onder med"""
)
#: Without a comparator that could be read, these say that the number is a bound all the same.
BOUNDING = word_set(
    """least most moins menos almeno minst minstens mindestens wenigstens tenminste minste hochstens superieur
    superieure inferieur inferieure superior inferior superiore inferiore maggiore minore mayor menor maior
    groter kleiner storre mindre grosser groser groesser greater less"""
)
AS_FAR_AS = word_set("bis hasta tot fino ate jusqu")
REDUCED = word_set(
    """reduced impaired decreased depressed abnormal eingeschrankt reduziert vermindert alteree abaissee diminuee
    reducida deprimida disminuida ridotta depressa verminderd gestoord comprometida diminuida nedsatt sankt"""
)
TWO_PLANES = ("biplan", "biplaan", "bp")
METHODS = ("teich", "visu", "eyeball", "contrast", "kontrast", "planimetr", "quinones", "oil", "ogonm", "volumetr")
AT_THE = frozenset(
    (
        "limite",
        "limiar",
        "valor",
        "exame",
        "eco",
        "ecocardiograma",
        "cateterismo",
        "controlo",
        "controle",
        "repouso",
        "momento",
        "presente",
    )
)
FOUND_BY = frozenset(("visuell", "geschatzt", "eyeball"))
BETWEEN = frozenset(("between", "zwischen", "entre", "tra", "tussen", "mellan"))
MISJUDGED = ("overestimat", "underestimat", "uberschatz", "unterschatz", "surestim", "sousestim", "sobreestim",
              "subestim", "sovrastim", "sottostim", "overschat", "onderschat", "overskatt", "underskatt",
              "sobrestim")  # fmt: skip
DIFFERENCES = word_set(
    "change delta difference differenz veranderung anderung variation differenza diferencia verschil"
)
ABSOLUTE = word_set("absolute relative absolu relatif absoluta relativa assoluto relativo absoluut relatief absolut")
AMOUNTS = word_set(
    """drop decrease decline increase rise fall reduction improvement change abfall abnahme anstieg gedaald gestegen
    gezakt afgenomen toegenomen gesunken gefallen abgefallen gestiegen abgenommen zugenommen sjunkit minskat stigit
    lower higher less niedriger hoher lager hoger lagre hogre"""
)
PLAIN_BY = frozenset(("by", "um", "met", "med"))
BY_IF_CHANGED = frozenset(("de", "del", "di", "un", "of", "do"))
MEASURING = frozenset(
    ["estimated", "calculated", "measured", "assessed", "visually", "quantified", "quantitated", "found"]
)
#: `stimata del 40 %` tells how a value was found, not how far it moved.
FOUND = ("stimat", "estimad", "calcolat", "calculad", "misurat", "medid", "valutat", "estime", "calcule", "mesure")
UNCHANGED = word_set(
    """unchanged stable unverandert unveranderte inchangee inchange estable sin invariata stabile ongewijzigd stabiel
    inalterada estavel oforandrad oforandrat new present"""
)
LESSENED = ("diminu", "redui", "abaiss", "baiss", "reduzid", "disminuid", "reducid")
OTHER_MATTERS = frozenset(("compare", "change", "mention", "left-mention", "measure", "now", "from", "arrow"))
#: Small words between and around numbers.
OF_THE = frozenset(("of", "the", "du", "de", "la", "del", "della", "do", "da", "van", "der", "des"))
ATRIA = frozenset(("ae", "la", "og", "ai", "ra", "lad", "od", "left", "atrio", "auricula", "oreillette"))
JOINING = frozenset(("with", "and", "mit", "und", "avec", "et", "con", "y", "e", "met", "en", "com", "med", "och"))
OR = frozenset(("or", "oder", "ou", "o", "of", "eller"))
THE = frozenset(("il", "el", "le", "la", "os", "de", "het", "the"))
AND = frozenset(("and", "und", "et", "y", "e", "ed", "en", "och", "a"))
LEAST = word_set(
    """nadir nadirs tiefpunkt tiefstwert tiefststand dieptepunt lowest lagsta som un um een einem ett point punto ponto
    lagstanivan laagste"""
)  #: the first words of phrases for the lowest value
UNDER = word_set("sous under unter onder bajo sotto sob on")  #: before a treatment
ONE = word_set("a an the eine die une la una el una la een de um uma a en den")
SINCE = frozenset(("since", "seit", "depuis", "desde", "dal", "dalla", "sinds", "sedan", "over"))
#: Beside a number: of several values this one is the report's.
SELECTED = ("final", "overall", "retenu", "retenid", "retained", "refertat", "gerapporteerd", "slutlig", "samlad",
            "sammantag", "gesamt", "complessiv", "definitiv", "definitif", "definitief",
            "endgultig", "eindwaarde", "eindoordeel",
            "consensus", "befundet", "adopt", "gewertet", "globalement", "conclusiv", "finaal", "uiteindelijk",
            "slutgilt", "informa", "refertiamo", "assunt", "adotad", "reportada", "ausgewiesen")  # fmt: skip
#: The first words of a draft, and of a sentence that tells what a draft said: `Preliminary read: LVEF 45 %`.
DRAFT = ("prelim", "draft", "unsigned", "unverified", "vorlauf", "entwurf", "provisoire", "provisional", "provisori",
         "provvisori", "brouillon", "borrador", "bozza", "voorlopig", "concept", "rascunho", "utkast")  # fmt: skip
