"""The two texts of an export: what the recipient reads beside the files, and the report that stays here."""

from collections.abc import Iterator, Sequence

from ecgfm_clinical.deidentification.remains import Remains

_FORMS = {
    "wfdb": "WFDB records in `records/`, read by any WFDB library",
    "hdf5": "HDF5 files, one for each sampling rate and length: `tracings` (recordings, samples, 12), with `patient`, "
    "`split`, `labels` and `name` beside it; `signals-500hz-5000.hdf5#17` is row 17",
    "parquet": "`signals.parquet`: the columns of the table and `signal`, 12 × samples, lead after lead; "
    "`signals.parquet#17` is row 17",
}


def for_the_recipient(told: Remains, labels: Sequence[str], target: str) -> str:
    """`data/README.md`."""
    return f"""# ECGs with labels and splits, de-identified

{told.ecgs} recordings of {told.patients} people. `table.csv` has a line a recording; the signals are
{_FORMS[told.form]}.
Amplitudes are millivolts, twelve leads in the order I II III aVR aVL aVF V1 to V6; NaN is no sample.

- Labels: {", ".join(f"`{label}`" for label in labels)} (1, 0; empty where not known). {target}
- `split` says where each recording belongs; a person is in one split.
- `patient` and `recording` are pseudonyms. `age` 90 stands for 90 or older.
- `acquired_at`, where it is given, was moved by one number of weeks a person: intervals and time of day (UTC) are real,
  dates are not. Without it the recording is of a person of 90 or older, or dates were dropped.

Read with this program: `ecgfm.RecordingDataset.manifest("table.csv", ".", ["{labels[0]}"])`, or
`ecgfm-clinical evaluate HEAD --archive . --table table.csv --label {labels[0]} --out JUDGED`.
"""


def report(told: Remains) -> str:
    """`remains.md`."""
    return "\n".join(_report(told)) + "\n"


def _report(told: Remains) -> Iterator[str]:
    few = told.combinations
    yield f"# What remains in this export of `{told.head}`\n"
    yield "Read this before `data` is handed on; this file, `remains.json` and the key stay here.\n"
    yield f"{told.ecgs} recordings of {told.patients} people. {told.grouped} recordings of people of 90 or older.\n"
    yield "## For a person to judge\n"
    yield from (f"- [ ] {one}" for one in told.judge)
    yield "\n## How many people are alike\n"
    yield f"By {', '.join(few.fields)}; a person counts in the smallest group of theirs.\n"
    yield "| | people |\n|---|---|"
    yield f"| smallest group | {few.smallest} |"
    yield f"| alone | {few.alone} |"
    yield f"| in a group below 5 | {few.below_5} |"
    yield f"| in a group below 10 | {few.below_10} |"
    yield f"| days between recordings that nobody else has | {told.unique_intervals} |"
    if told.rare_labels:
        yield "\n| rare label | people with it |\n|---|---|"
        yield from (f"| {label} | {count} |" for label, count in told.rare_labels.items())
    yield "\n## Every field\n"
    yield "| field | how | values | without | left out as rare |\n|---|---|---|---|---|"
    yield from (f"| `{one.name}` | {one.how} | {one.distinct} | {one.empty} | {one.withheld} |" for one in told.fields)
    if told.sentences:
        yield "\n## Every sentence that leaves\n"
        yield from (f"- {count} × {text}" for text, count in told.sentences.items())
    yield "\n## How the cohort was found\n"
    yield f"{told.flow.considered} recordings in the store.\n"
    yield "| left out because | recordings | left |\n|---|---|---|"
    yield from (f"| {one.text} (`{one.code}`) | {one.excluded} | {one.left} |" for one in told.flow.steps)
