"""The words of reports in eight languages, folded: what each is a cue for.

English, German, French, Spanish, Italian, Dutch, Portuguese and Swedish share one table, since reports mix languages
and a sentence is too short to tell them apart. Where a word of one language would mislead in another, the rule that
uses the cue asks for more (see `statements`).
"""

from typing import Literal

from ecgfm_connectors.outcomes.phrases import phrases, word_set

Cue = Literal[
    "mention", "left-mention", "other-mention", "left", "other-chamber", "measure", "noun", "prior", "now", "was",
    "compare", "from", "to", "by", "change", "reference", "normal", "is", "condition", "threshold", "guideline",
    "family", "history", "stress", "rest", "not", "biplane", "plane", "goal", "between", "and", "or-less", "or-more",
    "points", "patient", "arrow", "modality", "rhythm", "link", "without", "instead",
]  # fmt: skip

CUES = phrases(
    {
        "link": """aan bed|aan het bed|pa sal|a pie de cama|am bett|au lit|a cabeceira|vid sangkanten|at bedside
            onde se le|onde se lia|of|is|are|at|about|around|approximately|approx|ca|circa|etwa|env|environ
            aprox|aproximadamente
            cerca
            est|estimated|est|calculated|measured|visually|von|van|de|del|di|do|a|au|ist|ungefar|ongeveer|cirka
            omkring|in the region of|in the order of|de l ordre de|im bereich von|in der grossenordnung von
            del orden de
            en el rango de|nell ordine del|nell ordine di|in de orde van|na ordem de|da ordem de|i storleksordningen
            i would put|i would estimate|would estimate|i would say|i d estimate|should read|richtig ist|recte|lire
            lease|leggasi|leia se|lees""",
        "left-mention": """lvef|lv ef|fevg|fevi|feve|fevs|fejve|lvefbp|linkerventrikelejectiefractie|lv ejectiefractie
            f e v g|f e v i|f e v e|vk ef|ef vk|efvg|
            linksventrikelejektionsfraktion|fe vg|fe vi|fe ve|fe vs""",
        "mention": """autoef|auto ef|fraz eiezione|fraz eiez|fraz di eiezione|fr eiezione|fr di eiezione
            frac de eyeccion
            frac eyec|frac ejec|frac de ejecao|frac d ejection|fract d ejection|fract ejection|eject frac|ejektionsfrakt
            auswurffrakt|ejectiefr|ejectiefract|ef|e f|fe|f e|fey|fej|f ej|fejec|fr ej|frac ej|ej frac|ej fraction
            eject fraction|ejection fract
            fraction ejection|fraccion eyeccion|frac eyeccion|frazione eiezione|fracao ejecao|fraccao ejeccao
            ejektionsfr|ejection fraction|ejektionsfraktion|ejektionsfraktionen|auswurffraktion
            ejectiefractie|ejectie fractie|ejektions fraktion|auswurf fraktion
            fraction d ejection|fraccion de eyeccion|fraccion de expulsion|frazione d eiezione
            frazione di eiezione
            fracao de ejecao|fraccao de ejeccao|fraccao de ejecao|fracao de ejeccao|auswurfleistung""",
        "other-mention": """rvef|laef|raef|svef|fevd|rv ef|la ef|ra ef|gbef|fe vd|rveff|biventricular ef
            biventricular ejection fraction|fe biventricular
            forward ef|effective ef|laa ef|left atrial appendage ef|appendage ef|regional ef|segmental ef|septal ef
            septum ef|apical ef|forward lvef
            effective lvef""",
        "left": """lv|left ventric*|left ventricular|left ventricle|linksventrik*|linker ventrikel|linken ventrikels
            linke kammer|ventricule gauche|ventriculaire gauche|ventriculo izquierdo|ventricolo sinistro
            ventricolare sinistra|linkerventrik*|linker kamer|ventriculo esquerdo|ventricular esquerda|vansterkammar*
            vanster kammare|vanster kammares|vg|vi|ve|vs|vk""",
        "other-chamber": """rv|right ventric*|right ventricular|right ventricle|right heart|right atri*|rechtsventrik*
            rechter ventrikel|rechten ventrikels|rechterventrik*|rechter kamer|ventricule droit|ventriculaire droite
            ventriculo derecho|ventricular derecha|ventricolo destro|ventricolare destra|ventriculo direito
            ventricular direita|hogerkammar*|hoger kammare|hoger kammares|vd|hk|la|ra|ai|ae|og|left atri*|left atrial
            left atrium|atrial|vorhof|vorhofs|vorhofe|linker vorhof|linker atrium|linken vorhofs|linken atriums
            linker boezem|linksatri*|rechtsatri*|linkerboezem*
            linkeratri*|vansterformak*|oreillette*|auricula|auricular*|atrio|atriale
            boezem*
            formak*
            single ventricle|univentricular|systemic ventricle|systemic|fontan|gallbladder|gallenblase|regional ef
            ra ef
            auriculo*|atriu*""",
        "measure": """gls|gs|strain|slg|sgl|fs|fractional shortening|shortening|verkurzungsfraktion|verkurzung
            fraktionelle verkurzung|fr|fv|fraction de raccourcissement|raccourcissement|acortamiento|accorciamento
            encurtamento|edv|esv|edvi|esvi|lvedv|lvesv|lvedvi|lvesvi|vtd|vts|vdf|vsf|vtdvg|vtsvg|sv|svi|stroke volume
            schlagvolumen|co|ci|tapse|fac|pasp|rvsp|psap|paps|spap|vci|ivc|regurgitant fraction
            regurgitationsfraktion*
            regurgitatiefractie|fraction de regurgitation|regurgitacion|regurgitant|rigurgito|regurgitante|rf|e e
            lvedd
            lvesd|lvidd|lvids|ivs|ivsd|lvpw|pw|la vol|gradient|vti|hr|hf|fc|pulse|sat|spo|saturation|sao|ava|ero
            eroa|mr
            ar|tr|ejection time|slope|z score|zscore|stenos*|stenose*|lvmi|mass|masse|massa|rwt|wmsi|bnp|troponin*|hba
            hct|hematocrit|lge|confidence|variability|accuracy|konfidenz*""",
        "noun": """stenos*|stenose*|regurg*|occlusion|verschluss|narrowing|probab*|risk|risiko|of normal|infarct|scar
            viab*|mvo|ischem*|lesion*|predicted""",
        "prior": """nadir|nadirs|tiefpunkt|tiefstwert|tiefststand|dieptepunt|lowest|lagsta|som lagst|un minimum
            un minimo|um minimo|een minimum|einem minimum|ett minimum|point bas|point le plus bas
            punto mas bajo|punto piu basso|ponto mais baixo|lagstanivan|laagste waarde|pt states|patient states
            pt reports|patient reports
            a la phase aigue|a la phase initiale|en la fase aguda|in fase acuta|in acute fase|in de acute fase
            na fase aguda|i akutskedet|i akut skede|in der akutphase|in the acute phase|at the acute phase
            he states|she states|he reports|she reports|pt says|patient says|at which time|all esordio
            esordio|a l entree|a l admission|at onset|at presentation|on presentation
            zu beginn
            bei beginn|bei erstvorstellung|al debut|au debut|al inicio|bij aanvang|bij presentatie|vid debut|no inicio
            was admitted|when admitted|you will recall|as you know|a l epoque|en su momento|all epoca|toen|destijds
            seinerzeit|na altura|a la date de|back then|at that time|a suo tempo|ehemals|ehemalig*|einst|jadis
            years|year|jahren|jahr|il y a|hace|anni fa|anno fa|mesi fa|mese fa|giorni fa|settimane fa
            geleden|jaar|anos|ano|ar sedan|sedan|prior
            previous*|previously|formerly|last|before|earlier|baseline|initial|initially|inicial|iniziale|initieel
            initialt|inledningsvis|anfangs|zuvor|vorher|damals|fruher*
            vorbefund*|voruntersuchung*|voraufnahme|vorwert*|letzte*|initiale|anterieur*|anterieurement|precedent*
            precedemment|auparavant|ancien*|previa|previo|previamente|anterior*|antes|ultimo|ultima|precedente*
            in precedenza|precedenza|prima|eerder*|vorig*|voorheen|vroeger|previa*|anteriormente|previamente|tidigare
            foregaende|forra|senaste|senast|derniere|dernieres|dernier|laatste|laatst|ultimi|ultime|ago|vor jahren
            old|outside|januar*|january|february|march|april|june|july|august
            september|october|november|december|i mars|en mars|en mai|in may|im mai|im marz|in maart|en marzo|in marzo
            a marzo|em marco|em maio|i maj|janvier|fevrier|avril|juin|juillet|aout|septembre|octobre|novembre|decembre
            enero|febrero|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|gennaio|febbraio|aprile
            maggio|giugno|luglio|settembre|ottobre|dicembre|februar*|juni|juli|oktober|dezember|augustus|augusti
            janeiro|fevereiro|junho|julho|setembro|outubro|novembro|dezembro|admission|bei aufnahme|al ingreso
            all ingresso|bij opname|na admissao|vid inlaggning|had been|avait ete|habia sido
            tinha sido|era stata|pre|reportedly|reported as
            allegedly|angeblich|pre op|preop|praop*|postop
            discharge|entlassung|a la sortie|al alta|alla dimissione|ontslag|data da alta|na alta|utskrivning
            vor|avant|fore|voor crt|voor tavi|voor icd|voor cabg|voor ablatie|voor chemotherapie
            extern*|auswartig*|fremdbefund*|arztbrief*|courrier|lettre|verwijsbrief|esterno|esterna|lettera|osh
            referring cardiologist|referring hospital|referring centre|referring center
            time of diagnosis|at diagnosis|diagnosed|erstdiagnose|diagnosestellung|au diagnostic|al diagnostico
            alla diagnosi|bij diagnose|ao diagnostico|vid diagnos
            d apres le patient|d apres la patiente|nach angaben|nach eigenen angaben
            a detta del paziente|a decir del paciente|a dire du patient|segun refiere
            per patient|per the patient|laut patient|laut patientin|selon le patient|selon la patiente
            segun el paciente
            secondo il paziente|volgens patient|volgens de patient|segundo o doente|segundo o paciente
            enligt patienten
            by report|per report|by history|laut befund|altbefund*|volgens verslag|segun informe|selon le rapport
            copied|carried forward|copied forward|annat sjukhus|annan klinik|andra sjukhus|other hospital
            another hospital|another centre|another center|elsewhere|other institution|other facility|otro centro
            otro hospital|otra institucion|otro servicio|altro centro|altro ospedale|altrove|altra struttura
            altra sede
            mitgebracht*|meegebracht*|meegenomen|apporte|apportee|apportes|portato|portata
            portati|trazido|trazida|traz|aportado|aportada|aporta|exterior|fuera|de fuera|alio loco|medhavd*|medtag*
            brought|ausw|ext|en ville|niedergelassen*
            elders|ander ziekenhuis|ander centrum|outra instituicao|outro hospital|outro servico|outro centro
            autre centre|autre hopital|autre etablissement|ailleurs|l exterieur|anderes krankenhaus|anderen klinik
            andere klinik|anderen haus|andernorts|auswarts|anderswo|zuweisend*""",
        "instead": """instead of|rather than|statt|anstatt|anstelle|au lieu de|en lugar de|en vez de|invece di|anziche
            invece del|in plaats van|em vez de|em lugar de|istallet for""",
        "now": """this admission|current admission|this hospitalisation|this hospitalization|desta internacao
            deste internamento|nesta internacao
            neste internamento|de este ingreso|este ingreso|ingreso actual|de cette hospitalisation
            cette hospitalisation|questo ricovero|di questo ricovero|ricovero attuale|deze opname|tijdens deze opname
            huidige opname|aktueller aufenthalt|detta vardtillfalle|under detta vardtillfalle|aktuellt vardtillfalle
            heden|now|ora|heutig*|dagens
            en la actualidad|nella attualita|na atualidade|a l heure actuelle|stand heute|op heden
            desormais|maintenant|a present|nunmehr|mittlerweile|inzwischen|inmiddels|intussen|agora|ahora
            adesso|ormai|numera|at present|these days|in the meantime|zurzeit|zur zeit|momentan|gegenwartig
            presentemente|no momento|en este momento|al momento|op dit moment|for narvarande|huidig*|nuvarande|nun
            actuele|odierno|odierna|today|currently|current|present|presently
            unchanged|stable|nu|heute|aktuell*
            jetzt|derzeit
            unverandert*|ce jour|actuellement|actuelle|actuel|inchangee|inchange|stable|actual|actualmente|hoy|estable
            sin cambios|attuale|attualmente|oggi|invariata|stabile|momenteel|thans|vandaag|ongewijzigd|stabiel|atual
            atualmente|hoje|inalterada|estavel|idag|oforandrad*|i dag|new""",
        "was": "was|were|had|war|hatte|etait|avait|era|fue|tenia|waren|has been|var|foi",
        "compare": """compared|compare|comparison|versus|vs|relative to|verglichen|vergleich|gegenuber|par rapport
            comparativement|comparaison|contre|frente a|comparacion|comparado|respecto|respecto a|rispetto|confronto
            vergelijking|vergeleken|t o v|ten opzichte|comparacao|comparada|em relacao|jamfort|jamforelse|unlike""",
        "from": "from|von|van|desde|dal|dall|fran|down from|up from",
        "to": "to|auf|naar|hasta|para|till|al|a|at|pa|bis|tot|fino al|fino a",
        "by": "by|um|met|med|of|de|del|di|un|do|en un|del del",
        "change": """passe|passee|passer|passant|paso|pasado|pasa|passata|passato|passou|passado|caido|decline*|drop*
            fallen|falls|fell|decreas*|increas*|improv*|risen|rise|rose|deteriorat*|worsen*|normalis*|normaliz*
            recover*
            gain*|lost|fiel|sank|stieg|zuruckgegangen|reduziu|reduziram|redujo|subiu|desceu|baixou|teruggevallen
            gezakt
            stigit|abgenommen|abnahme|zunahme|zugenommen|verbesser*|verschlechter*|gebessert|besser*|steigt|sinkt
            fallt|tomb*|chut*|fallit|sjunk*|caer|crollat*|gekelderd|rises|monte|remonte|sube|baja a|sale|scende|stijgt
            daalt
            stiger|sjunker|sobe|desce|gesunken|abgefallen|gefallen
            gestiegen|angestiegen|ruckgang|abfall|anstieg|baisse|diminution|diminue|augment*|amelior*|chute|remontee
            degrad*|disminuy*|disminucion|descen*|descendio|aument*|mejor*|caida|cayo|empeor*|recupera*|ridott*
            ridotto
            riduzione|miglior*|peggior*|calo|calata|risalita|scesa|salita|gedaald|daling|gestegen|stijging|verbeter*
            verslechter*|toegenomen|afgenomen|hersteld|caiu|queda|melhor*|piora*|reducao|diminui*|sjunkit|sankning
            sankts|recupero|recovery|recuperation|recuperacion|recuperacao|erholung|herstel|aterhamtning|forbattr*
            forsamr*|okat|okning|minskat|minskning|aterhamta*|down|up""",
        "reference": """normal range|normal value*|normal values|reference*|reference range|ref|referenz*|norm
            normwert*
            normalwert*|normalwerte|n|nl|vn|v n|vr|v r|valor normal|valores normales|valor de referencia
            valore normale
            valori normali|normaalwaarde*|referentie*|normalvarde*|normalvarden|referens*|valeur normale
            valeurs normales|lower limit|limit""",
        "normal": "normal|normale|normaler|normalen|normales|normaal|normalt|normais|normala|normali",
        "is": "is|are|ist|est|es|e|ar|sind|sont|being|liegt|se situe|se situa|ligger|ligt|lies|situa se",
        "condition": """if|bij|unless|should|whether|in case|in case of|until|once|when|wenn|falls|sollte|sofern
            bei einer
            bei|en cas de|lorsque|des que|en caso de|cuando|qualora|nel caso|nel caso di|quando|indien|als|mocht
            wanneer
            caso|em caso de|vid|ifall|si|se|om|to see|recheck|repeat""",
        "threshold": """indicated|contraindica*|kontraindi*|contre indiqu*|gecontra|gecontraindic*|contra indica*
            indication for|considered|consider|candidate*|eligible|criter*|cutoff
            cut off|threshold|indiziert|indikation|icd indikation|indique|indicado|indicara|indicato|indicazione
            indicacao|komt in aanmerking|aanmerking|overwegen|kriter*|foreligger|icd|dai|cdi|crt|refer|referer|notify
            threshold|seuil|umbral|soglia|limiar|drempel*|grenze|schwelle*|gransvarde|qualif*""",
        "guideline": """education|educacion|educazione|educacao|educatie|patientenschulung|schulung|aufklarung
            patientenaufklarung|voorlichting|patientvoorlichting|patientinformation|patientutbildning
            patienten informeras
            handout|leaflet|booklet|explique que|expliquons que|explica que|erklart dass|erlautert dass|spiega che
            spiegato che|legt uit dat|uitgelegd dat|erklart das|erlautert das|uitleg|forklarar att|forklarat att
            explains that|explained that
            conseils|explicado que|explicou que|explicado al paciente|guideline*|defines|defining|defined|definition
            leitlinie*
            leitliniengerecht|definiert|laut leitlinie
            recommandation*|dite|guias|guia|linee guida|richtlijn*|recomendac*|riktlinj*|sprake van|recommended
            would|wurde|serait|sarebbe|zou|skulle|trial|inclusion|madit|scd heft|einschlusskriter*
            inclusiecriter*|ai ecg|ki ekg|ecg algorithm|predicted lvef|predicted ef|segun las
            selon les|enligt esc""",
        "patient": """patients with|patients|patienten mit|patienten|pacientes con|pacientes|pazienti con|pazienti
            patienter med|patienter|doentes com|patients avec|patienten met""",
        "family": """father*|mother*|brother*|sister*|sibling*|family history|uncle|aunt|vater|mutter|bruder|schwester
            familienanamnese|pere|frere|soeur|antecedents familiaux|padre|madre|hermano|hermana|fratello|sorella
            familiarita|sour|mere|maman|papa|oncle|tante|tio|zio|zia|tia|tios|onkel|oom|farbror|morbror|faster|moster
            cousin*|kusin*|mamman|pappan|pappa|mum|mom|dad|babbo
            cugin*|grandfather|grandmother|grandparent*|grosvater|grosmutter|grossvater|grossmutter|opa|oma|grand pere
            grand mere|abuelo|abuela|nonno|nonna|avo|grootvader|grootmoeder|farfar|farmor|morfar|mormor|nephew|niece
            neveu|sobrino|sobrina|nipote|sobrinho|sobrinha|neef|neffe|nichte|nicht heeft|nicht met|brorson
            systerson|twin|zwilling*
            jumeau|jumelle|gemelo|gemela|gemello|gemella|gemeo|gemea|tweeling*|tvilling*|hijo|hija|figlio|figlia
            filho|filha|fils|fille|sohn|tochter|zoon|dochter|dotter|familiar|familiares|relatives|a relative
            angehorige*|verwandte*|parente|parents|pariente|anhorig*|slakting*|familielid|husband|wife|ehemann
            ehefrau|vader|moeder|broer|zus|familieanamnese|pai|mae|irmao|irma|far|mor|bror|syster|hereditet|son
            daughter|fetal*|foetal*|fetus|foetus|fotus|fotal*|foster|fosterek*|fosterhj*|fetaal|foetaal|feto|donor*
            donneur*
            donante*|donator*|donateur*|doador*|dador*|spender|spenders|spenderin|spenderher*|donerat|fadern|modern
            brodern|systern|sonen|dottern|spouse|conjoint|epouse|epoux|esposa|esposo|marido|moglie|marito|echtgeno*
            hustru*|partner|pappa|mamma|figli*|zoontje|dochtertje|neighbour|neighbor""",
        "history": """patient with|patient mit|patient avec|paciente con|paciente com|paziente con|patient met
            patient med
            year old|jahriger|jahrige|history|history of|h o|hx|hx of|known|k c o|s p|status post|z n|zustand nach|bek
            bekannt*
            vorbeschrieben*|vorbekannt*|atcd|antec|status na|pmhx
            anamnes*|antecedent*
            antecedentes|connu|connue|conocid*|referring physician|referring doctor|hausarzt|zuweiser|arztbrief
            medecin traitant
            medico remitente|huisarts|medico curante|inremitterande|medico assistente|pregress*|noto|nota per
            voorgeschiedenis|bekend*|historia|conhecid*
            previo iam|kand|kant|genomgangen|kjent|kendt""",
        "stress": """ejercicio|exercicio|anstrengung
            stress|peak|exercise|dobutamin*|dobutamina|belastung|max belastung|maximaler belastung|effort|pic
            esfuerzo|sforzo|picco|inspanning|maximale inspanning|esforco|pico|belastning|arbete|treadmill|bicycle
            estres|estresse|piek|pik|posesfuerzo|postesfuerzo|pos esfuerzo|posesforco|postsforzo|topp
            belastungs|arbets|inspannings
            maxbelastung|spitzenbelastung|maximalbelastung|maximal belastung|topbelastning|maxbelastning|sous effort
            picco sforzo|herstelfase|recovery phase""",
        "rest": "rest|basali|basales|basais|resting|at rest|ruhe|repos|reposo"
        "|basal|basale|de base|a riposo|riposo|rust|repouso|vila",
        "not": """not|nicht|keine|pas|no|non|niet|nao|ej|inte|cannot|kein|never|nie|niemals|keinesfalls|jamais
            nunca|nooit|aldrig""",
        "without": """keinen|keinerlei|ohne|ausgeschlossen|sans|aucun|aucune|sin|ninguna|ningun|senza|nessun
            nessuna|geen
            zonder|sem|nenhum|nenhuma|inga|ingen|inget|utan|without|ausschluss|exclu*|esclu*|uitgesloten|exclui
            utesluten|utesluter|ruled out|rule out|to exclude|excluded|absence|nor|neither""",
        "biplane": "biplan*|biplaan*|simpson*|bp|mod bp|sbp|mod biplane",
        "plane": """two chamber|four chamber|zweikammer*|vierkammer*|kammerblick|monoplan*|single plane|tvarum*
            one plane|einplan*|uniplan*|enplan*|eenvlak*|un plan|un seul plan|un solo plano|un solo piano|um so plano
            vierkamer*|tweekamer*|fyrkammar*|tvakammar*|fyrarum*|quatre cavites|deux cavites|cuatro camaras
            dos camaras|quattro camere|due camere|quatro camaras|duas camaras|quatro cavidades|duas cavidades""",
        "goal": "goal|target|ziel|objetivo|objectif|streefwaarde|cible|angestrebt|anzustreben|mal|obiettivo|meta",
        "between": "between|zwischen|entre|tra|fra|tussen|mellan|in the range|range",
        "and": "and|und|et|y|e|ed|en|och",
        "or-less": """o menor|o inferior|o inferiore|ou inferieur|ou inferieure|ou inferior|oder kleiner|of kleiner
            eller mindre
            or less|or lower|or below|oder weniger|ou moins|o menos|o meno|of minder|of lager|ou menos
            eller lagre""",
        "or-more": """or more|or higher|or above|or greater|oder mehr|ou plus|o mas|o piu|of meer|of hoger|ou mais
            eller hogre""",
        "modality": """echo|eko|eco|ecog*|cateter*|katheter*|kateter*|catheter*|cathet*|herzkatheter*|ultrasound|tte
            tee|mrt|mri|cmr|irm|rm|rmc|muga|spect|ct|cath|angio*|ventriculogra*
            lavokardio*|ecocardio*|echokardio*|echocardio*|szintigra*|scintigra*""",
        "rhythm": """atrial fibrillation|atrial flutter|atrial rhythm|vorhofflimmern|vorhofflattern
            fibrillation auriculaire|fibrilacion auricular|fibrillazione atriale|boezemfibrilleren|atriumfibrilleren
            fibrilacao atrial|fibrilacao auricular|formaksflimmer|fibrillation atriale|flutter auriculaire
            right bundle|apendice auricular|left atrial appendage|atrial appendage|formaksora|formaksorat|vorhofohr
            orejuela|auricule|auricule gauche|appendice auricolare|auricola|hartoor|herzohr|laa""",
        "points": """points|point|percentage points|prozentpunkte*|punkte|procentenhet*|procentpunt*|punten|pontos
            puntos|punti|fold|times""",
    }
)  # fmt: skip

