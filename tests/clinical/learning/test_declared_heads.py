"""A head that the settings declare, from the laboratory's feed to its cohort: potassium, and LVEF at other cut-offs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgfm.checkpoint import Bundle
from ecgfm.heads import REDUCED_LVEF
from ecgfm.network import EcgFm
from ecgfm.provenance import Provenance
from ecgfm_clinical import wiring
from ecgfm_clinical.cli import app
from ecgfm_clinical.cli.archives import labelled_archive
from ecgfm_clinical.errors import InputError, SettingsError
from ecgfm_clinical.learning.cohort.building import gather
from ecgfm_clinical.learning.cohort.labelling import Labelled, Measurement
from ecgfm_clinical.learning.planning import heads, labelling
from ecgfm_clinical.learning.research import COHORT, RULES
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.operate.setup import write_installation
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.shipped import recordings
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeRow
from ecgfm_connectors.testing import dicom_writer
from tests.helpers.data_sets import write_csv
from tests.helpers.fakes import make_ecg
from tests.helpers.tiny_models import TINY

pytestmark = [pytest.mark.slow(15), pytest.mark.usefixtures("quick_judging")]

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)
DECLARED = """
[[outcomes.kinds]]
name = "potassium"
unit = "mmol/L"
units = { "mEq/L" = 1.0 }
lowest = 1
highest = 12
[[outcomes.codes]]
code = "2823-3"
means = "potassium"
[[outcomes.findings]]
name = "lvh"
present = ["LVH present", "moderate"]
absent = ["LVH absent", "none"]
[[outcomes.codes]]
code = "ECHOLVH"
means = "lvh"
[[learning.heads]]
name = "hypertrophy"
target = "Left ventricular hypertrophy in an echo within a day of the ECG."
kind = "lvh"
hours_before = 24
hours_after = 24
[[learning.heads]]
name = "hyperkalaemia"
target = "A potassium above 5.5 mmol/L within 6 hours after the ECG."
kind = "potassium"
threshold = 5.5
hours_before = 1
hours_after = 6
select = "highest"
[[learning.heads]]
name = "lvef_35"
target = "An ejection fraction of 35 % or less within 30 days of the ECG."
kind = "lvef"
threshold = 35
positive = "at-most"
hours_before = 720
hours_after = 720
"""


def message(number: int, values: list[tuple[str, str, str]]) -> str:
    """An ORU^R01 of patient `number`: (value, unit, time) of each potassium."""
    lines = [
        f"MSH|^~\\&|LAB|TEST|ECGFM|TEST|20260301100000+0000||ORU^R01^ORU_R01|K{number}|P|2.5.1",
        f"PID|1||T{number}^^^TEST^MR||TESTFAMILY^TESTGIVEN{number}||19600517|F",
        f"OBR|1|P{number}|F{number}|CHEM^Chemistry^L|||20260301080000+0000",
    ]
    for at, (value, unit, time) in enumerate(values, start=1):
        lines.append(f"OBX|{at}|NM|2823-3^Potassium^LN|{at}|{value}|{unit}|3.5-5.1||||F|||{time}+0000")
    return "\r".join(lines) + "\r"


def echo(number: int, *answers: str) -> str:
    """An ORU^R01 of patient `number`: each OBX-2|OBX-5 of a hypertrophy, at 09:00."""
    lines = [
        f"MSH|^~\\&|ECHO|TEST|ECGFM|TEST|20260301100000+0000||ORU^R01^ORU_R01|E{number}|P|2.5.1",
        f"PID|1||T{number}^^^TEST^MR||TESTFAMILY^TESTGIVEN{number}||19600517|F",
        f"OBR|1|Q{number}|G{number}|ECHO^Echocardiography^L|||20260301090000+0000",
    ]
    for at, answer in enumerate(answers, start=1):
        kind, _, value = answer.partition("|")
        lines.append(f"OBX|{at}|{kind}|ECHOLVH^Hypertrophy^L|{at}|{value}||||||F")
    return "\r".join(lines) + "\r"


def test_potassium_and_a_finding_from_their_feeds_to_the_cohorts(tmp_path: Path) -> None:
    """The ECGs were recorded at 07:00. What has no unit, another unit, or cannot be, is left out with its reason."""
    settings = write_installation(tmp_path / "site")
    settings.write_text(settings.read_text() + DECLARED)
    results: dict[int, list[tuple[str, str, str]]] = {
        1: [("4.1", "mmol/L", "20260301080000"), ("6.2", "mEq/L", "20260301090000")],
        2: [("4.4", "mmol/l", "20260301080000")],
        3: [("6.0", "mmol/L", "20260302080000")],  # outside the window
        4: [("4.0", "", "20260301080000")],
        5: [("60", "mmol/L", "20260301080000")],
        6: [("160", "mg/L", "20260301080000")],
    }
    inbox = tmp_path / "in"
    inbox.mkdir()
    for number, values in results.items():
        (inbox / f"{number}.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(number)))
        (inbox / f"{number}.hl7").write_text(message(number, values), newline="")
    findings = {
        1: ("CWE|X1^LVH  Présent^L",),
        2: ("ST|None",),
        3: ("TX|no LVH present",),  # a word of the vocabulary inside a sentence says nothing
        4: ("CWE|LVH absent^^L", "CE|9^moderate^L"),  # at one time there and not
        5: ("CWE|9^moderate^L^none",),
    }
    for number, answers in findings.items():
        (inbox / f"echo{number}.hl7").write_text(echo(number, *answers), newline="")
    done = CliRunner().invoke(app, ["ingest", str(inbox), "--settings", str(settings)])
    assert done.exit_code == 0, done.output
    read = read_settings(settings)
    store = wiring.open_store(read)
    try:
        kept = {(row.value, row.unit, row.kind) for row in store.cohorts.outcomes("potassium")}
        assert kept == {(value, "mmol/L", "potassium") for value in (4.1, 6.2, 4.4, 6.0)}
        reasons = {one.reason: one.number for one in store.outcomes.counts() if one.reason}
        assert reasons == {
            "outcome-unit": 2, "outcome-implausible": 1, "outcome-answer": 2, "outcome-ambiguous": 2,
        }  # fmt: skip
        shop = Workshop(settings=read, store=store, actor="test", clock=lambda: NOON)
        cohort, _ = shop.cohort("hyperkalaemia", NOON)
        assert cohort.labels == ("hyperkalaemia",)
        assert sorted(one.example.labels[0] for one in cohort.members) == [0.0, 1.0]
        left_out = {step.code: step.excluded for step in cohort.steps if step.excluded}
        assert left_out == {"no-outcome": 3, "outside-window": 1}
        assert cohort.rules.labelling["kind"] == "potassium"
        cohort, _ = shop.cohort("hypertrophy", NOON)
        assert sorted(one.example.labels[0] for one in cohort.members) == [0.0, 1.0]
        assert {step.code: step.excluded for step in cohort.steps if step.excluded} == {"no-outcome": 4}
        shown = CliRunner().invoke(app, ["outcomes", "list", "--kind", "potassium", "--settings", str(settings)])
        assert "potassium" in shown.output
    finally:
        store.close()


def test_heads_of_the_settings_are_known_beside_the_programs_own(tmp_path: Path) -> None:
    settings = write_installation(tmp_path / "site")
    settings.write_text(settings.read_text() + DECLARED)
    learning = read_settings(settings).learning
    assert heads(learning) == ("reduced_lvef", "troponin", "interpretation", "hypertrophy", "hyperkalaemia", "lvef_35")
    rule = labelling("lvef_35", learning)
    assert (rule.labels, rule.outcome_kind) == (("lvef_35",), "lvef")
    assert rule.target == "An ejection fraction of 35 % or less within 30 days of the ECG."
    with pytest.raises(InputError, match=r"it knows .*hypertrophy, hyperkalaemia, lvef_35"):
        labelling("hyponatraemia", learning)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('means = "potassium"', 'means = "sodium"'), "means sodium is none of lvef, troponin, ignore, potassium, lvh"),
        (('kind = "potassium"', 'kind = "sodium"'), "kind sodium is none of lvef, potassium, lvh"),
        (("threshold = 5.5", ""), "hyperkalaemia: give the threshold, in the unit of potassium"),
        (('kind = "lvh"', 'kind = "lvh"\nthreshold = 1'), "hypertrophy: lvh is there or not"),
        (('"LVH absent", "none"', '"LVH absent", "Moderate"'), "moderate stands in present and in absent"),
        (('name = "lvh"', 'name = "potassium"'), "give one name twice"),
        (('name = "potassium"', 'name = "lvef"'), "lvef is known to every site"),
        (("highest = 12", "highest = 0"), "lowest must be below highest"),
        (('name = "lvef_35"', 'name = "hyperkalaemia"'), "name used twice: hyperkalaemia"),
        (('name = "lvef_35"', 'name = "troponin"'), "troponin is a head of this program"),
    ],
)
def test_a_declaration_that_cannot_hold_is_named(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    settings = write_installation(tmp_path / "site")
    assert change[0] in DECLARED
    settings.write_text(settings.read_text() + DECLARED.replace(*change, 1))
    with pytest.raises(SettingsError, match=words):
        read_settings(settings)


def result(value: float, hours: float, **changes: Any) -> OutcomeRow:
    given: dict[str, Any] = {
        "key": f"k {value} {hours}",
        "patient": "p",
        "kind": "potassium",
        "status": "final",
        "value": value,
        "unit": "mmol/L",
        "observed_at": NOON + timedelta(hours=hours),
    }
    return OutcomeRow(**(given | changes))


@pytest.mark.parametrize(
    ("results", "rule", "expected"),
    [
        ([result(5.5, 1)], {}, 0.0),
        ([result(5.6, 1)], {}, 1.0),
        ([result(5.5, 1, comparator=">")], {}, 1.0),
        ([result(5.5, 1, comparator="<")], {}, 0.0),
        ([result(7.0, 1, comparator="<")], {}, "outcome-undecided"),
        ([result(5.0, 1, upper_value=6.0)], {}, "outcome-undecided"),
        ([result(4.0, 1), result(6.0, 3)], {}, 0.0),
        ([result(4.0, 1), result(6.0, 3)], {"select": "highest"}, 1.0),
        ([result(6.0, 1), result(4.0, 3)], {"select": "lowest"}, 0.0),
        ([result(7.0, 1, comparator="<"), result(6.0, 3)], {}, 1.0),  # the nearest that can be told
        ([result(6.0, 7)], {}, "outside-window"),
        ([result(6.0, 0, observed_precision="day")], {}, "day-only"),
        ([], {}, "no-outcome"),
        ([result(35.0, 1)], {"threshold": 35.0, "above": False}, 1.0),
        ([result(36.0, 1)], {"threshold": 35.0, "above": False}, 0.0),
    ],
)
def test_a_result_near_the_ecg_gives_the_label(
    results: list[OutcomeRow], rule: dict[str, Any], expected: float | str
) -> None:
    given: dict[str, Any] = {"threshold": 5.5, "above": True, "select": "nearest"}
    measurement = Measurement(
        name="x",
        target="X.",
        outcome_kind="potassium",
        before=timedelta(hours=1),
        after=timedelta(hours=6),
        **(given | rule),
    )
    row = EcgRow(
        key="e", patient="p", patient_keys=("p",), identified=True, acquired_at=NOON, sampling_rate=500.0, samples=5000
    )
    found = measurement.label(row, results)
    assert (found.labels[0] if isinstance(found, Labelled) else found.code) == expected


#: Days after the ECG, kind, value: what the rows of one patient say.
RESULTS: dict[str, list[tuple[float, str, str]]] = {
    "ill": [(0.1, "potassium", "6.1"), (3, "lvef", "33"), (0.5, "lvh", "moderate"), (12, "death", "1")],
    "well": [(0.1, "potassium", "4.2"), (3, "lvef", "38"), (0.5, "lvh", "none"), (40, "potassium", "4.0")],
    "lost": [(2, "potassium", "6.3")],  # beyond the window, and no sign of life after thirty days
}
#: The patients whose ECG has a label, and which.
EXPECTED = {
    "hyperkalaemia": {"ill": 1.0, "well": 0.0},
    "lvef_35": {"ill": 1.0, "well": 0.0},
    "hypertrophy": {"ill": 1.0, "well": 0.0},
    "mortality_30": {"ill": 1.0, "well": 0.0},  # a laboratory's result of a kind of the site's own shows life
    "reduced_lvef": {"ill": 1.0, "well": 0.0},  # at the cut-off of these settings, 35 %
}
MORTALITY = """
[[learning.heads]]
name = "mortality_30"
target = "Death from any cause within 30 days after the ECG."
kind = "death"
days = 30
[learning.lvef]
threshold = 35
"""


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of three ECGs with its table, a table of measured results, and settings of nothing but heads."""
    folder = tmp_path_factory.mktemp("declared")
    rows = []
    for number, patient in enumerate(RESULTS):
        np.savez(folder / f"{patient}.npz", signal=recordings.load(number), sampling_rate=500.0)
        rows.append([f"{patient}.npz", patient, NOON.isoformat()])
    write_csv(folder / "table.csv", [["record", "patient", "acquired_at"], *rows])
    units = {"potassium": "mmol/L", "lvef": "%"}
    told = [
        [patient, kind, value, units.get(kind, ""), (NOON + timedelta(days=days)).isoformat()]
        for patient, own in RESULTS.items()
        for days, kind, value in own
    ]
    write_csv(folder / "results.csv", [["patient_id", "kind", "value", "unit", "observed_at"], *told])
    (folder / "heads.toml").write_text("[outcomes]\ndeaths = true\n" + DECLARED + MORTALITY)
    return folder


