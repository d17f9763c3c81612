"""Further harmless words: of anatomy, findings, images and speech, in eight languages, folded.

None of these tells of another time, another person or another place. The drugs are those that a patient with heart
failure takes while the heart is looked at.
"""

#: Findings, diagnoses and anatomy of the present study.
FINDINGS = """aneurysm*|aneurism*|anevrism*|anevrysm*|thromb*|tromb*|lvot|lvoto|obstruct*|obstruk*|obstruc*|gradient*
    gradiente*|gradiant*|shock|choc|choque|schock|chok|cardiogen*|kardiogen*|tamponade|tamponnade|tamponamento
    effusion*|erguss*|epanchement*|derrame*|versamento|vocht|utgjutning|pericard*|perikard*|endocard*|endokard*
    myocardit*|miocardit*|myokardit*|takotsubo|noncompaction|non compaction|amyloid*|amiloid*|amyloidos*
    sarcoid*|sarkoid*|restrictive*|restriktiv*|restrittiv*|hypertensive*|hypertensiv*|hypertens*|ipertens*
    hipertens*|tachycardi*|tachykard*|tachymyopath*|tachicard*|taquicard*|takykard*|arrhythm*|arytmi*|aritmi*
    arythmi*|arrhytm*|sinus|sinusrhythm*|sinusrytm*|sinusal*|rhythm|rhythmus|rythme|ritmo|ritme|rytm|flimmern
    fibrill*|flutter|extrasystol*|bigemin*|block|schenkelblock|linksschenkelblock|bloc|bloqueo|blocco|bloqueio
    branch|branche|rama|ramo|bundle|bundeltakblok|skankelblock|dyssynch*|dissinc*|asynchron*|dyssynkron*|icfer
    icfep|litteken*|ischamie*|hibern*|viable|bicuspid*|bikuspid*|rheumat*|reumat*|rhumat*|degenerativ*|calcif*
    verkalk*|sclero*|sklero*|scleros*|thick*|verdick*|epaiss*|engros*|ispess*|verdik*|fortjock*|hypertrofe
    hypertrofisch*|concentr*|excentr*|eccentr*|exzentr*|mass|geometry|sphericity|spheri*|remodell*|spontan*
    noncompact*|trabecul*|hypertrabec*|systole|diastol*|systol*|fonctionnel*|funktionell*|functional*|funcional*
    funzional*|relaxation*|relaxa*|compliance|filling|fullung*|biventric*|bivent*|kontraktion*|contraction*
    contracc*|contratil*|contrattil*|kontrakt*|asynerg*|asinerg*|asyneg*|kinetik*|kinesis|motility|wma|rwma|wbs
    wms|twbs|kinesie*|regionalt*|hypokinet*|akinet*|ipocinet*|hipocinet*|hypocinet*|acinet*|aquinet*|dyscinet*
    discinet*|symmetr*|asymmetr*|asimetr*|asimmetr*|overload*|uberlast*|surcharge*|sobrecarga*|sovraccar*
    overbelast*|overbelastning|congest*|stauung*|insuf*|insuffisan*|insuficient*|decompens*|dekompens*
    descompens*|scompens*|gedecompens*|inkompens*|sepsis|septic*|septisch*|anamie|anemi*|anaemia|pulmonal*
    pulmonar*|polmonar*|pulmonair*|hypertonie|hta|nyha|hfmref|hfpef|hfref|hcm|hocm|hkm|vhf|fa|af|vf|la|avr|mvr
    icmp|cmpd|cmi|miocardica|miokard*|kmp|cad|khk|chd|cavd"""

