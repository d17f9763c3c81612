"""Makes `dd64663/`: a store sealed with two keys, written by the program as it was at commit dd64663, and what it told.

Run with that version's packages, from an empty checkout of it:

    git archive dd64663 | tar -x -C OLD
    PYTHONPATH=OLD:OLD/model:OLD/connectors python tests/data/stores/make_store.py tests/data/stores/dd64663

The store is small and holds every kind of sealed value: payloads read and refused, ECGs in two versions, outcomes, ADT
demographics, a merge, results that wait, were acknowledged, refused, corrected, withdrawn and moved to another patient,
models, a shadow's answers. `tests/clinical/staging/test_seals.py` opens it. The program of today cannot run this file,
and need not.
"""

import gzip
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ecgfm_clinical.staging.records import Draft, Score, Scoring
from ecgfm_clinical.staging.registry import ModelRow, Registry
from ecgfm_clinical.staging.retry import refused
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents, IdentityEvent
from ecgfm_connectors.ecg import LEADS, AcquiredAt, Ecg, Order
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Ack

NOW = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
LEASE = timedelta(minutes=5)
KEYS = {1: hashlib.sha256(b"first").digest(), 2: hashlib.sha256(b"second").digest()}
NUMBERS = count(1)


def control_id() -> str:
    return f"OLD{next(NUMBERS):06d}"


def write(draft: Draft) -> bytes:
    patient = draft.ecg.patient
    numbers = "~".join(f"{one.authority}:{one.value}" for one in patient.identifiers)
    return f"MSH|{draft.control_id}|{draft.kind}|{numbers}|{patient.family_name}|{draft.ecg_id}".encode()


def patient(value: str) -> Patient:
    return Patient(
        identifiers=(Identifier(authority="TESTHOSP", value=value),),
        birth_date=date(1961, 2, 3),
        sex="F",
        family_name="TESTFAMILY",
        given_name=f"TEST{value}",
    )


def ecg(number: int, whose: str, *, shift: float = 0.0, **more: Any) -> Ecg:
    return Ecg(
        source_id=f"1.2.3.{number}",
        format="dicom",
        patient=patient(whose),
        acquired=AcquiredAt(at=NOW - timedelta(days=number), zone_source="offset", original="20310506"),
        sampling_rate=500.0,
        signal=(np.arange(120, dtype=np.float32).reshape(12, 10) / 100 + number + shift).astype(np.float32),
        stored_leads=LEADS,
        **more,
    )


