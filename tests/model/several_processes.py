"""Trainings in processes that are killed, or are two: one process loads the libraries and then forks the others.

    python several_processes.py JOB.json

The job names recipe, shards and folders (`Job`). First a pretraining run is made that kills its own process. Then two
processes, told of each other by torchrun's environment variables, pretrain (data parallel, then sharded, which is
stopped and goes on) and fine-tune together; the first one writes the weights of the latter. Exit codes are printed, a
line each. Real torchrun starts the processes of tests/clinical/learning/test_commands.py.
"""

import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ecgfm.finetuning import train
from ecgfm.pretraining.figures import Progress
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.run import pretrain
from ecgfm.pretraining.shards import ShardSet
from tests.helpers import planted
from tests.helpers.tiny_models import tiny_network

#: What the trainings load when they first need it, loaded once for all of them.
LOADED = ("lightning.fabric", "torch._dynamo", "torch.utils.tensorboard", "ecgfm.training.sharding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be made, and where."""

    recipe: str
    shards: str
    folder: str  #: gets `killed`, `ddp`, `sharded`, `two` and `together.pt`
    kill_after: int  #: updates
    half: int  #: updates after which the two processes end
    port: int  #: at which they meet

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def forked(work: Callable[[], None], **environment: object) -> int:
    """The number of a process that does `work`, and ends as any other program does."""
    number = os.fork()
    if number:
        return number
    os.environ.update({name: str(value) for name, value in environment.items()})
    work()
    sys.exit(0)


def report_exit(number: int) -> None:
    print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)


def killed(job: Job) -> None:
    def report(progress: Progress) -> None:
        if progress.update >= job.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    recipe, shards = Recipe.read(Path(job.recipe)), ShardSet.open(Path(job.shards))
    pretrain(recipe, shards, Path(job.folder) / "killed", machine=Machine(accelerator="cpu"), report=report)


def together(job: Job) -> None:
    recipe, shards, folder = Recipe.read(Path(job.recipe)), ShardSet.open(Path(job.shards)), Path(job.folder)
    for name, last in (("ddp", job.half), ("sharded", job.half - 1), ("sharded", job.half)):
        machine = Machine.from_environment(os.environ, accelerator="cpu", fsdp=name == "sharded")
        pretrain(recipe, shards, folder / name, machine=machine, max_updates=last)
    trained = train.fine_tune(
        tiny_network(),
        planted.SPEC,
        planted.SPLIT,
        planted.record_of,
        planted.settings_of_one_epoch(devices=2),
        folder=folder / "two",
    )
    if int(os.environ["RANK"]) == 0:
        torch.save(trained.network.state_dict(), folder / "together.pt")


def main(job: Job) -> None:
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # a collection would make copies of all its pages
    report_exit(forked(lambda: killed(job)))
    pair = [
        forked(
            lambda: together(job),
            RANK=rank,
            LOCAL_RANK=rank,
            GROUP_RANK=0,
            WORLD_SIZE=2,
            LOCAL_WORLD_SIZE=2,
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=job.port,
            TORCHELASTIC_RUN_ID="tests",
        )
        for rank in (0, 1)
    ]
    for number in pair:
        report_exit(number)


if __name__ == "__main__":
    main(Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