#: How and how well the heart was seen.
SEEN = """tt|ff|gedil|verlaufsecho|verlaufskontroll*|verlaufsuntersuch*|kontrollecho|definity|optison|lumason|sonovue
            luminity|sonazoid|agent|agents|kontrastmittel|contraste|contrasto|contrast*
    window*|windows|fenster|schallfenster|schallbedingung*|schallbarkeit|fenetre*|ventana*|finestra*|venster*
    janela*|fonster|insyn|echogen*|echogenic*|ecogenic*|anechogen*|quality|qualitat|qualite|calidad|qualita
    kwaliteit|qualidade|kvalitet|limited|eingeschrankter|limitee|limitada|limitata|beperkt*|begransad*
    technical*|technisch*|techniqu*|tecnic*|teknisk*|difficult*|difficile|dificil|moeilijk*|svarbedom*
    foreshorten*|endocardial|border*|definition|apical views|parasternal*|parasternale*|apikale|subcostal*
    subxiphoid*|subkostal*|short|axis|long|sax|lax|plax|psax|lengte|length|langs|lange|flache|flachen|bullet
    dumesnil|tissue|doppler|speckle|tracking|strain*|volumetric|triplane*|triplan*|tripl*|multiplane
    dreidimensional*|tridimension*|threedimension*|driedimension*|tredimension*|zweidimensional*|bidimension*
    twodimension*|tweedimension*|tvadimension*|matrix|semi|semiautomat*|halbautomat*|philips|vivid|ge|siemens
    canon|echopac|medis|cvi|circle|syngo|qgs|cedars|emory|radiolabeled|radioisotop*|isotopi*|isotop*|radionukl*
    radionucl*|nuclear*|nuklear*|nucleair*|gamma|gammagra*|gamagra*|gated|gate|gatet|blood|pool|scan*|scint*
    szint*|skint*|scintigr*|perfusion*|perfusie|perfusao|perfusione|perfus*|tomograph*|tomograf*|tomoscint*
    resonan*|resonanz*|risonanza|ressonancia|resonancia|resonantie|magnet*|irm|cine|cines|ssfp|kernspin*|herzmrt
    kardio|cardiomr*|cardiac|ct|katheter*|herzkatheter*|catheter*|catheteri*|cateter*|kateter*|cathet*
    coronarogra*|coronariogra*|coronarograph*|koronarangio*|coronaire*|coronar*|koronar*|ventriculogra*
    ventrikulogra*|ventriculo|ventricolo*|lv gram|lvgram|gram|lavogramm|lv angio|angiogra*|angiocardio*|laevo*
    lavo*|lavogra*|rao|lao|transthora*|transthorak*|trans|transtorac*|transtorak*|thoracique|thorakal*|torac*
    doppler*|point|care|pocus|fokus*|focus*|focused|focalizad*|bedside|bettseitig*|ecoscopia|ecoscopi*|echoscop*
    herzecho|hartecho|hjarteko|herzultraschall*|hartfilm*|hjartultraljud*|ultraljud*|ultrason*|ultrasuon*
    ultrasom|ultrasound*|uc|uko|eie|bubble|color|colour|spectral|2d|3d|4d|1d|tm|anatomisch|simps*|simpsoni
    teicholz|teichholz*|theichholz|mda|mod|modifi*|modificado|modificada|modificato|gemodificeerd*|modifier*
    disc|discos|dischi|discques|disques|schijf*|skiv*|scheibchen*|summations*|sommation|sommazione|suma
    somatorio|flachenlange*"""

