"""The conformance suite as a command: write the golden files, or check a reader against them.

    python -m tests.connectors.golden.conformance write FOLDER
    python -m tests.connectors.golden.conformance check [--reader 'COMMAND {file} {npz}']

A reader is any program that reads `{file}` and writes `{npz}` with `signal` (12 × samples, mV, rows I II III aVR aVL
aVF V1–V6, NaN where there is no sample) and `sampling_rate` (Hz), or leaves it out and exits non-zero where it refuses.
Without `--reader`, this package is checked. The messages and structured reports named `outcome-…` hold measured
outcomes; what each must give stands in `outcomes.json`.
"""

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC
from pathlib import Path

import numpy as np

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.reading import read
from tests.connectors.golden.cases import Case, Signal, cases
from tests.connectors.golden.outcome_cases import outcome_cases

#: Every golden signal is a whole number of 5 µV steps; a right reader is off by rounding alone (mV).
TOLERANCE = 2e-5
_CONTEXT = ReadingContext(default_authority="GOLDEN", zone=UTC)

#: The verdict on a reader's output for one case: empty where the output is right, else what is wrong with it.
Verdict = str
Reader = Callable[[Case], Verdict]


def manifest_entry(case: Case) -> dict[str, str | float | None]:
    """What the manifest says of one file."""
    return {
        "shows": case.shows,
        "refusal": case.refusal or None,
        "sampling_rate": case.sampling_rate if case.signal is not None else None,
        "signal_sha256": _signal_digest(case.signal) if case.signal is not None else None,
    }


def _signal_digest(signal: Signal) -> str:
    """Over the signal in whole tenths of µV, so that float rounding does not count; NaN as a number out of range."""
    tenths = np.where(np.isnan(signal), -(2.0**62), np.rint(signal.astype(np.float64) * 1e4))
    return hashlib.sha256(tenths.astype("<i8").tobytes()).hexdigest()


def write(folder: Path) -> int:
    """The files, each read one's signal as .npz beside it, and manifest.json. Returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {}
    for case in cases():
        (folder / case.name).write_bytes(case.content)
        manifest[case.name] = manifest_entry(case)
        if case.signal is not None:
            np.savez_compressed(folder / f"{case.name}.npz", signal=case.signal, sampling_rate=case.sampling_rate)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    measured = {}
    for one in outcome_cases():
        (folder / one.name).write_bytes(one.content)
        measured[one.name] = {"shows": one.shows, "outcomes": [asdict(found) for found in one.outcomes]}
    (folder / "outcomes.json").write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return len(manifest)


def read_with_this_package(case: Case) -> Verdict:
    """Whether `reading.read` gives the signal, or the refusal with its reason."""
    try:
        found = read(case.content, _CONTEXT).ecgs
    except PayloadError as error:
        return "" if error.code == case.refusal else f"refused as {error.code}"
    if len(found) != 1:
        return f"{len(found)} ECGs"
    return compare(case, found[0].signal, found[0].sampling_rate)


def read_with(command: str) -> Reader:
    """A reader that is another program; of a refusal only the fact is checked, not the reason."""

    def run(case: Case) -> Verdict:
        with tempfile.TemporaryDirectory() as folder:
            file, npz = Path(folder) / case.name, Path(folder) / "out.npz"
            file.write_bytes(case.content)
            words = [word.replace("{file}", str(file)).replace("{npz}", str(npz)) for word in shlex.split(command)]
            done = subprocess.run(words, capture_output=True, check=False, timeout=120)
            if done.returncode != 0 or not npz.exists():
                return "" if case.refusal else f"refused (exit code {done.returncode})"
            with np.load(npz) as arrays:
                return compare(case, arrays["signal"], float(arrays["sampling_rate"]))

    return run


def compare(case: Case, signal: Signal, sampling_rate: float) -> Verdict:
    """What is wrong with a signal that was read."""
    if case.signal is None:
        return f"read, though it is to be refused ({case.refusal})"
    if signal.shape != case.signal.shape:
        return f"shape {signal.shape} instead of {case.signal.shape}"
    if abs(sampling_rate - case.sampling_rate) > 1e-6:
        return f"{sampling_rate} Hz instead of {case.sampling_rate}"
    if not np.array_equal(np.isnan(signal), np.isnan(case.signal)):
        return "samples are missing where there are some, or there where none are"
    worst = float(np.nanmax(np.abs(signal - case.signal)))
    return "" if worst <= TOLERANCE else f"off by up to {worst:.6f} mV"


def check(reader: Reader) -> int:
    """Print one line a case. Returns the number of failures."""
    failures = 0
    for case in cases():
        wrong = reader(case)
        failures += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok':4}  {case.name:32} {wrong or case.shows}")
    print(f"{failures} failures")
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="tests.connectors.golden.conformance", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help="write the golden files").add_argument("folder", type=Path)
    commands.add_parser("check", help="check a reader").add_argument("--reader", help="a command with {file} and {npz}")
    options = parser.parse_args(arguments)
    if options.command == "write":
        print(f"{write(options.folder)} files and manifest.json in {options.folder}")
        return 0
    return 1 if check(read_with(options.reader) if options.reader else read_with_this_package) else 0


if __name__ == "__main__":
    sys.exit(main())
