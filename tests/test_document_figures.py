"""The figures that operators and interface teams rely on are the program's own: limits, thresholds, defaults, ports."""

import inspect
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical.ecg import evaluability
from ecgfm_clinical.operate import status
from ecgfm_clinical.operate.setup import example_settings
from ecgfm_clinical.pipeline.reporting import BUSY_ANSWERS
from ecgfm_clinical.settings import DicomListener, DicomSource, HeadRules, Hl7Listener, Settings
from ecgfm_clinical.staging.records import WhySetAside
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.dicom.retrieve import RetrieveSource
from ecgfm_connectors.dicom.storage import MAX_PDU, StorageScp
from ecgfm_connectors.files import scp_signal
from ecgfm_connectors.hl7.batch import MAX_MESSAGES
from ecgfm_connectors.hl7.listener import MllpListener
from ecgfm_connectors.hl7.message import MAX_SEGMENTS

ROOT = Path(__file__).parents[1]
DICOM, HL7 = DicomListener(), Hl7Listener()
NUMBERS = {1: "one", 2: "two", 5: "five"}


def default(of: object, name: str) -> Any:
    return inspect.signature(of).parameters[name].default  # type: ignore[arg-type]  # classes, by their constructor


def with_spaces(number: int) -> str:
    return f"{number:,}".replace(",", " ")


CONFORMANCE = {
    "title": f"title `{DICOM.ae_title}` unless",
    "associations": f"{DICOM.max_associations} associations at a time",
    "idle association": f"for at most {default(StorageScp, 'idle_timeout'):g} s",
    "PDU": f"PDUs of {MAX_PDU} bytes",
    "object": f"more than {default(StorageScp, 'max_object_bytes') >> 20} MiB",
    "overlap": f"by {NUMBERS[int(DicomSource.model_fields['overlap_days'].default)]} days",
    "studies a request": f"lists of up to {default(RetrieveSource, 'batch')} UIDs",
    "message": f"{HL7.max_message_mb} MB a message",
    "connections": f"{HL7.max_connections} connections (",
    "idle connection": f"{NUMBERS[int(HL7.idle_seconds // 3600)]} hour idle",
    "inside a message": f"{default(MllpListener, 'frame_timeout'):g} s inside a message",
    "messages of a batch": f"more than {with_spaces(MAX_MESSAGES)} messages",
    "segments of a message": f"more than {with_spaces(MAX_SEGMENTS)} segments",
    "busy answers": f"up to {NUMBERS[BUSY_ANSWERS]} such answers",
    "SCP-ECG samples": f"up to {with_spaces(scp_signal._MOST_CODED)} coded",
}
RUNBOOK = {
    "flat lead": f"keeps one value for {evaluability.FLAT_SECONDS:g} s or more",
    "noise": f"more than {evaluability.NOISE_MV:g} mV between the beats",
    "length": f"less than {evaluability.SHORTEST_SECONDS:g} s",
    "rate": f"outside {evaluability.LOWEST_RATE:g}–{evaluability.HIGHEST_RATE:g} Hz",
    "C-STORE port": f"| {DICOM.port} (104, or 2762 with TLS) | C-STORE SCP |",
    "MLLP port": f"| {HL7.port} | MLLP listener |",
    "user of the containers": "run as user 10001",
}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        *(
            pytest.param("connectors/CONFORMANCE.md", text, id=f"conformance {what}")
            for what, text in CONFORMANCE.items()
        ),
        *(pytest.param("deploy/RUNBOOK.md", text, id=f"runbook {what}") for what, text in RUNBOOK.items()),
    ],
)
def test_the_document_states_the_figure_of_the_program(document: str, sentence: str) -> None:
    assert sentence in " ".join((ROOT / document).read_text(encoding="utf-8").split())


def test_the_words_by_which_the_runbook_reads_status_are_in_status() -> None:
    words = set(re.findall(r"\*([a-z][a-z ]+)\*", (ROOT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")))
    assert {"messages waiting", "set aside"} <= words
    said = inspect.getsource(status) + " ".join(WhySetAside)
    assert not [word for word in words if word not in said]


def test_the_runbook_names_every_key_that_status_gives_to_programs(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}", create=True)
    found: dict[str, Any] = status.status_of(store, now=datetime.now(UTC)).to_json()
    store.close()
    runbook = (ROOT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
    chapter = runbook.partition("### What `status` says to programs")[2].partition("\n## ")[0]
    whole, _, needs = chapter.partition("| key of `needs_person`")
    for table, keys in ((whole, set(found)), (needs, set(found["needs_person"]))):
        rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == keys


def test_the_containers_run_as_the_user_that_the_runbook_names() -> None:
    assert "useradd --system --uid 10001" in (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_values_that_the_commented_settings_show_are_the_defaults() -> None:
    """But for the site's name, which no default can know,
    and where a first run is to be closer than old settings were.
    """
    shown: dict[str, Any] = tomllib.loads(example_settings())
    assert set(shown.pop("site")) <= set(Settings().site.model_dump())
    assert HeadRules.model_validate(shown.pop("heads")["reduced_lvef"]) == HeadRules()
    defaults = Settings().model_dump(mode="json") | {"form": 2}
    defaults["audit"]["key_file"] = "audit-key"
    here = {"host": "127.0.0.1"}
    defaults["listeners"] = {
        "dicom": [DICOM.model_dump(mode="json") | here],
        "hl7": [HL7.model_dump(mode="json") | here],
    }
    assert not list(_different(shown, defaults, ""))


def _different(shown: Any, default: Any, path: str) -> Any:
    if isinstance(shown, dict):
        for key, value in shown.items():
            yield from _different(value, default[key], f"{path}.{key}")
    elif isinstance(shown, list) and shown and isinstance(shown[0], dict):
        for one, other in zip(shown, default, strict=True):
            yield from _different(one, other, path)
    elif shown != default:
        yield f"{path}: {shown} is shown, {default} is the default"
