"""Run by torchrun from test_train.py: the same fine-tuning on two CPU processes, its result written for comparison."""

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ecgfm.finetuning import train
from tests.helpers.tiny_models import tiny_network

here = importlib.util.spec_from_file_location("test_train", Path(__file__).parent / "test_train.py")
assert here is not None
assert here.loader is not None
shared = importlib.util.module_from_spec(here)
here.loader.exec_module(shared)

folder = Path(sys.argv[1])
settings = replace(shared.QUICK, activation_dropout=0.0, max_epochs=1, devices=2)
trained = train.fine_tune(tiny_network(), shared.SPEC, shared.SPLIT, shared.record_of, settings, folder=folder / "two")
if int(os.environ["RANK"]) == 0:
    torch.save(trained.network.state_dict(), folder / "together.pt")