@pytest.mark.parametrize("head", EXPECTED)
def test_an_archive_learns_every_head_that_settings_declare(declared: Path, head: str) -> None:
    """The same rules as on a store, from a table of measured results, without a store."""
    named = labelled_archive(
        declared, declared / "table.csv", declared / "results.csv", (), None, declared / "heads.toml"
    )
    archive = named.open()
    cohort = gather(archive, named.labelling(archive, head), COHORT, RULES, as_of=NOON)
    assert cohort.labels == (head,)
    assert {archive.record(one.example.key)[:-4]: one.example.labels[0] for one in cohort.members} == EXPECTED[head]


def test_a_head_that_nobody_declared_names_those_that_are(declared: Path) -> None:
    for settings, words in ((None, "[[learning.heads]] of --settings"), (declared / "heads.toml", "mortality_30")):
        named = labelled_archive(declared, declared / "table.csv", declared / "results.csv", (), None, settings)
        with pytest.raises(InputError, match="--label") as error:
            named.labelling(named.open(), "hyponatraemia")
        assert words in str(error.value)


def test_the_commands_of_an_archive_take_a_declared_head(declared: Path, tmp_path: Path) -> None:
    """Three patients are too few for any of them, and each says so of the head's own label."""
    label = "hyperkalaemia"
    spec = replace(REDUCED_LVEF, name=label, labels=(label,), aggregation={label: "mean"})
    bundle = Bundle.write(
        tmp_path / "bundle", EcgFm(TINY, (spec,)), name="tiny", version="1", demo=True, provenance=Provenance()
    )
    given = [
        "--archive", declared, "--table", declared / "table.csv", "--outcomes", declared / "results.csv",
        "--settings", declared / "heads.toml", "--out", tmp_path / "out",
    ]  # fmt: skip
    for words, said in (
        (("retrain", label, "--from", bundle.path, *given), f"{label}: "),
        (("cross-validate", "--head", label, "--from", bundle.path, *given), "too few patients"),
        (("evaluate", label, "--model", bundle.path, *given), "on 2 ECGs, 1 positive"),
    ):
        done = CliRunner().invoke(app, [str(one) for one in words])
        assert said in done.output + str(done.exception), words[0]
        assert "no rules" not in str(done.exception)
        assert "--label" not in str(done.exception)
