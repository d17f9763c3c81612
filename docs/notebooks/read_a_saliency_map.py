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
# # Read a saliency map
#
# Where in the ECG did the network look? Three ways to ask, and the checks that a map must pass before anybody reads
# something into it.
#
# **What no map shows**: why a probability is high, whether what is marked is disease, what a cardiologist would look
# at. It shows where the output depends on the signal, or what the network attended to.

# %%
import os
from pathlib import Path

import ecgfm
from ecgfm.explain import METHODS, STEPS, explain, explain_leads
from ecgfm.saliency_checks import check, randomised
from ecgfm.signal import LEADS
from ecgfm_clinical.ecg.beat_weights import NOT_SHOWN, beat_weights
from ecgfm_clinical.ecg.overlays import LeadWeights
from ecgfm_connectors.reading import read

# %% tags=["parameters"]
FILE = os.environ.get("ECG_FILE", "")  # one ECG; empty: a generated one that ships
MODEL = os.environ.get("ECG_MODEL", "demo")
HEAD = os.environ.get("ECG_HEAD", "reduced_lvef")
LABEL = os.environ.get("ECG_LABEL", "reduced_lvef")
PICTURE = Path(os.environ.get("ECG_PICTURE", "saliency.png"))

# %%
if FILE:
    (ecg,) = read(Path(FILE)).ecgs
    record = ecgfm.Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate)
else:
    from ecgfm_clinical.shipped import recordings

    record = ecgfm.Record(signal=recordings.load(0), sampling_rate=recordings.SAMPLING_RATE)
signal, rate = record.signal, record.sampling_rate
network = ecgfm.load(MODEL)

# %% [markdown]
# ## Three maps
#
# * `attention`: the last layer's, as in the paper. It knows no label: the map is the same whichever answer is
#   explained.
# * `rollout`: attention through all layers (Abnar and Zuidema 2020). It knows no label either.
# * `gradient`: gradient × input of one label's logit.
#
# Attention is a distribution within each 5 s segment, so each segment has its own scale: never compare the shading of
# two segments.

# %%
maps = {name: explain(network, signal, rate, method=method, label=LABEL) for name, method in METHODS.items()}
for name, found in maps.items():
    darkest = found.seconds[found.weights.argmax()]
    print(f"{name:10} is darkest at {darkest:.2f} s")

# %% [markdown]
# ## Is it a map of the model at all?
#
# * *Randomised weights* (Adebayo et al. 2018): with random weights in its place the map must become another one. A
#   map that stays the same draws the ECG, not the model.
# * *Deletion and insertion* (Petsiuk et al. 2018): flattening what the map marks must change the answer sooner than
#   flattening in random order, and putting it back must restore the answer sooner.

# %%
checks = {name: check(network, signal, rate, method=method, label=LABEL) for name, method in METHODS.items()}
for name, one in checks.items():
    kept = list(one.randomised.values())[-1]
    print(
        f"{name:10} rank correlation with a random network {kept:+.2f}; "
        f"deletion {one.deletion:.3f} against {one.deletion_random:.3f} in random order; "
        f"insertion {one.insertion:.3f} against {one.insertion_random:.3f}"
    )

# %%
for name, one in checks.items():
    if one.depends_on_the_weights and one.is_faithful:
        print(f"{name}: shows where this model's answer depends on this ECG, and no more than that")
    elif one.depends_on_the_weights:
        print(f"{name}: is of this model, but the answer does not hang on what it marks: read nothing into it")
    else:
        print(f"{name}: looks much the same for a random network: it draws the ECG, read nothing into it")

# %% [markdown]
# ## Lead by lead
#
# The gradient has a weight for each lead and each 40 ms (one millimetre of paper at 25 mm/s). The share of a lead is
# how much of the whole lies in it; a lead of larger amplitude has more, because the gradient is multiplied by the
# input.

# %%
leads = explain_leads(network, signal, rate, head=HEAD, label=LABEL)
share = leads.weights.sum(axis=1) / leads.weights.sum()
print(", ".join(f"{lead} {one:.0%}" for lead, one in zip(LEADS, share, strict=True)))

# %% [markdown]
# ## Beat by beat
#
# The same weights, summed over each heartbeat (from two thirds of one interval between R peaks to two thirds of the
# next, so P, QRS and T count alike). Beside the model's shares stand those of the wholly random network of the first
# check: where the two are alike, the share says how large the beat's waves are, and nothing of the model.

# %%
beats = beat_weights(signal, rate, LeadWeights(weights=leads.weights, per_second=STEPS))
nobody = explain_leads(randomised(network), signal, rate, head=HEAD, label=LABEL)
by_chance = beat_weights(signal, rate, LeadWeights(weights=nobody.weights, per_second=STEPS))
for beat, other in zip(beats, by_chance, strict=True):
    most = max(range(len(LEADS)), key=lambda lead: beat.leads[lead])
    print(f"beat at {beat.at:5.2f} s: {beat.share:4.0%}, most in {LEADS[most]:3}; random network {other.share:4.0%}")
print(NOT_SHOWN)

# %%
from matplotlib.figure import Figure  # a notebook imports where it first draws

figure = Figure(figsize=(12, 7), layout="constrained")
axes = figure.subplots(len(maps), sharex=True)
lead_two = signal[LEADS.index("II")]
for axis, (name, found) in zip(axes, maps.items(), strict=True):
    weights = found.at(signal.shape[1], rate)
    seconds = [number / rate for number in range(signal.shape[1])]
    axis.plot(seconds, lead_two, color="black", linewidth=0.6)
    axis.imshow(
        weights[None, :], extent=(0, seconds[-1], *axis.get_ylim()), aspect="auto", cmap="Oranges", alpha=0.7, zorder=0
    )
    axis.set_ylabel(f"{name}\nlead II, mV")
axes[-1].set_xlabel("seconds")
figure.suptitle(f"{LABEL}: where the network looked, not why. The model is no device; not for clinical use")
figure.savefig(PICTURE)
print("drawn in", PICTURE)
