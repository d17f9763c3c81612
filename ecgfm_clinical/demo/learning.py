"""The demo hospital learns: a year of ECGs, echoes and troponins arrives by DICOM and HL7, both heads are retrained,
judged, promoted while the service runs, and the next result comes from the new model.

Everything is simulated and circular (`demo.clinic.NOTE`): it shows that the path works and says nothing about patients.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from ecgfm.checkpoint import Bundle
from ecgfm.demo import demo_bundle
from ecgfm.finetuning import candidate as models
from ecgfm.finetuning.candidate import Model
from ecgfm.provenance import Provenance
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.demo.clinic import Visit
from ecgfm_clinical.demo.deliveries import Delivery
from ecgfm_clinical.demo.hospital import Hospital
from ecgfm_clinical.learning import governance
from ecgfm_clinical.learning.judged import Judged
from ecgfm_clinical.learning.judging.comparison import Judgement
from ecgfm_clinical.learning.training import Progress, quiet
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.settings import read_settings
from ecgfm_connectors.testing import dicom_writer, oru_writer

#: Heads in the order in which they are trained, each by linear probe.
RECIPE = ("reduced_lvef", "troponin")
ACTOR = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What came of it."""

    judgements: dict[str, Judgement]
    model_id: str  #: of the bundle with both heads
    promoted: bool
    before: bytes  #: the result of one ECG by the old model, as the EHR received it
    after: bytes  #: the result of the next ECG, by the new one


def start_bundle(folder: Path) -> Path:
    """The demo model without the two heads, as every hospital begins: no weights for them are public.

    Returns the bundle.
    """
    demo = Bundle.read(demo_bundle())
    bare = models.without(Model.of(demo), RECIPE)
    path = folder / "start"
    models.write(
        bare,
        path,
        name="ECG-FM demo encoder (NOT FOR CLINICAL USE)",
        version=demo.version,
        demo=True,
        provenance=Provenance(origin=demo.provenance.origin, origin_apart=True),
    )
    return path


def hospital_in(folder: Path, *, seed: int = 0) -> Hospital:
    """A hospital that begins without the two heads.
    Nobody's secrets lie in it, so its own comes from a seed: splits, and by them every figure, come out the same at
    every run.
    """
    return Hospital(folder, bundle=str(start_bundle(folder)), random_bytes=Random(seed).randbytes)


def deliveries(visits: Sequence[Visit], *, sent_at: datetime) -> Iterator[Delivery]:
    """Each visit's ECG by C-STORE or MLLP, and its two results by MLLP, as the systems of a hospital send them."""
    for visit in visits:
        yield ecg_delivery(visit, sent_at=sent_at)
        for about, message in (
            ("echo", clinic.echo_message(visit, sent_at=sent_at)),
            ("troponin", clinic.laboratory_message(visit, sent_at=sent_at)),
        ):
            yield Delivery(
                patient=f"Clinic {visit.number}",
                about=about,
                route="MLLP",
                file_name="",
                content=message,
                source_ids=(),
            )


def ecg_delivery(visit: Visit, *, sent_at: datetime) -> Delivery:
    """One ECG: DICOM by C-STORE for odd numbers, inside an ORU by MLLP for even ones."""
    by_dicom = visit.number % 2 == 1
    if by_dicom:
        content = dicom_writer.write_ecg(visit.ecg)
    else:
        content = oru_writer.write_ecg(visit.ecg, control_id=f"CLINIC{visit.number:05d}", sent_at=sent_at)
    return Delivery(
        patient=f"Clinic {visit.number}",
        about="",
        route="C-STORE" if by_dicom else "MLLP",
        file_name="",
        content=content,
        source_ids=(visit.ecg.source_id,),
    )


def train_heads(workshop: Workshop, *, replicates: int) -> dict[str, Judged]:
    """Both heads, the second beside the first on one encoder. Raises LearningError, TrainingError."""
    found: dict[str, Judged] = {}
    base: str | None = None
    for head in RECIPE:
        done = workshop.retrain(head, base=base, note=clinic.NOTE, replicates=replicates)
        assert done is not None, "one process trains alone"
        found[head], base = done, done.bundle.model_id
    return found


def learn(
    hospital: Hospital,
    patients: int,
    *,
    clock: Callable[[], datetime],
    progress: Progress = quiet,
    replicates: int = 1000,
) -> Learnt:
    """Run the whole story in a hospital that is open. Raises DemoFailed, LearningError, TrainingError."""
    now = clock()
    progress("writing a year of ECGs and results", 0, 1)
    visits = list(clinic.visits(patients + 1, now=now - timedelta(hours=1)))
    *year, late = visits
    hospital.deliver(list(deliveries(year, sent_at=now)))
    for seen in hospital.progress():
        progress("ECGs and results arrive, ECGs are scored", seen.judged, patients)
    before = hospital.ehr.messages[-1]
    workshop = Workshop(
        settings=read_settings(hospital.settings_path),
        store=hospital.store,
        actor=ACTOR,
        clock=clock,
        progress=progress,
    )
    done = train_heads(workshop, replicates=replicates)
    judgements = {head: one.judgement for head, one in done.items()}
    model_id = done[RECIPE[-1]].bundle.model_id
    promoted = not any(one.refusals for one in judgements.values())
    if promoted:
        row = workshop.registry.find(model_id)
        governance.promote(workshop.registry, row, now=clock(), actor=ACTOR, reason="the gate passes")
    told = len(hospital.ehr.messages)
    hospital.deliver([ecg_delivery(late, sent_at=clock())])
    for seen in hospital.progress():
        progress("the next ECG", seen.open, 1)
    return Learnt(
        judgements=judgements,
        model_id=model_id,
        promoted=promoted,
        before=before,
        after=hospital.ehr.messages[told] if len(hospital.ehr.messages) > told else b"",
    )


def summary(learnt: Learnt) -> dict[str, object]:
    """The figures, for people and machines."""
    return {
        "note": clinic.NOTE,
        "model_id": learnt.model_id,
        "promoted": learnt.promoted,
        "heads": {
            head: {
                "auroc": judged.labels[head].metrics["auroc"].to_json(),
                "test_ecgs": judged.labels[head].ecgs,
                "positives": judged.labels[head].positives,
                "compared": {
                    name: {"auroc": other.auroc.to_json(), "difference": other.difference.to_json()}
                    for name, other in judged.labels[head].compared.items()
                },
                "refusals": list(judged.refusals),
            }
            for head, judged in learnt.judgements.items()
        },
    }
