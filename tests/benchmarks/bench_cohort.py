"""Time and memory in which a cohort is built from a store with a million ECGs and a million outcomes.

    python -m tests.benchmarks.bench_cohort                         # SQLite in a temporary folder, 10 000 to 1 000 000
    … --store postgresql://… --rows 1000000                            # an empty database, or one filled before

Two ECGs a person; half of the persons have four echocardiograms each, over the same two years. Signals are left out:
what judging them takes is of the ECGs that have a label alone, and is told by `bench_engine.py`.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import bindparam, insert, text

from ecgfm_clinical.learning.cohort.building import gather
from ecgfm_clinical.learning.cohort.labelling import ReducedLvef
from ecgfm_clinical.learning.cohort.members import CohortRules
from ecgfm_clinical.learning.cohort.sources import StagedEcgs
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging import codec, identity, seals
from ecgfm_clinical.staging import schema as s
from ecgfm_clinical.staging.cohorts import Cohorts
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.ecg import AcquiredAt
from ecgfm_connectors.patient import Identifier, Patient
from tests.benchmarks.bench_store import fill_history, opened
from tests.helpers.fakes import make_ecg

FIRST = datetime(2029, 5, 1, tzinfo=UTC)
SECONDS = 63  #: between two ECGs of `fill_history`
AT_ONCE = 5000

_UPDATE = text(
    "UPDATE ecg SET source_key = :source_key, patient_key = :patient_key, acquired_at = :at, about = :about, "
    "private = :private WHERE ecg_id = :ecg_id"
).bindparams(bindparam("at", type_=s.ecg.c.acquired_at.type), bindparam("about", type_=s.ecg.c.about.type))


def fill(store: Store, rows: int) -> None:
    """So many ECGs and outcomes, as they are stored when they come in."""
    fill_history(store, rows)
    chosen = Random(1)
    for first in range(1, rows + 1, AT_ONCE):
        numbers = range(first, min(rows + 1, first + AT_ONCE))
        with store.database.writing(now=datetime.now(UTC), actor="bench") as tx:
            tx.connection.execute(_UPDATE, [_ecg(tx, number) for number in numbers])
            tx.connection.execute(insert(s.signal), [{"ecg_id": number, "samples": b""} for number in numbers])
            tx.connection.execute(insert(s.outcome), [_outcome(tx, number, rows, chosen) for number in numbers])


def _patient(number: int) -> Patient:
    return replace(ONE.patient, identifiers=(Identifier(authority="BENCH", value=f"P{number}"),))


def _ecg(tx: Transaction, number: int) -> dict[str, object]:
    at = FIRST + timedelta(seconds=SECONDS * number)
    acquired = AcquiredAt(at=at, zone_source="offset", original=f"{at:%Y%m%d%H%M%S}+0000")
    one = replace(ONE, source_id=f"1.2.3.{number}", patient=_patient(number // 2), acquired=acquired)
    source_key = tx.key("source", one.source_id)
    return {
        "ecg_id": number,
        "source_key": source_key,
        "patient_key": identity.patient_key(tx, one.patient, source_key),
        "at": at,
        "about": codec.about(one),
        "private": seals.ECG.seal(tx.keyring, to_json(codec.private(one)), source_key=source_key, version=1)["private"],
    }


def _outcome(tx: Transaction, number: int, rows: int, chosen: Random) -> dict[str, object]:
    source_key = tx.key("outcome", str(number))
    at = FIRST + timedelta(seconds=SECONDS * chosen.random() * rows)
    return {
        "payload_id": 1,
        "source_key": source_key,
        "version": 1,
        "patient_key": identity.patient_key(tx, _patient(number // 4), source_key),
        "kind": "lvef",
        "status": "final",
        "value": 20.0 + number % 50,
        "comparator": "",
        "unit": "%",
        "code": "10230-1",
        "assay": "",
        "observed_at": at,
        "received_at": at,
        "private": b"{}",
    }


def built(url: str) -> None:
    """Times one cohort, in a process of its own."""
    store = opened(url)
    source = StagedEcgs(Cohorts(store.database), datetime(2032, 1, 1, tzinfo=UTC))
    before, began, clock = _most_memory(), time.process_time(), time.perf_counter()
    cohort = gather(source, ReducedLvef(), CohortRules(), HeadRules(), as_of=datetime(2032, 1, 1, tzinfo=UTC))
    took, work = time.perf_counter() - clock, time.process_time() - began
    print(
        f"{cohort.considered:8} ECGs: {len(cohort.members)} of them in the cohort, {took:.1f} s, {work:.1f} s of "
        f"processor time; {before:.0f} MB before, {_most_memory():.0f} MB at most",
        flush=True,
    )
    for step in cohort.steps:
        print(f"    {step.excluded:8} {step.code}")
    store.close()


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


ONE = make_ecg()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="")
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--built", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.built:
        built(given.store)
        return
    for rows in given.rows:
        with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as folder:
            url = given.store or f"sqlite:///{Path(folder, 'store.db')}"
            store = opened(url)
            if store.questions.counts().received < rows:
                fill(store, rows)
            store.close()
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.bench_cohort", "--store", url, "--built"], check=True
            )


if __name__ == "__main__":
    main()
