"""Official layouts of public data sets, each on a small generated folder of the same layout."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgfm.datasets import mimic_iv
from ecgfm.datasets.catalogue import DATA_SETS, find
from ecgfm.datasets.checking import check
from ecgfm.errors import DataError
from ecgfm.recording_files import RecordingFolder
from tests.helpers import data_sets

pytestmark = pytest.mark.slow(9)

MAKERS: dict[str, Callable[[Path], Path]] = {
    "ptb-xl": data_sets.ptb_xl,
    "mimic-iv-ecg": data_sets.mimic_iv_ecg,
    "echonext": data_sets.echonext,
    "code-15": data_sets.code_15,
    "chapman-shaoxing": data_sets.chapman,
    "challenge-2021": data_sets.challenge,
}


@pytest.mark.parametrize("name", [one.name for one in DATA_SETS])
def test_every_data_set_is_checked_in_its_own_layout(name: str, tmp_path: Path) -> None:
    """Nothing is missing, what was tried can be read, and one missing recording is named."""
    folder = MAKERS[name](tmp_path / "published")
    found = check(find(name), folder)
    assert found.good
    assert (found.missing, found.in_two_splits, found.problems) == (0, 0, ())
    assert found.recordings == len(list(find(name).entries(folder)))
    assert sum(found.splits.values()) == found.recordings
    headers = sorted(folder.rglob("*.hea"))
    if headers and name != "chapman-shaoxing" and name != "challenge-2021":  # their headers are the list
        headers[0].unlink()
        assert check(find(name), folder).missing == 1


def test_ptb_xl_has_its_folds_classes_and_hidden_ages(tmp_path: Path) -> None:
    found = list(find("ptb-xl").entries(data_sets.ptb_xl(tmp_path, patients=20)))
    assert [one.split for one in found[::4]] == ["train"] * 8 + ["validation", "test"]
    assert found[0].labels == {"NORM": 1.0, "MI": 0.0, "STTC": 0.0, "CD": 0.0, "HYP": 0.0}
    assert found[2].labels["CD"] == 1.0
    assert (found[0].age, found[2].age) == (None, 51.0)
    assert (found[0].sex, found[2].sex) == ("M", "F")
    assert found[2].patient == "1"
    assert found[2].codes == ("SCP:CRBBB", "SCP:SR")


def test_mimic_joins_the_carts_words_whatever_the_order(tmp_path: Path) -> None:
    folder = data_sets.mimic_iv_ecg(tmp_path)
    first = list(find("mimic-iv-ecg").entries(folder))
    assert [one.statements[0] for one in first] == ["Sinus rhythm", "Atrial fibrillation", "Sinus rhythm"]
    assert (first[0].patient, first[0].recorded_at, first[0].device) == ("10000000", "2180-07-20T08:44:00", "6848296")
    path = folder / "machine_measurements.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    assert list(find("mimic-iv-ecg").entries(folder)) == first
    path.write_text("\n".join([head, *rows[1:]]) + "\n")  # the cart's report of one study is not there
    assert next(iter(find("mimic-iv-ecg").entries(folder))).statements == ()


def test_mimic_recordings_are_read_by_the_names_of_their_leads(tmp_path: Path) -> None:
    """The data set writes aVF before aVL."""
    folder = data_sets.mimic_iv_ecg(tmp_path)
    entry = next(iter(find("mimic-iv-ecg").entries(folder)))
    signal = RecordingFolder(root=folder).read(entry.recording).signal
    stored = data_sets.tracing(0, 5000)
    np.testing.assert_allclose(signal[[4, 5]], stored[[5, 4]], atol=6e-4)


def test_mimic_outcomes_say_what_the_tables_say(tmp_path: Path) -> None:
    troponins = list(mimic_iv.laboratory(data_sets.mimic_iv(tmp_path), mimic_iv.TROPONIN_T, kind="troponin"))
    assert [(one.comparator, one.value, one.unit, one.upper_reference_limit) for one in troponins] == [
        ("<", 0.01, "ng/mL", 0.01),
        ("", 0.35, "ng/mL", 0.01),
        ("<", 0.01, "ng/mL", 0.01),
    ]
    potassium = list(mimic_iv.laboratory(tmp_path, ["50971"], kind="potassium"))
    assert [(one.kind, one.value, one.unit, one.assay) for one in potassium] == [("potassium", 4.2, "mEq/L", "")] * 3
    fractions = list(mimic_iv.ejection_fractions(data_sets.mimic_iv_echo(tmp_path / "echo")))
    assert [(one.value, one.assay) for one in fractions] == [(60.0, ""), (35.0, "biplane"), (58.0, "")]


def test_echonext_rows_are_counted_within_their_split(tmp_path: Path) -> None:
    folder = data_sets.echonext(tmp_path)
    found = list(find("echonext").entries(folder))
    assert [one.recording for one in found[2:4]] == ["EchoNext_val_waveforms.npy#0", "EchoNext_val_waveforms.npy#1"]
    assert [one.split for one in found] == ["train", "train", "validation", "validation", "test", "test"]
    assert found[3].labels["lvef_lte_45_flag"] == 1.0
    read = RecordingFolder(root=folder).read(found[3].recording)
    assert (read.signal.shape, read.sampling_rate, read.in_millivolts) == ((12, 2500), 250.0, False)
    np.testing.assert_allclose(read.signal, data_sets.tracing(5, 2500))


def test_code_15_is_without_its_padding_and_its_empty_row(tmp_path: Path) -> None:
    folder = data_sets.code_15(tmp_path)
    found = list(find("code-15").entries(folder))
    assert [one.samples for one in found] == [4096, 2934, 4096]
    assert [one.labels["AF"] for one in found] == [0.0, 1.0, 0.0]
    assert found[1].recording == "exams_part0.hdf5#1"
    assert RecordingFolder(root=folder).read(found[1].recording).signal.shape == (12, 2934)


def test_diagnoses_in_headers_become_labels(tmp_path: Path) -> None:
    first, second = find("chapman-shaoxing").entries(data_sets.chapman(tmp_path / "chapman"))
    assert (first.labels, first.age, first.sex) == ({"AFIB": 0.0, "SR": 1.0}, None, "F")
    assert second.labels == {"AFIB": 1.0, "SR": 0.0}
    assert second.codes == ("SNOMED:164889003", "SNOMED:59118001")
    first, second = find("challenge-2021").entries(data_sets.challenge(tmp_path / "challenge"))
    assert first.labels == {"AF": 1.0, "RBBB": 0.0}
    assert second.labels == {"AF": 0.0, "RBBB": 1.0}  # the complete block is scored as the block
    assert (second.site, second.patient) == ("cpsc_2018", "cpsc_2018/g1/A0002")


@pytest.mark.parametrize(
    ("name", "file", "column", "words"),
    [
        ("ptb-xl", "ptbxl_database.csv", "strat_fold", "no column strat_fold"),
        ("ptb-xl", "scp_statements.csv", "diagnostic_class", "no column diagnostic_class"),
        ("mimic-iv-ecg", "record_list.csv", "path", "no column path"),
        ("mimic-iv-ecg", "machine_measurements.csv", "report_3", "no column report_3"),
        ("echonext", "echonext_metadata_100k.csv", "pasp_gte_45_flag", "no column pasp_gte_45_flag"),
        ("code-15", "exams.csv", "patient_id", "no column patient_id"),
        ("chapman-shaoxing", "ConditionNames_SNOMED-CT.csv", "Snomed_CT", "no column Snomed_CT"),
        ("challenge-2021", "dx_mapping_scored.csv", "Abbreviation", "no column Abbreviation"),
    ],
)
def test_what_is_missing_is_named_by_file_and_column(
    name: str, file: str, column: str, words: str, tmp_path: Path
) -> None:
    folder = MAKERS[name](tmp_path / "published")
    path = folder / file
    rows = list(csv.DictReader(path.read_text().splitlines()))
    kept = [one for one in rows[0] if one != column]
    data_sets.write_csv(path, [kept, *[[row[one] for one in kept] for row in rows]])
    with pytest.raises(DataError, match=words) as raised:
        check(find(name), folder)
    assert file in str(raised.value)
    path.unlink()
    with pytest.raises(DataError, match=file):
        check(find(name), folder)


@pytest.mark.parametrize(
    ("name", "file", "column", "value", "words"),
    [
        ("ptb-xl", "ptbxl_database.csv", "strat_fold", "11", "column strat_fold holds '11'"),
        ("ptb-xl", "ptbxl_database.csv", "scp_codes", "NORM", "column scp_codes"),
        ("mimic-iv-ecg", "record_list.csv", "ecg_time", "yesterday", "column ecg_time"),
        ("echonext", "echonext_metadata_100k.csv", "split", "holdout", "column split holds 'holdout'"),
        ("code-15", "exams.csv", "AF", "maybe", "column AF holds 'maybe'"),
        ("code-15", "exams.csv", "exam_id", "999", "lacks an exam of exams_part0.hdf5, row 0"),
    ],
)
def test_a_value_that_cannot_be_is_named_by_file_and_column(
    name: str, file: str, column: str, value: str, words: str, tmp_path: Path
) -> None:
    folder = MAKERS[name](tmp_path / "published")
    path = folder / file
    rows = list(csv.DictReader(path.read_text().splitlines()))
    rows[0][column] = value
    data_sets.write_csv(path, [list(rows[0]), *[list(row.values()) for row in rows]])
    with pytest.raises(DataError, match=words):
        check(find(name), folder)


def test_other_arrays_in_a_folder_are_no_recordings(tmp_path: Path) -> None:
    """Embeddings and labels lie beside recordings as .npy too."""
    data_sets.echonext(tmp_path)
    np.save(tmp_path / "embeddings.npy", np.zeros((5, 128)))
    np.save(tmp_path / "labels.npy", np.zeros(5))
    keys = RecordingFolder(root=tmp_path).keys()
    assert keys == [f"EchoNext_{split}_waveforms.npy#{row}" for split in ("test", "train", "val") for row in (0, 1)]
