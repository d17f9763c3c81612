"""Pooled embeddings of many ECG files in one .npy or Parquet file, each row traceable to its recording and model."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfm.records import Record
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.reading import read_ecgs
from ecgfm_clinical.settings import Settings

if TYPE_CHECKING:
    from ecgfm.predictor import Predictor


#: What may be written.
SUFFIXES = (".npy", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One ECG's embedding: the mean of its segments' pooled embeddings."""

    file: str
    ecg: int  #: which of the file's ECGs, from 0
    input_digest: str
    embedding: NDArray[np.float32]  #: (width,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file or ECG without an embedding, and why."""

    file: str
    reason: str


def embed_files(
    paths: Iterable[Path], predictor: "Predictor", settings: Settings | None = None
) -> tuple[list[Row], list[LeftOut]]:
    """Embeddings of every ECG in `paths`, in order, and the files and ECGs without one."""
    rows: list[Row] = []
    left_out: list[LeftOut] = []
    for path in paths:
        try:
            ecgs = read_ecgs(path, settings)
        except InputError as error:
            left_out.append(LeftOut(file=str(path), reason=str(error)))
            continue
        records = [Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate) for ecg in ecgs]
        for number, (record, embedding) in enumerate(zip(records, predictor.embed(records), strict=True)):
            if embedding is None:
                left_out.append(
                    LeftOut(file=str(path), reason="a lead is missing or constant, or it is shorter than 5 s")
                )
            else:
                rows.append(Row(file=str(path), ecg=number, input_digest=record.digest, embedding=embedding))
    return rows, left_out


def write(out: Path, rows: Sequence[Row], *, model_id: str, preprocessing: str) -> list[Path]:
    """Write `out` (.npy with a .csv of the same name that says what each row is, or .parquet); returns the files
    written.

    Raises InputError where there are no rows.
    """
    if not rows:
        raise InputError("none of these files gave an embedding; nothing was written")
    write_rows = _write_npy if out.suffix == ".npy" else _write_parquet
    return write_rows(out, rows, model_id, preprocessing)


def _write_npy(out: Path, rows: Sequence[Row], model_id: str, preprocessing: str) -> list[Path]:
    np.save(out, np.stack([row.embedding for row in rows]))
    index = out.with_suffix(".csv")
    with index.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["row", "file", "ecg", "input_digest", "model_id", "preprocessing"])
        for number, row in enumerate(rows):
            table.writerow([number, row.file, row.ecg, row.input_digest, model_id, preprocessing])
    return [out, index]


def _write_parquet(out: Path, rows: Sequence[Row], model_id: str, preprocessing: str) -> list[Path]:
    import pyarrow
    from pyarrow import parquet

    width = len(rows[0].embedding)
    table = pyarrow.table(
        {
            "file": [row.file for row in rows],
            "ecg": pyarrow.array([row.ecg for row in rows], pyarrow.int32()),
            "input_digest": [row.input_digest for row in rows],
            "embedding": pyarrow.FixedSizeListArray.from_arrays(np.concatenate([row.embedding for row in rows]), width),
        }
    ).replace_schema_metadata({"model_id": model_id, "preprocessing": preprocessing})
    parquet.write_table(table, out)
    return [out]
