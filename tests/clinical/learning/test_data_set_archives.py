"""From a public data set's folder to a cohort: its table, its official split, its measured outcomes."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgfm.datasets import mimic_iv
from ecgfm.datasets.catalogue import find
from ecgfm_clinical.cli import app
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.dataset_tables import write_outcomes, write_recordings
from ecgfm_clinical.learning.cohort.archive import Archive
from ecgfm_clinical.learning.cohort.building import gather
from ecgfm_clinical.learning.cohort.labelling import Given
from ecgfm_clinical.learning.cohort.members import CohortRules, split_of
from ecgfm_clinical.learning.planning import table_labelling
from ecgfm_clinical.learning.research import COHORT, RULES
from ecgfm_clinical.settings import Learning
from tests.helpers import data_sets

pytestmark = pytest.mark.slow(7)

#: Before the shifted dates of the data sets, as the clock of whoever learns from them is.
NOW = datetime(2026, 11, 28, tzinfo=UTC)
LABELS = {
    "ptb-xl": "CD",
    "echonext": "lvef_lte_45_flag",
    "code-15": "AF",
    "chapman-shaoxing": "AFIB",
    "challenge-2021": "AF",
}
MAKERS: dict[str, Callable[[Path], Path]] = {
    "ptb-xl": data_sets.ptb_xl,
    "echonext": data_sets.echonext,
    "code-15": data_sets.code_15,
    "chapman-shaoxing": data_sets.chapman,
    "challenge-2021": data_sets.challenge,
}


def opened(name: str, folder: Path, table: Path) -> Archive:
    write_recordings(find(name).entries(folder), table)
    return Archive.open(folder, table)


@pytest.mark.parametrize("name", LABELS)
def test_the_table_of_a_data_set_opens_as_an_archive(name: str, tmp_path: Path) -> None:
    """Every recording is found, has its labels, and can be read and judged in the cohort."""
    folder = MAKERS[name](tmp_path / "published")
    archive = opened(name, folder, tmp_path / "table.csv")
    entries = list(find(name).entries(folder))
    rows = archive.rows()
    assert archive.missing == 0
    assert [row.split for row in rows] == [one.split for one in entries]
    assert len({row.patient for row in rows}) == len({one.patient for one in entries})
    labels = archive.labels([LABELS[name]])
    assert [labels[row.key] for row in rows] == [(one.labels[LABELS[name]],) for one in entries]
    given = Given(table=labels, labels=(LABELS[name],), source="table", meaning="As given.")
    cohort = gather(archive, given, COHORT, RULES, as_of=NOW)
    assert len(cohort.members) == len(rows)
    for row in rows:
        signal = archive.ecg(row.key).signal
        assert signal.shape == (12, row.samples)
        assert np.isfinite(signal).all()


def test_the_official_split_holds_and_others_are_by_patient(tmp_path: Path) -> None:
    folder = data_sets.ptb_xl(tmp_path / "published", patients=20)
    given = Given(table={}, labels=("CD",), source="", meaning="")
    for archive in (
        opened("ptb-xl", folder, tmp_path / "table.csv"),
        Archive.open(folder, folder / "ptbxl_database.csv"),  # as published, strat_fold is the split
    ):
        table = {row.key: (0.0,) for row in archive.rows()}
        cohort = gather(
            archive, Given(table=table, labels=given.labels, source="", meaning=""), COHORT, RULES, as_of=NOW
        )
        by_key = {row.key: row.split for row in archive.rows()}
        assert {one.example.key: one.split for one in cohort.members} == by_key
        assert set(by_key.values()) == {"train", "validation", "test"}
    unsplit = opened("chapman-shaoxing", data_sets.chapman(tmp_path / "chapman"), tmp_path / "chapman.csv")
    table = {row.key: (0.0,) for row in unsplit.rows()}
    cohort = gather(unsplit, Given(table=table, labels=("x",), source="", meaning=""), COHORT, RULES, as_of=NOW)
    assert [one.split for one in cohort.members] == [split_of([one.example.patient]) for one in cohort.members]


def test_a_patient_in_two_splits_is_an_error(tmp_path: Path) -> None:
    folder = data_sets.ptb_xl(tmp_path / "published")
    table = tmp_path / "table.csv"
    opened("ptb-xl", folder, table)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    rows[0]["split"] = "test"
    data_sets.write_csv(table, [list(rows[0]), *[list(row.values()) for row in rows]])
    with pytest.raises(InputError, match="column split puts recordings of one patient into two splits"):
        Archive.open(folder, table)
    rows[0]["split"] = "sometimes"
    data_sets.write_csv(table, [list(rows[0]), *[list(row.values()) for row in rows]])
    with pytest.raises(InputError, match="column split holds 'sometimes'"):
        Archive.open(folder, table)


def test_mimic_results_label_its_ecgs_by_the_rules_of_the_heads(tmp_path: Path) -> None:
    """Nearest echo within 7 days, at or below 40 %; troponin above the limit that the laboratory reports; and the 17
    interpretation labels from the cart's words.
    """
    folder = data_sets.mimic_iv_ecg(tmp_path / "ecg")
    table = tmp_path / "table.csv"
    write_recordings(find("mimic-iv-ecg").entries(folder), table)
    troponins = mimic_iv.laboratory(data_sets.mimic_iv(tmp_path / "iv"), mimic_iv.TROPONIN_T, kind="troponin")
    echo, laboratory = tmp_path / "lvef.csv", tmp_path / "troponin.csv"
    assert write_outcomes(mimic_iv.ejection_fractions(data_sets.mimic_iv_echo(tmp_path / "echo")), echo) == 3
    assert write_outcomes(troponins, laboratory) == 3
    rules = CohortRules(min_age=None, serial="all")
    found = {}
    for head, outcomes in (("reduced_lvef", echo), ("troponin", laboratory), ("interpretation", None)):
        archive = Archive.open(folder, table, outcomes)
        cohort = gather(archive, table_labelling(archive, head, (), Learning()), rules, RULES, as_of=NOW)
        found[head] = {one.row.acquired_at: one.example.labels for one in cohort.members}
    first = datetime(2180, 7, 20, 8, 44, tzinfo=UTC)
    days = [first + timedelta(days=day) for day in range(3)]
    assert [found["reduced_lvef"][day] for day in days] == [(0.0,), (1.0,), (0.0,)]
    assert [found["troponin"][day] for day in days] == [(0.0,), (1.0,), (0.0,)]
    sinus, fibrillation = 1, 6
    assert [found["interpretation"][day][fibrillation] for day in days] == [0.0, 1.0, 0.0]
    assert [found["interpretation"][day][sinus] for day in days] == [1.0, 0.0, 1.0]


def test_heads_of_measured_results_need_the_results(tmp_path: Path) -> None:
    folder = data_sets.mimic_iv_ecg(tmp_path / "ecg")
    archive = opened("mimic-iv-ecg", folder, tmp_path / "table.csv")
    with pytest.raises(InputError, match="--outcomes"):
        table_labelling(archive, "reduced_lvef", (), Learning())
    (tmp_path / "bad.csv").write_text("patient_id,kind\n1,lvef\n")
    with pytest.raises(InputError, match=r"bad\.csv"):
        Archive.open(folder, tmp_path / "table.csv", tmp_path / "bad.csv").outcomes("lvef")


def test_the_commands_teach_check_and_write(tmp_path: Path) -> None:
    def run(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, [str(one) for one in ("dataset", *arguments)])
        return done.exit_code, done.output

    assert "echonext" in run("list")[1]
    told = run("show", "ptb-xl")[1]
    assert "CC BY 4.0" in told
    assert "doi:10.1038/s41597-020-0495-6" in told
    assert "physionet.org" in told
    folder = data_sets.ptb_xl(tmp_path / "published")
    code, told = run("check", "ptb-xl", folder)
    assert (code, "8 recordings of 4 patients" in told) == (0, True)
    assert run("table", "ptb-xl", folder, "--out", tmp_path / "table.csv")[0] == 0
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 9
    for path in folder.rglob("*_hr.*"):
        path.unlink()
    code, told = run("check", "ptb-xl", folder)
    assert (code, "8 of them are not in the folder" in told) == (1, True)
    assert (
        run("outcomes", "mimic-iv-troponin", data_sets.mimic_iv(tmp_path / "iv"), "--out", tmp_path / "t.csv")[0] == 0
    )
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 4
    given = ("outcomes", "mimic-iv-laboratory", tmp_path / "iv", "--item", "50971", "--out", tmp_path / "k.csv")
    assert run(*given, "--kind", "potassium")[0] == 0
    assert [line.split(",")[1] for line in (tmp_path / "k.csv").read_text().splitlines()[1:]] == ["potassium"] * 3
    assert run(*given)[0] == 1
    assert run("outcomes", "mimic-iv-troponin", tmp_path / "iv", "--kind", "x", "--out", tmp_path / "t.csv")[0] == 1