class Old:
    """The store while it is filled."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW

    def take(self, contents: Any) -> None:
        self.now += timedelta(seconds=1)
        if isinstance(contents, Ecg):
            contents = Contents(ecgs=(contents,))
        content = f"payload at {self.now.isoformat()}".encode()
        received = Received(
            transport="dicom", source="carts", content=content, received_at=self.now, peer="CART", location="bed 7"
        )
        self.store.intake(received, contents, now=self.now, actor="carts")

    def score(self, probability: float | None = 0.25) -> None:
        self.now += timedelta(seconds=1)
        for job in self.store.claim_jobs(worker="scorer", limit=50, now=self.now, lease=LEASE):
            reasons = (("lead-off", "lead V1 is missing"),) if probability is None else ()
            score = Score(head="reduced_lvef", label="yes", probability=probability, logit=-1.0, reasons=reasons)
            scoring = Scoring(
                ecg_id=job.ecg_id,
                model_id="a" * 64,
                model_name="test",
                model_version="1",
                preprocessing="1",
                runtime="null",
                input_digest="b" * 64,
                scored_at=self.now,
                scores=(score,),
            )
            self.store.finish_scoring(job, scoring, ["ehr"], now=self.now, worker="scorer", control_ids=control_id)

    def send(self, code: str = "AA") -> None:
        self.now += timedelta(seconds=1)
        for one in self.store.claim_messages(worker="sender", destination="ehr", limit=50, now=self.now, lease=LEASE):
            self.store.begin_send(one, now=self.now, worker="sender")
            ack = Ack(code=code, control_id=one.control_id, text=f"TESTFAMILY {code}")
            if code == "AA":
                self.store.finish_message(one, ack, now=self.now, worker="sender")
            else:
                retry = refused(ack, attempts=one.attempts, now=self.now)
                self.store.fail_message(one, retry, now=self.now, worker="sender", ack=ack)

    def by(self) -> dict[str, Any]:
        return {"now": self.now, "actor": "operator", "reason": "test", "control_ids": control_id}


def fill(old: Old) -> None:
    old.take(Refused("not-12-lead", "one lead only"))
    old.take(ecg(1, "sent", order=Order(placer="ORDER1")))
    old.take(ecg(2, "withdrawn"))
    old.take(ecg(3, "mistaken"))
    old.take(ecg(4, "merged", statements=("SINUS RHYTHM",)))
    old.score()
    old.send()
    old.take(ecg(1, "sent", shift=0.5))  # the same number in other bytes: version 2
    old.score(0.75)
    old.send()
    old.store.withdraw(2, **old.by())
    old.store.correct(3, patient=patient("right"), destinations=["ehr"], **old.by())
    old.send()
    old.take(ecg(5, "refused"))
    old.score(None)
    old.send("AE")
    merge = IdentityEvent(
        retired=Identifier(authority="TESTHOSP", value="merged"),
        surviving=Identifier(authority="TESTHOSP", value="survivor"),
        event="A40",
    )
    old.take(Contents(identity_events=(merge,), demographics=(patient("survivor"),)))
    old.take(
        Contents(
            outcomes=(
                Outcome(
                    source_id="ECHO1",
                    patient=patient("merged"),
                    kind="lvef",
                    status="final",
                    value=35.0,
                    unit="%",
                    code="8806-2",
                    observed_at=NOW,
                    text="TESTFAMILY: reduced",
                ),
            )
        )
    )
    old.take(ecg(6, "merged"))
    old.score()  # its message waits, composed for the survivor
    old.take(Unreadable("broken", "cannot be read"))
    old.take(ecg(7, "waits"))


def models(old: Old) -> None:
    registry = Registry(old.store)
    for letter, parent in (("a", None), ("c", "a" * 64)):
        row = ModelRow(
            model_id=letter * 64,
            name="test",
            version=letter,
            path=f"models/{letter}",
            demo=False,
            heads={"reduced_lvef": letter * 16},
            parent_id=parent,
            registered_at=old.now,
        )
        registry.register(row, now=old.now, actor="trainer")
    registry.act("promoted", "a" * 64, now=old.now, actor="Dr Test", reason="first")
    registry.act("shadow-on", "c" * 64, now=old.now, actor="Dr Test", reason="try")
    answer = Score(head="reduced_lvef", label="yes", probability=0.5, logit=0.0)
    registry.keep_shadow("c" * 64, {1: (answer,)}, now=old.now, actor="shadow")


def told(store: Store) -> dict[str, Any]:
    """What a reader of today must find."""
    registry = Registry(store)
    live, shadow = registry.live(), registry.shadow()
    assert live is not None
    assert shadow is not None
    counts = store.counts()
    return {
        "counts": {
            name: getattr(counts, name) for name in ("received", "scored", "not_evaluable", "failed", "waiting")
        },
        "audit_entries": store.audit_length(),
        "live": live.model_id,
        "shadow": shadow[0].model_id,
        "shadow_pairs": [list(pair) for pair in registry.shadow_pairs("c" * 64, "reduced_lvef", "yes")],
        "set_aside": [received.content.decode() for _, received in store.load_set_aside()],
        "ecgs": [_told(store, one.ecg_id) for one in reversed(store.list_ecgs())],
    }


def _told(store: Store, ecg_id: int) -> dict[str, Any]:
    story = store.story(ecg_id)
    return {
        "ecg_id": ecg_id,
        "source_id": story.ecg.ecg.source_id,
        "version": story.ecg.version,
        "state": story.state.value,
        "patient": [one.value for one in story.ecg.ecg.patient.identifiers],
        "given_name": story.ecg.ecg.patient.given_name,
        "statements": list(story.ecg.ecg.statements),
        "signal_sha256": hashlib.sha256(story.ecg.ecg.signal.tobytes()).hexdigest(),
        "payload": store.load_payload(ecg_id).content.decode(),
        "location": store.load_payload(ecg_id).location,
        "probabilities": [score.probability for scoring in story.scorings for score in scoring.scores],
        "messages": [
            {
                "control_id": one.control_id,
                "kind": one.kind,
                "state": one.state.value,
                "body": one.body and one.body.decode(),
                "ack": one.acknowledgement and one.acknowledgement.text,
            }
            for one in story.messages
        ],
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    random: Callable[[int], bytes] = Random(64663).randbytes
    with tempfile.TemporaryDirectory() as place:
        url = f"sqlite:///{place}/store.sqlite"
        first = Keyring(keys={1: KEYS[1]}, random_bytes=random)
        store = Store.open(url, create=True, keyring=first, random_bytes=random, compose=write)
        old = Old(store)
        fill(old)
        store.close()
        both = Keyring(keys=KEYS, random_bytes=random)  # from here on the second key seals
        store = Store.open(url, keyring=both, random_bytes=random, compose=write)
        old.store = store
        old.take(ecg(8, "second key"))
        models(old)
        store.back_up(Path(place) / "copy.sqlite")
        found = told(store)
        store.close()
        packed = gzip.compress((Path(place) / "copy.sqlite").read_bytes(), 9, mtime=0)
    (folder / "store.sqlite.gz").write_bytes(packed)
    (folder / "keys").write_text("".join(f"{number} {key.hex()}\n" for number, key in KEYS.items()), "ascii")
    (folder / "told.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
