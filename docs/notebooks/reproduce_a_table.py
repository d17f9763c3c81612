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
# # Reproduce a table
#
# The table "Learning on real ECGs: five PTB-XL superclasses" of `model/BENCHMARKS.md`: out-of-fold AUROC by patient,
# with 95 % intervals, of a linear head on an encoder, beside the same head on random weights, age and sex, and a
# random forest.
#
# PTB-XL is open (doi:10.13026/kfzx-aw45). Unpack it and name the folder. What stands in that document was measured on
# 300 of its recordings and with version 1 of the demonstration model, so figures on the whole set, or with another
# model, will be others. Version 2 was pretrained on some of PTB-XL, and the published ECG-FM weights on all of it: an
# encoder that saw the recordings has an advantage that no split takes away.

# %%
import json
import os
import shlex
from pathlib import Path

from ecgfm_clinical.cli import app

# %% tags=["parameters"]
PTB_XL = os.environ.get("ECG_FOLDER", "")  # the folder with ptbxl_database.csv
TABLE = os.environ.get(
    "ECG_TABLE", "ptbxl_database.csv"
)  # in that folder, a row for each recording; of a part: its own
MODELS = shlex.split(
    os.environ.get("ECG_MODELS", "demo random-small")
)  # bundle folders, or random-small and random-base
FOLDS = int(os.environ.get("ECG_FOLDS", "5"))
OUT = Path(os.environ.get("ECG_OUT", "superclasses"))
if not PTB_XL:
    raise SystemExit("Name the unpacked PTB-XL: PTB_XL above, or ECG_FOLDER in the environment.")
folder = Path(PTB_XL)


# %%
def command(*words: object) -> int:
    """The exit code of one command, in the words of the command line."""
    return int(app([str(word) for word in words], standalone_mode=False) or 0)


# %% [markdown]
# ## Is the data set whole?
#
# Columns, folds, labels, and whether recordings lie where the table says. Wrong data is said here, not after an hour.

# %%
if TABLE == "ptbxl_database.csv":
    command("dataset", "check", "ptb-xl", folder)

# %% [markdown]
# ## Cross-validation
#
# Every patient is in one fold, and in the same one for every model: fold is a hash of the patient. Embeddings are
# kept in `OUT`, so a repeat costs little. With `demo` and 300 recordings: two minutes on two cores.

# %%
found = {}
for model in MODELS:
    command(
        "cross-validate", "--archive", folder, "--table", folder / TABLE, "--classes", folder / "scp_statements.csv",
        "--from", model, "--method", "linear", "--folds", FOLDS, "--out", OUT / Path(model).name,
    )  # fmt: skip
    (result,) = (OUT / Path(model).name).glob("*-linear.json")
    found[Path(model).name] = json.loads(result.read_text(encoding="utf-8"))

# %% [markdown]
# ## The table, as the document has it
#
# Age and sex and the forest know nothing of the encoder: they must be the same in every run.


# %%
def cell(figure: dict[str, float]) -> str:
    """A value with its interval."""
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


first = next(iter(found.values()))
baselines = [name for name in first["macro_auroc"] if name != "model"]
lines = [["", "positives", *baselines, *(f"linear, {name}" for name in found)]]
for label, own in first["labels"].items():
    cells = [cell(own["auroc"][name]) for name in baselines]
    cells += [cell(run["labels"][label]["auroc"]["model"]) for run in found.values()]
    lines.append([label, str(own["positives"]), *cells])
means = [first["macro_auroc"][name] for name in baselines] + [run["macro_auroc"]["model"] for run in found.values()]
lines.append(["mean", "", *(f"{one:.3f}" for one in means)])
lines.insert(1, ["---"] * len(lines[0]))
table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
(OUT / "table.md").write_text(table + "\n", encoding="utf-8")
print(table)
agree = all(
    run["labels"][label]["auroc"][name] == own["auroc"][name]
    for run in found.values()
    for label, own in first["labels"].items()
    for name in baselines
)
print(f"{first['ecgs']} ECGs of {first['patients']} patients; baselines {'agree' if agree else 'DIFFER'} between runs")