#: Words of speech, and places within the house.
SPEECH = """emergenza|emergencia|emergency|dechocage|dechoc|reanimatie|sala|rosc|pcr|arrest|schockraum|shockraum
    spoedecho|ucic|ucc|uvi|sos|smur|samu|cathlab|resus|aneurysma|oh|sig|sich|zich|korrekt|korrekte|gemittel*|averag*
    moyenn*|eftergranskning|granskning|condizioni|condiciones|condicoes|conditions|ps|course
    clinic|aos|since|depuis|sinds|consulta|consultorio|consultation|planta|box|boxes|urgencias|urgences
urgenze|urgencia|uci
utic|usic|icu
    ccu|hdu|itu|avdelning|avdelningen|akuten|zna|ambulanza|ambulatorio|bordo|letto|lit|cama|leito|sang|seh
    hartbewaking|reanimation|reanimacion|rianimazione|intensiv*|intensiva|intensivos|cuidados|soins|ward|round
    keeping|compris|comprise|compris*|gesamtbeurteilung|cintigra*|chock|
    sous|resumen|sintesis|sintese|sintesi|resumo|sammanfattningsvis|samenvattend|zusammenfassend
    syncop*|sincop*|synkop*|dyspn*|dispn*|disnea|essouff*|palpit*|murmur*|souffle|soplo|soffio|sopro
    blasljud|herzgerausch|brustschmerz*|thoraxschmerz*|dolor|douleur|dolore|fever|fieber|fievre|febbre|fiebre|feber
    koorts|workup|work|abklarung|bilan|estudio|evaluation|evaluacion|valutazione|avaliacao|utredning|screening
    depistage|cribado|rastreio|pediatr*|padiatr*|flow|flujo|flusso|fluxo|flode|debit|stroom|trabecul*|trabekul*
    toe|year|jahr|ano|anno|jaar|aw|pw|sw|redor|graft|greffe*|transplant*|trasplant*|trapiant*|harttransplant*
    herztransplant*|htx|nachsorge
    surveillance|uberwachung|annee|jahre|looks|look|like|edema*|oedem*|odem*|longoedeem|lungodem|lungenodem|oap|eap
    epa|hypotens*|tc|dt|coroscanner
    coro|operator*|operateur*|untersucher*|beobachter*|observador*|electro|entraine|venn|oncolog*|onkolog*|chaleco
    partial*|parcial*|parzial*|partiel*|partiell*|gedeeltelijk*|teilweise|scanner|analys*|analis*|equilibr*
    gemiddeld*|slagen|slag|battement*|latidos|battiti|batimento*|beats|schlage|cycles|ciclos|cicli|medel*|medio|baixa
    laa
    anthracyclin*|antracicl*|anthrazyklin*|antracyklin*|antracyclin*|trastuzumab*|herceptin*|epirubicin*|doxorubicin*
    chemo*|chimio*|quimio*|kemo*|cytostatik*|zytostatik*|sacubitril*|valsartan*|entresto|ramipril*|bisoprolol*
    metoprolol*|carvedilol*|spironolact*|eplerenon*
    dapagliflozin*|empagliflozin*|betablock*|betabloq*|arni|sglt|pet|herzohr*|vorhofohr*|lvivo|
    w|visus|visu|rechnerisch*|passend|reduzid*|skatt*|farbdoppler|farbe|planar|plane|planes|plano|planos|piano
    piani|presenta|jour|icu|usi|uti|iva|akut*|notfall*|urgence*|urgent*|spoed*|urgenza|ete|karlrontgen|rontgen*|zur
    zum|vom
    beim|unter|hat|haben|controllo|kontroll*|control|controlo|controle*|controls|follow|followup|suivi|seguimiento
    seguimento|uppfoljning|opvolging|traitement|optimal*|terapia|ottimale|therapie|omt|gdmt|tratamiento
    tratamento|behandling|deterioro|terminal*|correction|corrected|correct|korrektur*|korrigiert*|berichtig*
    befundkorrektur*|erratum|errata|addendum|nachtrag|correccion|corregid*|correzione|corretto|corretta
    correctie|gecorrigeerd*|correcao|corrigid*|rattelse|korrigerad*|korrigering|rectificatif|rectific*|rettific*
    rectifie*|amended|amendment|note rectificative|fe de erratas|n|all|oil|enl|sec|vis|gesch|geschaetzt*|oog
    also|only|just|still|well|both|one|two|here|there|than|so|such|same|these|those|range|ranges|ranging|ranged
    lies|lying|falls into|within|into|out|due|together|along|alongside|associated|accompan*|compatible
    corresponds|correspond*|equal*|equals|roughly|circa|level|levels|percentage|percent|summary|overall|signs
    sign|evidence|presence|present|good|fairly|quite|rather|somewhat|slightly|mostly|largely|broadly|nearly
    almost|close|near|marginal*|lowish|subnormal*|supranormal*|maintained|retained|sustained|weak*|poorly
    severly|severaly|moderatly|mildy|markedly|grossly|auch|nur|noch|sehr|ganz|etwas|eher|knapp|gerade|fast
    nahezu|rund|zirka|ungefahr|insgesamt|gesamt*|derart|bereich|normbereich|untere*|unterer|unteren|obere*
    oberen|normgrenze|grenze|grenzbereich|grenz*|norm*|normal*|unauff*|unauffallig*|regelrecht*|regelhaft*
    altersentsprechend*|eingeschr*|eingesch*|erh|erhalt*|leichtgrad*|mittelgrad*|hoch|hochst*|geringgrad*
    geringf*|gering*|maig*|massiggradig*|schlecht*|schwach*|deutl|bds|beide|beider|beidseits|wie|sowie|sodass
    damit|dazu|dadurch|dabei|jedoch|allerdings|insofern|weist|zeigte|findet|finden|fand|ergibt|ergab|errechn*
    vorliegend*|vorliegt|besteht|bestehend*|liegend*|gemass|bezuglich|hinsichtlich|zudem|ausserdem|weitgehend
    ubrig*|sonst|ohne|diesem|dieser|dieses|einem|insges|et|ou|aussi|encore|tres|assez|plutot|peu|presque|quasi
    quasiment|autour|proche|voisine|voisin|environs|plage|fourchette|limites|inferieure|inferieur|basses|haute
    hautes|norme|normes|normo*|subnorm*|parfait*|satisfais*|conserv*|respect*|bien|mal|mauvais*|altere*|diminuee
    effondree*|severement|severem*|moderement|legerement|discretement|globalement|nettement|visuell*|apprecie*
    appreciee|retrouv*|trouv*|note*|noter|constat*|avoisin*|atteint|atteignant|donne|donnant|obtenu*|obtient
    egale|egal|soit|dont|avec|sans|chez|pour|ainsi|cela|celle|ci|cette|ces|leur|leurs|notre|deux|trois|chiffre
    chiffres|taux|pourcent*|rendu|muy|mas|algo|poco|casi|cerca|cercana|cercano|alrededor|rededor|rango|limite
    inferior|inferiores|bajo|bajos|normalidad|dentro|parametros|preserv*|levem*|leves|moderadam*|severam*|severo
    severa|ligeram*|gravement*|discretam*|marcadam*|globalm*|calculo|calculandose|estim*|obten*|obtien*|encontr*
    observ*|objetiv*|aprecia*|apreciandose|siendo|sido|ser|esta|estan|hay|este|estos|ambos|ambas|tambien|ademas
    aproxim*|aproximada|alcanza|situa|situada|mostrando|muestra*|presentando|refleja|molto|assai|intorno
    prossima|vicina|vicino|limiti|inferiore|inferiori|superiore|bassi|basso|norma|nella|nei|entro|ridotta
    lievem*|moderatam*|gravem*|marcatam*|nettamente|stim*|calcol*|ottenut*|rilevat*|riscontr*|osserv*|evidenz*
    apprezz*|mostr*|ed|anche|inoltre|con|senza|tale|questo|questa|entrambi|essendo|stata|stato|dato|dati|valut*
    quantif*|quantizz*|parametri|buon*|ottimo|soddisfac*|modest*|discret*|borderline|zeer|wat|iets|net|bijna
    vrijwel|nagenoeg|rondom|omstreeks|grens*|ondergrens|onderste|laag*|normaal*|laagnormaal*|laagnormale|licht
    lichtelijk|matig*|ernstig*|fors*|duidelijk*|globaal*|goede|redelijk*|behouden|bewaard*|slechte|verlaagd*
    verminder*|gereduceerd*|gestoord*|geen|ook|verder|daarbij|waarbij|deze|dit|conform|gemeten|gevonden|gezien
    zien|berekening|uitkomst|getal|komt uit|uitkomend|neerkomend|muito|pouco|quase|perto|proxim*|intervalo
    limite*|inferior*|baixo|normalidade|acentuadam*|importante*|calcul*|obtid*|evidenci*|apresentando|sendo
    foram|estes|tambem|ainda|alem|bom|boas|ruim|mycket|nagot|ganska|nastan|nara|kring|omkring|runt|ungefar
    intervall|undre|nedre|gransen|grans*|lag*|lagnorm*|latt*|mattlig*|mattligt|uttal*|grav*|kraftig*|global*
    generell*|nedsatt*|sankt|sanktt|reducer*|bevar*|god*|aven|samt|dessutom|daribland|denna|detta|dessa|bada|ses
    sag|noter*|mats|mattes|uppmat*|beraknat|visar|visade|ingen|utan|motsvar*|motsvarande|vilket|varav|gransvard*"""
