"""Research archives: WFDB folders with a table, PTB-XL's own layout, cross-validation and training without a store."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.settings import FineTuning
from ecgfm.provenance import Provenance
from ecgfm_clinical.ecg.evaluability import judge
from ecgfm_clinical.errors import InputError, LearningError
from ecgfm_clinical.learning.cohort.archive import CLASSES, Archive, diagnostic_classes
from ecgfm_clinical.learning.provenance import FINE_TUNED
from ecgfm_clinical.learning.research import LabelledArchive, cross_validate_archive, retrain_archive
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.ecg import LEADS
from tests.helpers import data_sets
from tests.helpers.tiny_models import tiny_network, write_tiny_bundle

pytestmark = [pytest.mark.slow(13), pytest.mark.usefixtures("quick_judging")]

NOW = datetime(2031, 1, 1, tzinfo=UTC)
SHARED = Path(__file__).parents[4] / "shared" / "corpus" / "wfdb_ptbxl500" / "biolabsel+AY_2526_practical_sessions"


def write_record(folder: Path, name: str, number: int, *, low: bool) -> None:
    """A recording with some noise; `low` turns its chest leads over: the planted sign."""
    signal = recordings.load(number % recordings.count()).copy()
    stream = np.random.default_rng(number)
    signal += stream.normal(0, 0.01, signal.shape)
    if low:
        signal[6:] = -signal[6:]
    np.savez(folder / f"{name}.npz", signal=signal.astype(np.float32), sampling_rate=500)


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """110 recordings of 110 people, a third of them with the planted sign, and their table."""
    folder = tmp_path_factory.mktemp("archive")
    rows = []
    for number in range(110):
        low = number % 3 == 0
        write_record(folder, f"r{number:03d}", number, low=low)
        rows.append(
            {
                "record": f"r{number:03d}",
                "patient": f"human {number}",
                "age": 40 + number % 40,
                "sex": "F" if number % 2 else "M",
                "low": int(low),
                "rare": int(number == 7),
                "scp_codes": "{'SR': 0.0, 'CRBBB': 100.0}" if low else "{'NORM': 100.0, 'SR': 0.0}",
            }
        )
    write_table(folder / "table.csv", rows)
    write_table(
        folder / "scp_statements.csv",
        [
            {"": code, "diagnostic": "1.0" if name else "", "diagnostic_class": name}
            for code, name in (
                ("NORM", "NORM"),
                ("CRBBB", "CD"),
                ("IMI", "MI"),
                ("NDT", "STTC"),
                ("LVH", "HYP"),
                ("SR", ""),
            )
        ],
    )
    return folder


@pytest.mark.parametrize(
    ("age", "codes", "reasons"),
    [
        ("40", "{'SR': 0.0}", set()),
        ("40", "{'PACE': 100.0}", {"paced-rhythm"}),
        ("40", "SNOMED:10370003", {"paced-rhythm"}),
        ("5", "{'SR': 0.0}", {"age-below-range"}),
        ("300", "{'SR': 0.0}", {"age-unknown"}),  # PTB-XL's for "older than 89"
        ("", "{'SR': 0.0}", {"age-unknown"}),
    ],
)
def test_an_archive_is_judged_by_its_ages_and_codes(tmp_path: Path, age: str, codes: str, reasons: set[str]) -> None:
    """As the same recording would be before scoring: the cohort holds nothing that a head refuses."""
    write_record(tmp_path, "r000", 0, low=False)
    write_table(tmp_path / "table.csv", [{"record": "r000", "patient": "p", "age": age, "scp_codes": codes}])
    source = Archive.open(tmp_path, tmp_path / "table.csv")
    (row,) = source.rows()
    assert row.age == (float(age) if age in ("40", "5") else None)
    rules = HeadRules(min_age=18, unknown_age="refuse", paced="refuse")
    assert {reason.code for reason in judge(source.ecg(row.key), rules)} & {
        *reasons,
        "age-unknown",
        "paced-rhythm",
    } == reasons


def test_rows_and_labels_of_an_archive(archive: Path) -> None:
    source = Archive.open(archive, archive / "table.csv")
    rows = source.rows()
    assert len(rows) == 110
    assert source.missing == 0
    assert (rows[0].samples, rows[0].sampling_rate, rows[0].age, rows[0].sex) == (5000, 500.0, 40.0, "M")
    assert rows[0].codes == ("SCP:SR", "SCP:CRBBB")
    assert "human" not in rows[0].patient
    assert source.labels(["low"])[rows[0].key] == (1.0,)
    assert source.ecg(rows[1].key).signal.shape == (12, 5000)
    found = diagnostic_classes(source, archive / "scp_statements.csv")
    assert found[rows[0].key] == tuple(float(name == "CD") for name in CLASSES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"remove": "patient"}, "no column for the patient"),
        ({"remove": "record"}, "no column for the record"),
        ({"record": "elsewhere"}, "none of the recordings"),
        ({"low": "perhaps"}, "labels are 1, 0 or empty"),
        ({"ask": "potassium"}, "no column potassium"),
    ],
)
def test_tables_that_do_not_fit_are_named(archive: Path, tmp_path: Path, change: dict[str, str], words: str) -> None:
    rows = list(csv.DictReader((archive / "table.csv").open()))
    for row in rows:
        row.update({name: value for name, value in change.items() if name not in ("remove", "ask")})
        row.pop(change.get("remove", ""), None)
    table = write_table(tmp_path / "table.csv", [dict(row) for row in rows])
    with pytest.raises(InputError, match=words):
        Archive.open(archive, table).labels([change.get("ask", "low")])


def test_an_unreadable_table_is_named(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a table"):
        Archive.open(archive, tmp_path / "missing.csv")
    named = LabelledArchive(folder=archive, table=archive / "table.csv")
    source = named.open()
    with pytest.raises(InputError, match="name the columns"):
        named.labelling(source, "anything")


def quick(archive: Path, out: Path, **changes: Any) -> dict[str, Any]:
    columns = changes.pop("columns", ("low",))
    given: dict[str, Any] = {
        "archive": LabelledArchive(folder=archive, table=archive / "table.csv", columns=columns),
        "base": str(out / "base"),
        "out": out,
        "method": "linear",
        "fine_tuning": FineTuning(device="cpu"),
        "seed": 1,
        "now": NOW,
        "progress": lambda *_: None,
    }
    write_tiny_bundle(out / "base")
    return given | changes


def test_cross_validation_finds_the_planted_sign_and_age_does_not(archive: Path, tmp_path: Path) -> None:
    done = cross_validate_archive("interpretation", **quick(archive, tmp_path), folds=3)
    found = done.figures.labels["low"].auroc
    assert found["model"].value > 0.9
    assert found["random forest"].value > 0.9
    assert found["age and sex"].value < 0.7
    (written,) = tmp_path.glob("*-linear.json")
    told = json.loads(written.read_text())
    assert told == json.loads(json.dumps(done.to_json()))
    assert told["ecgs"] == told["cohort"]["included"]
    assert told["from"] == str(tmp_path / "base")


def test_a_label_too_rare_for_the_folds_is_named_before_anything_is_embedded(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(LearningError, match=r"^rare: 1 ECGs are positive and 109 negative.* --folds, or leave"):
        cross_validate_archive("interpretation", **quick(archive, tmp_path, columns=("low", "rare")), folds=5)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_head_is_trained_on_an_archive_without_a_store_and_labels_that_cannot_be_learnt_are_left_out_and_said(
    archive: Path, tmp_path: Path
) -> None:
    done = retrain_archive("both", **quick(archive, tmp_path, columns=("low", "rare")))
    assert done is not None
    assert [spec.name for spec in done.bundle.heads][-1] == "both"
    assert done.judgement.labels["low"].metrics["auroc"].value > 0.8
    assert "human" not in done.report.read_text(encoding="utf-8")
    assert done.cohort.labels == ("low",)
    assert "rare" in done.cohort.rules.labels_left_out
    with pytest.raises(LearningError, match=r"rare: .* needed"):
        retrain_archive("rare", **quick(archive, tmp_path / "again", columns=("rare",)))


@pytest.mark.skipif(not SHARED.exists(), reason="the PTB-XL recordings of shared/corpus are not on this machine")
def test_ptb_xl_is_understood_as_it_is() -> None:
    source = Archive.open(SHARED, SHARED / "ptbxl_database_shared.csv")
    rows = source.rows()
    assert len(rows) == 300
    classes = np.array(list(diagnostic_classes(source, SHARED / "scp_statements.csv").values()))
    assert dict(zip(CLASSES, classes.sum(axis=0).astype(int).tolist(), strict=True)) == {
        "NORM": 179,
        "MI": 45,
        "STTC": 58,
        "CD": 42,
        "HYP": 25,
    }
    assert source.ecg(rows[0].key).signal.shape == (12, 5000)


@pytest.mark.parametrize(("unit", "per_millivolt"), [("mV", 1.0), ("uV", 1000.0)])
def test_an_ecg_of_an_archive_is_in_millivolts(unit: str, per_millivolt: float, tmp_path: Path) -> None:
    data_sets.write_wfdb(tmp_path / "r0", 0)
    header = tmp_path / "r0.hea"
    header.write_text(header.read_text().replace("1000/mV", f"{1000 / per_millivolt:g}/{unit}"))
    table = write_table(tmp_path / "table.csv", [{"record": "r0", "patient": "nobody"}])
    archive = Archive.open(tmp_path, table)
    (row,) = archive.rows()
    assert np.abs(archive.ecg(row.key).signal - data_sets.tracing(0, 5000)).max() < 0.01


def test_an_ecg_of_an_archive_without_a_unit_is_refused(tmp_path: Path) -> None:
    data_sets.write_wfdb(tmp_path / "r0", 0)
    header = tmp_path / "r0.hea"
    header.write_text(header.read_text().replace("1000/mV", "1000/NU"))
    archive = Archive.open(tmp_path, write_table(tmp_path / "table.csv", [{"record": "r0", "patient": "nobody"}]))
    (row,) = archive.rows()
    with pytest.raises(InputError, match="in which unit of voltage"):
        archive.ecg(row.key)


@pytest.mark.parametrize("form", ["code15", "cpsc"])
def test_arrays_that_name_nothing_are_read_as_the_table_states(tmp_path: Path, form: str) -> None:
    signal = recordings.load(1)
    turned = signal[::-1] * 1000  # µV, the last lead first
    if form == "code15":
        savemat(tmp_path / "one.mat", {"feats": turned.astype(np.float32), "curr_sample_rate": 500})
    else:
        savemat(tmp_path / "one.mat", {"ECG": {"sex": "Male", "age": 60, "data": turned}})
    line = {"record": "one.mat", "patient": "a", "unit": "uV", "leads": " ".join(reversed(LEADS))}
    found = Archive.open(tmp_path, write_table(tmp_path / "table.csv", [line]))
    (row,) = found.rows()
    np.testing.assert_allclose(found.ecg(row.key).signal, signal, atol=1e-5)
    for spoilt, cause in (
        ({"unit": ""}, "unit"),
        ({"unit": "mmHg"}, "unit"),
        ({"leads": ""}, "twelve leads"),
        ({"leads": "I II III"}, "twelve leads"),
        ({"leads": " ".join(["I", *LEADS[:-1]])}, "twelve leads"),
    ):
        archive = Archive.open(tmp_path, write_table(tmp_path / "table.csv", [line | spoilt]))
        with pytest.raises(InputError, match=cause):
            archive.ecg(archive.rows()[0].key)


def taught_bundle(folder: Path, table: str) -> str:
    """Its encoder was fine-tuned on the archive of this table."""
    told = {"head": "low", "site": f"archive {table}", "as_of": NOW.isoformat()}
    Bundle.write(
        folder,
        tiny_network(),
        name="tuned",
        version="2",
        demo=True,
        provenance=Provenance(origin={FINE_TUNED: [told]}, origin_apart=True),
    )
    return str(folder)


def test_nobody_is_held_out_whose_labels_the_encoder_learnt(archive: Path, tmp_path: Path) -> None:
    base = taught_bundle(tmp_path / "tuned", "table.csv")
    words = (
        r"tuned 2 was fine-tuned for low on labels.* archive table.csv .*the model before that training, with --from"
    )
    with pytest.raises(LearningError, match=words):
        cross_validate_archive("interpretation", **quick(archive, tmp_path / "one", base=base), folds=3)
    with pytest.raises(LearningError, match=words):
        retrain_archive("low", **quick(archive, tmp_path / "two", base=base))
    elsewhere = taught_bundle(tmp_path / "elsewhere", "other.csv")
    done = cross_validate_archive("interpretation", **quick(archive, tmp_path / "three", base=elsewhere), folds=3)
    assert done.figures.labels["low"].auroc["model"].value > 0.9, "what it learnt elsewhere is no reason"
