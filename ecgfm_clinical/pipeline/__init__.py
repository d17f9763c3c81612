"""The stages of one ECG: ingest, scoring, reporting. They meet only in the staging store."""
