"""Archives of any size, scored into a folder of Parquet files: each ECG exactly once, whatever kills the run.

    sources -> manifest (frozen) -> `ecgfm_clinical.files.streaming` -> parts of so many rows -> receipt -> verify

A part is begun anew until its record lies beside it; what lies there under its own name is whole. The folder:

    run.json                what the run is: manifest, model, options; another of these is refused
    manifest.jsonl          the files, a row each, in order
    predictions/part-*      Parquet as `predict --out` writes it; so embeddings/ and identifiers/, where asked for
    parts/part-*.json       the record of each part: digests, counts, what could not be read
    unreadable.csv          file, code and sentence of each of these; it can be the manifest of another run
    receipt.json            digests of all of it, written last
    retrieved/              with a source as `pacs:2024-01-01..2024-12-31`: its recordings, by day
    history/part-*.json     with --to-store: the parts whose recordings are in the staging store
"""
