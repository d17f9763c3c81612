"""Death within some days of the ECG: dates of ADT and tables, follow-up that is too short, dates that cannot be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecgfm_clinical import wiring
from ecgfm_clinical.cli import app
from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.learning.cohort.labelling import Labelled
from ecgfm_clinical.learning.cohort.mortality import Mortality
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.operate.setup import write_installation
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeRow
from ecgfm_connectors.testing import dicom_writer
from tests.helpers.fakes import make_ecg

pytestmark = [pytest.mark.slow(2), pytest.mark.usefixtures("quick_judging")]

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)
DECLARED = """
[[learning.heads]]
name = "mortality_30"
target = "Death from any cause within 30 days after the ECG."
kind = "death"
days = 30
"""


def installation(folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    """The settings of a site that keeps dates of death and learns from them."""
    settings = write_installation(folder)
    kept, declared = (part.replace(*change, 1) for part in ("[outcomes]\ndeaths = true  #", DECLARED))
    settings.write_text(settings.read_text().replace("[outcomes]", kept, 1) + declared)
    return settings


def event(days: float, value: float = 1.0, precision: str = "second") -> OutcomeRow:
    return OutcomeRow(
        key=f"k {days} {value}",
        patient="p",
        kind="death",
        status="final",
        value=value,
        unit="",
        observed_at=NOON + timedelta(days=days),
        observed_precision="day" if precision == "day" else "second",
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event(12)], 1.0),
        ([event(30)], 1.0),
        ([event(31)], 0.0),
        ([event(29.8, precision="day")], "outcome-undecided"),  # begins before the window ends, and ends after it
        ([event(-0.5, precision="day")], 1.0),  # the day of the ECG
        ([event(0, 0.0)], "follow-up"),
        ([event(29, 0.0)], "follow-up"),
        ([event(31, 0.0)], 0.0),
        ([], "follow-up"),
        ([event(-3)], "death-doubtful"),  # recorded after the death
        ([event(12), event(14, 0.0)], "death-doubtful"),  # seen after the death
        ([event(12), event(12.5, 0.0)], 1.0),
        ([event(12), event(20)], "death-doubtful"),  # two dates
        ([event(12), event(11.8, precision="day")], 1.0),  # one, told twice
    ],
)
def test_a_death_or_a_later_sign_of_life_gives_the_label(events: list[OutcomeRow], expected: float | str) -> None:
    rule = Mortality(name="x", target="X.", window=timedelta(days=30))
    row = EcgRow(
        key="e", patient="p", patient_keys=("p",), identified=True, acquired_at=NOON, sampling_rate=500.0, samples=5000
    )
    found = rule.label(row, events)
    assert (found.labels[0] if isinstance(found, Labelled) else found.code) == expected


def adt(control: str, number: str, date: str, indicator: str, *, event: str = "A08", retired: str = "") -> str:
    fields = [
        "PID",
        "1",
        "",
        f"{number}^^^TEST^MR",
        "",
        "TESTFAMILY^ONE",
        "",
        "19600517",
        "F",
        *[""] * 20,
        date,
        indicator,
    ]
    lines = [f"MSH|^~\\&|ADT|TEST|ECGFM|TEST|20260501100000+0000||ADT^{event}|{control}|P|2.5.1", "|".join(fields)]
    return "\r".join([*lines, *([f"MRG|{retired}^^^TEST^MR"] if retired else [])]) + "\r"


def test_deaths_come_by_adt_and_by_table_and_follow_merges(tmp_path: Path) -> None:
    """All ECGs were recorded on 2026-03-01 at 07:00; 1 to 7 are people of the authority TEST."""
    settings = installation(tmp_path / "site")
    inbox = tmp_path / "in"
    inbox.mkdir()
    for number in range(1, 8):
        (inbox / f"0{number}.dcm").write_bytes(dicom_writer.write_ecg(make_ecg(number)))
    messages = [
        adt("D1", "T1", "20260310", "Y"),
        adt("D2", "T1", "20260310", "Y"),  # said again: no further version
        adt("D3", "T2", "20260310", "Y"),
        adt("D4", "T2", "", "N"),  # a mistake
        adt("D5", "T3OLD", "20260311", "Y"),
        adt("D6", "T3", "", "", event="A40", retired="T3OLD"),
        adt("D7", "T4", "", "Y"),  # nobody knows when
        adt("D8", "T5", "20250101", "Y"),  # long before the ECG
        adt("D9", "T7", "", "N"),  # as of everyone who lives: nothing is kept
    ]
    for at, message in enumerate(messages):
        (inbox / f"1{at}.hl7").write_text(message, newline="")
    # The same number of another authority is another person: its death is not T7's.
    table = """patient_id,authority,kind,value,unit,observed_at
T6,TEST,death,0,,2026-04-15T00:00:00Z
T7,OTHER,death,1,,2026-03-10
"""
    (inbox / "20.csv").write_text(table)
    done = CliRunner().invoke(app, ["ingest", str(inbox), "--settings", str(settings)])
    assert done.exit_code == 0, done.output
    read = read_settings(settings)
    store = wiring.open_store(read)
    try:
        rows = store.cohorts.outcomes("death")
        assert sorted((row.value, row.status) for row in rows) == [
            (0.0, "final"), (0.0, "withdrawn"), *[(1.0, "final")] * 4,
        ]  # fmt: skip
        assert all(len(store.outcomes.versions(int(row.key.partition(":")[2]))) == 1 for row in rows if row.value == 1)
        assert {one.reason: one.number for one in store.outcomes.counts() if one.reason} == {"death-without-time": 1}
        shop = Workshop(settings=read, store=store, actor="test", clock=lambda: NOON)
        cohort, _ = shop.cohort("mortality_30", NOON)
        keys = [one.example.key for one in cohort.members]
        numbers = [one.patient.identifiers[0].value for one in store.cohorts.recordings(keys)]
        labels = dict(zip(numbers, (one.example.labels[0] for one in cohort.members), strict=True))
        assert labels == {"T1": 1.0, "T3": 1.0, "T6": 0.0}
        left_out = {step.code: step.excluded for step in cohort.steps if step.excluded}
        assert left_out == {"follow-up": 3, "death-doubtful": 1}  # T2, T4 and T7; T5
        assert cohort.rules.labelling["window_days"] == 30
    finally:
        store.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("deaths = true", "deaths = false"), "set outcomes.deaths = true"),
        (("days = 30", ""), "days belongs to a head of kind death, which needs it"),
        (("days = 30", "days = 30\nthreshold = 1"), "leave out threshold and positive"),
        (('kind = "death"', 'kind = "lvef"\nthreshold = 35'), "days belongs to a head of kind death"),
    ],
)
def test_a_head_that_could_learn_from_no_death_is_named(change: tuple[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        read_settings(installation(tmp_path / "site", change))
