"""The folder of one training run: asked for again after a kill, it goes on as of the same moment with the same ECGs."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from ecgfm_clinical.learning.documents import Notes, write_json

RUN = "run.json"
FINISHED = "finished.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, new or to be continued."""

    folder: Path
    as_of: datetime  #: what was received later is not looked at
    resumed: bool

    def finish(self, told: Notes) -> None:
        """From now on the same options start a new run."""
        write_json(self.folder / FINISHED, told)


def begin(runs: Path, options: Notes, *, now: datetime) -> Run:
    """The unfinished run with these very options, or a new one as of now.

    Raises LearningError where the disk refuses.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode()).hexdigest()
    for path in sorted(runs.glob(f"*/{RUN}")):
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["digest"] == digest and not (path.parent / FINISHED).exists():
            return Run(folder=path.parent, as_of=datetime.fromisoformat(told["as_of"]), resumed=True)
    name = f"{options['head']}-{options['method']}-{now:%Y%m%dT%H%M%S}-{digest[:8]}"
    folder = next(
        path for number in count(1) if not (path := runs / (name if number == 1 else f"{name}-{number}")).exists()
    )
    write_json(folder / RUN, {"digest": digest, "as_of": now.isoformat(), "options": options})
    return Run(folder=folder, as_of=now, resumed=False)