#: These are abbreviations only where the report writes them in capitals: `la` is an article.
CAPITALS = word_set("""fe la ra ai ae og hk vd vi ve vg vk rv lv co ci rf mr fr fv""")

PERCENT_WORDS = frozenset(
    tuple(phrase.split())
    for line in ("percent|per cent|pct|prozent|pour cent", "por ciento|por cento|per cento|procent|percento")
    for phrase in line.split("|")
)

HEADINGS = phrases(
    {
        "history": """indication*|indications|reason|reason for study|reason for exam|clinical details
            clinical history
            clinical|clinical information|clinical indication|history|hx|pmh|past medical history|ref|referral|request
            diagnosis|anamnes*|indikation|fragestellung|klinische angaben|klinik|vorgeschichte|diagnose|diagnosen
            motif
            atcd|antecedents|indication|renseignements cliniques|contexte|motivo|motivo de consulta|antecedentes|ap
            indicacion|diagnostico|indicazione|indicazioni|anamnesi|apr|quesito|quesito clinico|motivo dell esame
            voorgeschiedenis|vraagstelling|klinische gegevens|indicatie|vg|historia|indicacao|historia clinica
            fragestallning|anamnes|tidigare sjukdomar|remiss|comparison study|dx|diag|diagnostic|diagnostics|dg
            history of present illness|hpi|hpc|pmhx|phx|psh|cardiac history|cardiac hx|comorbidities|problem list
            problems
            vorerkrankung*|vordiagnose*|nebendiagnose*|begleiterkrankung*|comorbidites|comorbilidades|comorbidita
            comorbiditeit*|comorbidades|tidigare|hda|hma|hpp|hpma|app|hmf|solicitacao|pedido|demande|vraag|aanvraag
            richiesta|domanda|peticion|solicitud
            begaran|onskemal|anfrage|frage|fragen|zuweisung|auftrag|einweisung|einweisungsdiagnose|reason for referral
            raison|question|verwijzing|verwijsreden|antecedent*|vorgeschichte|krankengeschichte|ek|epikrise
            motivo del estudio|motivo de estudio|motivo do exame|motivo del examen|motif de l examen|motif d examen
            presenting complaint|background
            clinical background|past history|medical history|histoire|histoire de la maladie|hdm|information clinique
            informations cliniques|enfermedad actual|historia de la enfermedad|informacion clinica|datos clinicos
            malattia attuale|storia|storia clinica|dati clinici|notizie cliniche|ziektegeschiedenis
            klinische informatie
            klinische vraag|reden van onderzoek|historico|historia da doenca|informacao clinica|dados clinicos
            sjukhistoria|sjukdomshistoria|bakgrund|anledning|klinisk information|anlass|grund der untersuchung""",
        "family": """family history|family|familienanamnese|antecedents familiaux|familiarita|familieanamnese
            hereditet""",
        "prior": """comparison|prior|prior study|prior studies|previous|previous study|previous echo|vorbefund
            vorbefunde|altbefund|fremdbefund|old report|old echo|old study|prior report|prior echo|previous report
            last echo|last report|outside report|outside echo|ancien examen|examen anterieur|examen precedent
            informe previo|estudio previo|eco previo|esame precedente|esami precedenti|vorig onderzoek|vorige echo
            exame anterior|eco anterior|tidigare undersokning|tidigare eko""",
        "conclusion": """impression|impressions|conclusion*|summary|final impression|interpretation
            interpretation summary|assessment|beurteilung|zusammenfassung|fazit|synthese|resume|au total|conclusiones
            impresion|utlatande|conclusioni|sintesi|conclusie|samenvatting|conclusao|conclusoes|impressao|bedomning
            sammanfattning
            slutsats|conclusoes|gesamtbeurteilung|gesamtbewertung|gesamtbefund|endbeurteilung|abschlusbeurteilung
            eindconclusie|besluit|slutbedomning|en conclusion|in conclusion|en resume|overall impression
            parecer|kommentar und beurteilung|bewertung""",
        "advice": """recommendation*|plan|note|advice|procedere|empfehlung*|recommandations|recomendacion*
            raccomandazioni|advies|conduta|atgard|criteria""",
        "findings": """findings|report|finding|measurements|echo|results|today s study|today|left ventricle|lv
            lv function|mitral valve|aortic valve|befund|messwerte|linker ventrikel|description|resultats|examen
            ventricule gauche|hallazgos|exploracion|ventriculo izquierdo|descrizione|ventricolo sinistro|esame|reperti
            bevindingen|onderzoek|linkerventrikel|achados|exame|ventriculo esquerdo|fynd|undersokning|vansterkammare
            pericardium|aorta|valves|ce jour|examen du jour|esame odierno|controllo odierno|ukg|ukg idag|eko idag|eko
            echo today|echo now|echo nu|eco actual|eco atual|eco attuale|aktuell|aktuelles echo|heute|idag|vandaag
            hoje
            hoy|oggi|actual|atual|attuale|actuel|nu|now|ecocardiograma|ecocardiogramma|echocardiographie|ett|tte
            result|resultat*|resultad*|risultat*|ergebnis*|uitslag|resultaat|svar|utlatande|referto|esito|laudo
            bevinding|befunde|echobefund|hallazgo|achado|esame ecocardiografico|esame obiettivo|echocardiografie
            echokardiographie|echokardiografie|ekokardiografi|ecocardio|compte rendu|cr|verslag|informe|relatorio
            medidas|misure|mesures|messungen|metingen|matvarden|mediciones|medicoes|undersokningsresultat|onderzocht
            exploracion fisica|objective|objektiv|studie|uko|tte befund|echo befund|reading|read|interpretacion""",
    }
)

#: Before a full stop these end no sentence.
ABBREVIATIONS = word_set(
    """bek pat pt red hochgr mittelgr leichtgr eingeschr chron isch ischam dilat moder sev izq gr anamn antec hx ca
    approx est vs bzw inf sup ev evtl li re incl resp max min norm ref env aprox nr no dr st ggf ggfs geb mod syst
    diast ex reg abb fig ungef ant post lat sept klin path physiol vis gesch sec enl berechn bipl simps calc estim
    teich ungf ong gem ber prec vol funz funct fct fkt func izdo izqdo esq dx sin zn sog sogen bds bzgl insb insbes
    entspr unauff rel ges diff"""
)
