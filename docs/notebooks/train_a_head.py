# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train a head in an hour
#
# From a folder of recordings and a table of labels to a head that was judged on patients it never saw, with its
# report. The hour is for some thousands of ECGs on a laptop; the generated example below takes less than a minute.

# %%
import csv
import json
import os
import tempfile
from pathlib import Path

import numpy as np

import ecgfm
from ecgfm_clinical.cli import app

# %% [markdown]
# The table has a row for each recording: its file (`recording`), its patient (`patient`), and a column of 0 and 1 for
# each label; `age`, `sex`, `site`, `device` and `split` are used where they are there. Patients are never on both
# sides of a split.

# %% tags=["parameters"]
FOLDER = os.environ.get("ECG_FOLDER", "")  # of recordings; empty: generated ones
TABLE = os.environ.get("ECG_TABLE", "")  # the CSV or Parquet of labels
LABEL = os.environ.get("ECG_LABEL", "arms_exchanged")  # its column
MODEL = os.environ.get("ECG_MODEL", "demo")  # whose encoder to start from
METHOD = os.environ.get("ECG_METHOD", "linear")  # auto compares linear, lora and full within a budget
OUT = Path(os.environ.get("ECG_OUT", "trained"))


# %% [markdown]
# Without a folder: the 28 generated recordings that ship, each five times with other noise as another invented
# person. In every second one the arm electrodes are exchanged, which turns lead I over and exchanges II with III and
# aVR with aVL. The label is easy on purpose, and the figures mean nothing: persons who share a recording lie on both
# sides of the split.


# %%
def generated(root: Path) -> tuple[Path, Path]:
    """A folder of recordings and its table."""
    from ecgfm_clinical.shipped import recordings

    noise = np.random.default_rng(1)
    rows: list[tuple[object, ...]] = [("recording", "patient", "age", "sex", "arms_exchanged")]
    for number in range(5 * recordings.count()):
        signal = recordings.load(number % recordings.count())
        signal = signal + noise.normal(0, 0.02, signal.shape)
        exchanged = number // recordings.count() % 2 if number % 3 else number % 2
        if exchanged:
            signal = signal[[0, 2, 1, 4, 3, 5, 6, 7, 8, 9, 10, 11]] * np.array([-1] + 11 * [1])[:, None]
        np.savez(root / f"{number:03}.npz", signal=signal.astype(np.float32), sampling_rate=500)
        rows.append((f"{number:03}.npz", f"person {number}", 30 + number % 50, "FM"[number % 2], exchanged))
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return root, root / "labels.csv"


folder, labels = (Path(FOLDER), Path(TABLE)) if FOLDER else generated(Path(tempfile.mkdtemp()))

# %% [markdown]
# ## Look before training
#
# What cannot be used stands in `left_out` with its reason: too short, a constant lead, damaged. Read it before
# anything is learnt.

# %%
data = ecgfm.RecordingDataset.manifest(labels, folder, [LABEL])
print(f"{len(data.keys)} recordings can be used, {len(data.left_out)} cannot")
for left in data.left_out[:10]:
    print(left.key, left.reason)


# %% [markdown]
# ## Train and judge
#
# These are the words of the command line, so that a terminal or a job scheduler can run the same. One command makes
# the cohort, splits by patient, trains, calibrates across folds, and judges on the test patients beside age and sex,
# random weights and a random forest. Killed, it goes on where it was. The exit code is 1 where the gate refuses, and
# the report says why; a refusal is a result.


# %%
def command(*words: object) -> int:
    """The exit code of one command."""
    return int(app([str(word) for word in words], standalone_mode=False) or 0)


code = command(
    "retrain", "my_head", "--archive", folder, "--table", labels, "--label", LABEL, "--from", MODEL, "--method", METHOD,
    "--out", OUT,
)  # fmt: skip
print("exit code", code)

# %% [markdown]
# ## What came out
#
# `report.html` is for people, `report.json` holds the same figures with 95 % intervals, `predictions.csv` a line for
# each test recording. The bundle is what `Predictor` and `ecgfm-clinical predict --model` take.

# %%
(report,) = OUT.glob("runs/**/report.json")
figures = json.loads(report.read_text(encoding="utf-8"))["labels"][LABEL]["metrics"]
auroc = figures["auroc"]
print(f"{LABEL}: AUROC {auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f})")
print("read", report.with_suffix(".html"))

# %%
(bundle,) = (path.parent for path in OUT.glob("bundles/*/bundle.json"))
trained = ecgfm.Predictor.from_bundle(bundle, device="cpu")
print(bundle, {head: labels for head, labels in trained.labels.items() if head == "my_head"})

# %% [markdown]
# Judge it next on recordings of another place: `ecgfm-clinical evaluate my_head --archive OTHER --table other.csv
# --label COLUMN --model BUNDLE --out JUDGED`.
