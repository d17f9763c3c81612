"""Words that make a sentence with unknown words too doubtful to read: another time, person, place or quantity, a wish,
a doubt, a limit, a draft. In eight languages, folded.

A sentence whose words are all known is judged by rules; of one with unknown words a number counts only where nothing
of these stands in it. A word that is wrongly here costs values; one that is missing may let a wrong one in.
"""

from collections.abc import Sequence

from ecgfm_connectors.outcomes.phrases import phrases
from ecgfm_connectors.outcomes.report.items import Item

#: `sentence`: anywhere in the sentence; `place`: the same, unless the sentence says that it speaks of today; `clause`:
#: between the same two marks as the number.
_DANGER = phrases(
    {
        "sentence": """acude|trae|con informe|viene con|giunge|volgens brief|per brief
            record*|chart|charts|medical file|transfer*|refer|referred|referring|referral|recall*|remember*
            told|tells|says|said|stating|claims|claimed|according|apparently|alleged*|hearsay|formerly|historic*
            original|originally|worst|best|highest|peak|used to|onset|presentation|arrival|impella|ecmo
            weaning|weaned|media|scanned|faxed|letter|discharge|correspondence|telephone|phone call|email
            rapporte*|signale|signalee|dossier|adresse par|exterieur|etranger|jadis|autrefois|historique|decrit
            decrite
            declare|relate|sejour|hospitalisation|l entree|a l entree|la sortie|transferee|donnees de|aux dires
            aufnahme|entlass*|verlauf*|laut|angabe*|berichtet*|mitgeteilt*|arztbrief*|akte|aktenlage|fremd*|extern*
            auswart*|uberwies*|uberweis*|zugewies*|zuweis*|einweis*|verleg*|voraufenthalt*|seinerzeit|ursprung*
            vorbericht*|vorstellung bei|mundlich*|telefon*
            ingreso|alta|refier*|referid*|carta|derivad*|derivac*|remitid*|traslad*|historial|relata|dice|extranjero
            aportad*|aporta|informado por|segun informe
            ingresso|dimission*|riferit*|riferisce|riferita|lettera|inviat*|trasfer*|storic*|esordio|ricover*
            cartella|documentazione
            opname|ontslag*|verwijs*|verwezen|overgeplaatst*|destijds|meldt|zegt|inschrijving|statuscontrole|overname
            internamento|internacao|admissao|refere|relata|encaminh*|transferi*|historico|trazid*|prontuario
            inskriv*|utskriv*|inlagg*|remitter*|brev|journal*|uppger*|sager|overflytt*|vardtillfalle*
            cohort*|population*|registry|registre|registro|trial*|participants|probanden|kohorte*|coorte|coorti
            inclusion|exclusion|inklusion*|einschluss*|inclusie*|criter*|kriteri*|eligib*|qualif*|reimburs*|erstatt*
            terugbetal*|rembours*|kostenzusage|kostenubernahme|financiacion|finanziament*|leitlinie*|guideline*
            definition*|definierend*|defined|stage|stadium|stufe|stade|estadio|stadio|stadie|nyha|rappel|reminder
            merke|memo|faustregel|regla
            gallbladder|gallenblas*|galleblas*|gallblas*|galblaas|vesicula|vesicule|vesicular|vesicolare|colecist*
            cistifellea|biliar*|biliair*|hepatobil*|cholecyst*|cholescint*|cck|hida|sincalid*|gastric|gastrique|magen*
            estomac|stomac*|maag*|magsack*|bladder|emptying|entleerung*|vidange|vaciamiento|svuotamento|tomning*
            interobserv*|intraobserv*|variabilit*|reproduc*|reproduz*|confidence|accuracy|margin
            prelim*|provisional|provisoir*|provisori*|vorlauf*|voorlop*|unread|unsigned|unverified|not final|draft
            entwurf|borrador|bozza|brouillon|rascunho|utkast|sonographer|technician|trainee|student|studenten
            example|exempl*|beispiel*|ejemplo|esempio|voorbeeld*|exempel|template|textbaustein*|vorlage|dummy|e g
            z b|p ex|por ej|ad es|bijv|t ex|test patient|phantom|simulat*|teaching|demo
            people|persons|adults|individuals|menschen|personen|personnes|personas|persone|mensen|pessoas|personer
            manniskor|veterinar*|veterinaire|cat|dog|hund|katze|chien|chat|perro|gato|cane|gatto|hond|macro|pretest
            time zero|slechtst*|schlechtest*|niedrigst*|tiefst*|meilleur*|pire|peor|peggior*|pior|samst*|lagst*
            notiz*|vorarzt*|overread|quoted|opinion|licence|license
            paced|unpaced|cycle|zyklus|ciclo|kuur|ectopic|postectopic|extrasystolic|other patient|wrong patient
            roommate|bed|ai|algorithm*
            predicted|prediction|model|tremor|insurance|versicherung*""",
        "harmless": "end stage",
        "place": """kantonsspital*|stadtspital*|kreiskrank*|kreisklin*|regionalspital*|uniklin*|herzzentrum*
            lanssjukhus*|universitetssj*|policlinico|chru|hospital*|hopital*|klinik*|universitatsklin*|unikl*
            krankenh*|spital*|sjukhus*|ziekenhuis*
            ospedal*
            policlinic*|poliklin*|chu|chr|clinic|clinics|clinica|clinique|kliniek*|centre|center|zentrum*|centro
            centrum
            institut*|praxis*|practice|private|privat*|prive|privado|privato|particular*|cabinet|surgery|gp|huisart*
            hausart*|hausarz*|kollege*|kollegin*|colleague*|confrere*|colega*|collega*|dr|prof|doctor|rehab*|reha
            sanatori*|heim|ward|abroad|infirmary|trust|ziekenhuiz*|vardcentral*|lasarett*|mottagning*|cardiologist*
            kardiologe|kardiologen|kardiologin|cardiologo|cardiologa|cardiologue|cardioloog""",
        "clause": """remiss|remissen|expect*|anticipat*|project|projected|forecast*|hope|hoped|hopefully|hoping|aim
            aiming|want|wanted
            need|needed|needs|require*|requiring|could|may|might|maybe|perhaps|possib*|presum*|assum*|suppos*|unsure
            unclear|uncertain*|doubt*|questionab*|conflict*|discord*|discrepan*|vary|varies|varied|varying|variab*
            fluctuat*|depend*|reserve|minimum|minimal|minimally required|maximum|maximal|max|min|ever|never|formula
            erwart*|erhoff*|anzuheben|angestrebt*|anheben|konnte|durfte|evtl|eventuell|vermut*|vielleicht|verdacht*
            fraglich*|unsicher*|unklar*|abhangig*|schwank*|variier*|prognos*|voraussicht*|benotig*|erforder*|notig
            mindest*|maximal*|wenn|falls|therapieziel*|zielwert*
            attendu|attendue|attendus|attendons|espere*|prevu|prevue|prevision*|souhait*|pourrait|devrait|peut
            possible*|eventuel*|douteu*|incertain*|varie|fluctu*|requis*|necessaire*|necessite*|exige*|minimum|maximum
            espera|esperable*|esperada|esperamos|previs*|podria|deberia|quiza*|tal vez|posible*|dudos*|incierta
            oscila*|requier*|necesit*|minima|minimo|maxima|maximo
            attesa|atteso|attende|attendiamo|prevede|prevista|previsto|auspicab*|potrebbe|forse|possibil*|dubbi*
            richied*|necessit*|massima|massimo
            verwacht*|hopelijk|zou|mogelijk*|misschien|wellicht|twijfel*|wisselend*|afhankelijk*|vereis*|nodig
            minimaal|maximaal|streven*
            esperad*|esperamos|poderia|deveria|talvez|possivel*|duvid*|requer*|exig*|necessari*
            forvant*|hoppas|kanske|mojlig*|eventuellt|osaker*|varierar|beroende|krav|krav*|kraver|minst|hogst""",
    }
)


def is_word(word: str) -> bool:
    """Whether one word is of danger."""
    return _DANGER.at((word,), 0) is not None


def is_dangerous(items: Sequence[Item]) -> bool:
    """Whether a word of danger stands anywhere in a sentence."""
    today = any(item.cue == "now" for item in items)
    return _holds(items, "sentence") or (not today and _holds(items, "place"))


def is_of_a_place(items: Sequence[Item]) -> bool:
    """Whether a word for another place or for a doctor stands among them."""
    return _holds(items, "place")


def is_hedged(clause: Sequence[Item]) -> bool:
    """Whether a word of danger stands in the clause of a number."""
    return _holds(clause, "clause")


def _holds(items: Sequence[Item], cue: str) -> bool:
    spoken = [item.word for item in items if item.cue != "prior"]  # rules have judged the words for earlier studies
    at = 0
    while at < len(spoken):
        found = _DANGER.at(spoken, at) if spoken[at] else None
        if found is not None and found[0] == cue:
            return True
        at += found[1] if found is not None else 1
    return False
