"""`retrain --adapt`: the encoder goes on learning, without labels, from this site's own ECGs before a head is trained.

Test patients are never in it: whoever is judged was seen neither by head nor by encoder. An adaptation is a bundle
without heads; it is made once for an encoder and serves every head until a new one is asked for.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ecgfm.adaptation import Adapted, Bound, adapt
from ecgfm.checkpoint import Bundle
from ecgfm.errors import RecordingError
from ecgfm.finetuning.candidate import Model, Place
from ecgfm.finetuning.candidate import write as write_bundle
from ecgfm.finetuning.embedding import encoder_digest
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.shards import PrepareSettings, ShardSet, prepare_shards
from ecgfm.provenance import Json, Provenance
from ecgfm.recording_files import Recording
from ecgfm_clinical.errors import LearningError, NotFound
from ecgfm_clinical.learning.cohort.members import split_of
from ecgfm_clinical.learning.documents import write_json
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.selection import Seconds
from ecgfm_clinical.learning.training import Progress, quiet
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_clinical.staging.store import Store

TAUGHT = "taught.json"  #: in an adaptation's folder: the store's keys of the ECGs that it learnt from


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlabelled:
    """Every ECG of a store that an encoder may learn from, labelled or not: of people who are known, who do not object,
    and who are in the test split of no head.
    """

    store: Store
    rows: dict[str, EcgRow] = field(repr=False)

    @classmethod
    def of(cls, store: Store) -> "Unlabelled":
        """Raises StoreError."""
        return cls(store=store, rows={row.key: row for row in store.cohorts.ecgs() if _teaches(row)})

    def keys(self) -> list[str]:
        return list(self.rows)

    def fingerprint(self, keys: Sequence[str]) -> str:
        return "\n".join(f"{key} {self.rows[key].patient} {self.rows[key].samples}" for key in keys)

    def read(self, key: str) -> Recording:
        """Raises RecordingError where retention has removed the signal meanwhile."""
        try:
            (ecg,) = self.store.cohorts.recordings([key])
        except NotFound as error:
            raise RecordingError(f"{key}: {error}") from error
        return Recording(
            patient=self.rows[key].patient,
            signal=ecg.signal,
            sampling_rate=ecg.sampling_rate,
            in_millivolts=True,
            derived=bool(ecg.derived_leads),
        )


def _teaches(row: EcgRow) -> bool:
    out = row.test_data or row.superseded or row.doubtful or row.objected or not row.kept
    return not out and row.identified and split_of(row.patient_keys) != "test"


def same_encoder(one: Bundle, other: Bundle) -> bool:
    """Whether embeddings by both are equal."""
    return encoder_digest(Model.of(one).network) == encoder_digest(Model.of(other).network)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What was asked for."""

    bound: Bound = field(default_factory=Bound)
    again: bool = False  #: although there is one
    pairs: int = 32  #: recordings an update


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Where adaptations are made and kept."""

    store: Store
    folders: Folders
    place: Place
    seconds: Seconds
    progress: Progress = quiet

    def adapted(self, base: Bundle, how: Adaptation, *, now: datetime) -> Bundle:
        """The last adaptation of the base's encoder, or a new one. Raises LearningError, TrainingError, DataError."""
        last = self.last(base, how)
        return last if last is not None else self._new(base, encoder_digest(Model.of(base).network), how, now)

    def last(self, base: Bundle, how: Adaptation) -> Bundle | None:
        """The newest adaptation of the base's encoder, or the base where it is one; None where another is asked for, or
        that one learnt from an ECG whose patient is a test patient by now. Raises LearningError in the last case where
        the base itself is it.
        """
        if how.again:
            return None
        digest = encoder_digest(Model.of(base).network)
        for path in sorted(self.folders.adapted.glob("encoder-*/bundle.json"), reverse=True):
            found = Bundle.read(path.parent)
            is_base = encoder_digest(Model.of(found).network) == digest
            if not is_base and found.provenance.origin.get("adapted_from_encoder") != digest:
                continue
            if self._is_apart_from_tests(path.parent):
                return found
            if is_base:
                raise LearningError(
                    "the encoder of the model to start from learnt from ECGs that are a test patient's by now, because "
                    "an identity was corrected since; start from the model before its adaptation, with --from"
                )
        return None

    def _is_apart_from_tests(self, folder: Path) -> bool:
        """Whether no ECG that this adaptation learnt from is a test patient's, as identities are known today."""
        kept = folder / TAUGHT
        if not kept.exists():  # nobody knows: as if one were
            return False
        taught = set(json.loads(kept.read_text(encoding="utf-8")))
        rows = self.store.cohorts.ecgs()
        return not any(row.key in taught and split_of(row.patient_keys) == "test" for row in rows)

    def _new(self, base: Bundle, digest: str, how: Adaptation, now: datetime) -> Bundle:
        source, work = Unlabelled.of(self.store), self.folders.adapted / f"work-{digest[:16]}"
        if not source.rows:
            raise LearningError("no ECG in the store may teach an encoder: all are of test patients, or left out")
        shards = self._shards(source, work / "shards")
        done = adapt(
            Model.of(base).network,
            shards,
            work / f"run-{shards.digest[:16]}",  # of these very recordings: others begin anew
            bound=how.bound,
            clock=self.seconds,
            machine=Machine(accelerator=self.place.device),
            pairs=how.pairs,
            report=lambda news: self.progress(
                f"adapting the encoder, loss {news.metrics['loss']:.3f}", news.update, how.bound.updates or news.updates
            ),
        )
        made = self._bundle(base, digest, done, shards, now)
        write_json(made.path / TAUGHT, source.keys())
        shutil.rmtree(work, ignore_errors=True)  # prepared ECGs of patients do not lie about
        return made

    def _shards(self, source: Unlabelled, folder: Path) -> ShardSet:
        settings = PrepareSettings(max_unreadable=1.0)
        return prepare_shards(source, folder, settings, lambda done, total: self.progress("preparing", done, total))

    def _bundle(self, base: Bundle, digest: str, done: Adapted, shards: ShardSet, now: datetime) -> Bundle:
        origin: dict[str, Json] = {
            **base.provenance.origin,
            "adapted_from_encoder": digest,
            "adaptation": {
                "objective": "wav2vec 2.0 + CMSC + random lead masking, on this site's ECGs without labels",
                "updates": done.updates,
                "precision": done.precision,
                "recordings": shards.manifest.used,
                "shards_sha256": done.shards_sha256,
                "test_patients": "none",
                "ended": now.isoformat(),
            },
        }
        return write_bundle(
            Model(network=done.network, specs=(), origin="adapted"),
            self.folders.adapted / f"encoder-{now:%Y%m%dT%H%M%S}-{digest[:8]}",
            name=f"{base.name} adapted",
            version=f"adapted {now:%Y-%m-%d %H:%M:%S}",
            demo=base.demo,
            provenance=Provenance(origin=origin, lineage=(*base.provenance.lineage, base.named), origin_apart=True),
        )
