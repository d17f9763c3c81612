"""Paced rhythm by words: stated, denied, or another thing, in the languages of the devices."""

import time

import pytest

from ecgfm_connectors.statements.pacing_words import pacing

PACED = [
    "Schrittmacherrhythmus",
    "Herzschrittmacher-EKG",
    "Elektronischer Schrittmacher ventrikulär",
    "SM-Rhythmus",
    "Ventrikuläre Stimulation",
    "Vorhofstimulation",
    "Schrittmacherrhythmus - keine weitere Analyse",
    "Pacemakerritme, geen verdere analyse",
    "Gestimuleerd ritme",
    "Ventriculaire stimulatie",
    "Gepacet ritme",
    "Rythme électro-entraîné par stimulateur ventriculaire",
    "Stimulation ventriculaire",
    "Rythme stimulé",
    "Entraînement électrosystolique",
    "Rythme lectro-entran",
    "Ritmo da elettrostimolazione ventricolare",
    "Ritmo da pacemaker",
    "Stimolazione atriale",
    "Ritmo elettroindotto",
    "Ritmo de marcapasos",
    "Estimulación ventricular",
    "Marcapasos ventricular electrónico",
    "Ritmo de marca-passo ventricular",
    "Marcapasso bicameral",
    "Ritmo de marca-passo no ventrículo direito",
    "Pacemakerrytm",
    "Ventrikelpacad rytm",
    "Pacemakerrytme",
    "Ventrikulær pacing",
    "Pacet rytme",
    "Rytm ze stymulatora komorowego",
    "Stymulacja komorowa",
    "Rytm rozrusznika",
    "Electronic ventricular pacemaker",
    "AV dual-paced rhythm",
    "V-PACED RHYTHM",
    "BiV pacing",
    "Demand pacemaker; interpretation is based on intrinsic rhythm",
    "No further analysis attempted due to paced rhythm",
    "Ventricular-paced rhythm with no P waves",
    "Pacemaker with no capture",
    "Pacemaker failure: not capturing",
    "Atrial-sensed ventricular-paced complexes",
    "Electronic ventricular pacemaker has replaced Sinus rhythm",
    "Possible paced rhythm",
    "Suspect unspecified pacemaker failure",
    "DDD",
    "VVI mode",
    "Rhythm: Artificial pacemaker rhythm",
    "PACED RHYTHM, NO FURTHER ANALYSIS",
    "Pacemaker spikes or artifacts noted",
    "Ventricular pacing, no atrial activity",
    "Biventricular pacemaker detected",
    "Normal functioning artificial pacemaker",
    "Pacemaker rhythm. No previous ECG available",
    "Rytm stymulatora, bez dalszej analizy",
    "Ritmo de marcapasos sin análisis adicional",
]

DENIED = [
    "Kein Schrittmacher",
    "Keine Schrittmacherspikes",
    "Schrittmacher nicht nachweisbar",
    "Ohne Schrittmacherstimulation",
    "Kein Hinweis auf Schrittmacher",
    "Schrittmacher: nein",
    "Schrittmacherspikes fehlen",
    "Schrittmacher wurde nicht erkannt",
    "No pacemaker spikes detected. Normal sinus rhythm",
    "Pacemaker spikes are absent",
    "Sinus rhythm, pacemaker not detected",
    "Pacemaker: no",
    "No evidence of a functioning pacemaker",
    "Sinus rhythm without pacemaker",
    "Non-paced rhythm",
    "Geen pacemaker",
    "Geen pacemakerspikes",
    "Pacemaker niet gedetecteerd",
    "Pas de stimulateur",
    "Sans stimulation",
    "Stimulateur non détecté",
    "Aucun spike de stimulateur",
    "Nessun pacemaker",
    "Pacemaker non rilevato",
    "Assenza di spike da pacemaker",
    "Sin marcapasos",
    "No se detectan espículas de marcapasos",
    "Marcapasos no detectado",
    "Ausencia de marcapasos",
    "Sem marca-passo",
    "Marca-passo não detectado",
    "Marca-passo ausente",
    "Ingen pacemaker",
    "Ej pacemaker",
    "Pacemaker ej påvisad",
    "Utan pacemaker",
    "Pacemaker ikke påvist",
    "Uden pacemaker",
    "Uten pacemaker",
    "Brak stymulacji",
    "Bez stymulatora",
    "Nie wykryto stymulatora",
    "Stymulatora nie wykryto",
    "Paced rhythm no longer present",
    "Pacemaker activity not present",
    "No atrial or ventricular pacing",
]

OTHER = [
    "Normal sinus rhythm",
    "Wandering atrial pacemaker",
    "Unusual P axis, possible ectopic atrial pacemaker",
    "Spaced complexes",
    "PAC",
    "Premature atrial complexes",
    "Sinusrhythmus",
    "Wandernder Schrittmacher",
    "Wandernder Vorhofschrittmacher",
    "Marcapasos migratorio",
    "With a competing junctional pacemaker",
    "Sinus rhythm has replaced Electronic ventricular pacemaker",
    "Vagal stimulation",
    "Carotid sinus stimulation?",
    "Space",
    "Pacemaker: unknown",
    "Undetermined rhythm",
    "Impaced",
    "Pace-maker migrant",
    "Ectopic pacemaker",
]


@pytest.mark.parametrize("text", PACED)
def test_a_paced_rhythm(text: str) -> None:
    assert pacing(text) in ("stated", "possible")


@pytest.mark.parametrize("text", DENIED)
def test_pacing_denied(text: str) -> None:
    assert pacing(text) == "denied"


@pytest.mark.parametrize("text", OTHER)
def test_nothing_of_pacing(text: str) -> None:
    assert pacing(text) is None


@pytest.mark.parametrize("text", [*PACED, *DENIED])
def test_case_and_lost_accents_change_nothing(text: str) -> None:
    assert pacing(text.upper()) == pacing(text) == pacing(f"  {text}\t")


def test_doubt_is_kept() -> None:
    assert pacing("Possible paced rhythm") == "possible"
    assert pacing("Verdacht auf Schrittmacherrhythmus") == "possible"
    assert pacing("Ventricular-paced rhythm. Possible infarct") == "stated"


@pytest.mark.parametrize(
    "piece", ["no evidence of ", "kein Hinweis auf ", "pacemaker ", "no pacemaker not ", "a" * 50 + " ", ". no "]
)
def test_long_text_takes_no_long_time(piece: str) -> None:
    started = time.process_time()
    pacing(piece * 20_000)
    assert time.process_time() - started < 2.0
