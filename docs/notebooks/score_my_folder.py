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
# # Score my folder
#
# Every ECG of a folder, whatever its format (DICOM, WFDB, SCP-ECG, aECG, vendor XML, HL7), with one line for each
# label, and one for each file that gives no answer, with its reason. No store, no settings, nothing leaves this
# machine.
#
# The model that ships is a demonstration, **not for clinical use**.

# %%
import csv
import os
import tempfile
from pathlib import Path

import ecgfm
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.reading import read

# %% [markdown]
# What to score, and with what. Change it here, or set it in the environment.

# %% tags=["parameters"]
FOLDER = os.environ.get("ECG_FOLDER", "")  # of recordings; empty: two generated ones, and a file that is none
MODEL = os.environ.get("ECG_MODEL", "demo")  # a bundle folder, or the demonstration
OUT = Path(os.environ.get("ECG_OUT", "scores.csv"))

# %%
if FOLDER:
    folder = Path(FOLDER)
else:
    from ecgfm_connectors.testing import samples, wfdb_writer

    folder = Path(tempfile.mkdtemp())
    for name in ("one", "two"):
        for file, content in wfdb_writer.write_record(samples.sample_ecg(), name).items():
            (folder / file).write_bytes(content)
    (folder / "letter.txt").write_text("This is no ECG.")

# %% [markdown]
# ## Read
#
# The format is told by the content. What cannot be read, or must not be taken for a 12-lead ECG, is an error with a
# reason code; it goes into the table like everything else. A WFDB signal file comes in with its header.

# %%
ecgs, reasons = {}, {}
for path in sorted(one for one in folder.rglob("*") if one.is_file()):
    if path.suffix == ".dat" and path.with_suffix(".hea").is_file():
        continue
    try:
        found = read(path).ecgs
    except PayloadError as error:
        reasons[path.name] = error.code
        continue
    for number, ecg in enumerate(found):
        ecgs[path.name if len(found) == 1 else f"{path.name}#{number}"] = ecg
print(f"{len(ecgs)} ECGs in {folder}; no ECG: {reasons or 'none'}")

# %% [markdown]
# ## Score
#
# The predictor is opened once. An ECG's probabilities do not depend on what else is in the list. An ECG that the
# network cannot take (`too-short`, `nan-lead`, `constant-lead`) has reasons in place of probabilities.
#
# `Predictor` refuses only what cannot be computed. The rules by which a service leaves ECGs out (noise, exchanged
# electrodes, age, pacing) are those of `ecgfm-clinical predict`.

# %%
predictor = ecgfm.Predictor.from_bundle(MODEL, device="cpu")
records = [ecgfm.Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate) for ecg in ecgs.values()]
predictions = dict(zip(ecgs, predictor.predict(records), strict=True))

# %%
lines: list[tuple[str, str, str, str, str]] = [("file", "head", "label", "probability", "reason")]
for name, prediction in predictions.items():
    lines += [(name, "", "", "", code) for code in prediction.reasons]
    lines += [(name, one.head, one.label, f"{one.probability:.6f}", "") for one in prediction.heads]
lines += [(name, "", "", "", code) for name, code in reasons.items()]
with OUT.open("w", newline="", encoding="utf-8") as table:
    csv.writer(table).writerows(lines)
print(f"{len(lines) - 1} lines in {OUT}, by {predictor.model_name} ({predictor.model_id[:12]})")
for line in lines[:6]:
    print(*line, sep="\t")

# %% [markdown]
# A folder of millions: `ecgfm-clinical backfill run FOLDER --out scores` writes Parquet and goes on where it was
# killed.
