"""Measured outcomes beside an archive: the same table that `ingest` takes, without a store."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.cohort_rows import OutcomeRow
from ecgfm_connectors.context import NO_SITE
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files import outcome_table
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.outcomes.site import SiteTable


def measured(table: Path, patient_of: Callable[[str], str], site: SiteTable) -> list[OutcomeRow]:
    """Each result in its newest version, in the order of the table; `patient_of` makes a number an opaque key, `site`
    declares kinds beyond those that every table may hold.

    Times without a zone are UTC, as the archive's own. Raises InputError where the table cannot be read.
    """
    context = replace(NO_SITE, outcome_table=replace(site, deaths=True))
    try:
        found = outcome_table.read(table.read_bytes(), context).outcomes
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error}") from error
    except PayloadError as error:
        raise InputError(f"{table}: {error}") from error
    newest = {one.source_id: one for one in found}
    return [_row(one, patient_of(one.patient.identifiers[0].value)) for one in newest.values()]


def _row(one: Outcome, patient: str) -> OutcomeRow:
    return OutcomeRow(
        key=one.source_id,
        patient=patient,
        kind=one.kind,
        status=one.status,
        value=one.value,
        upper_value=one.upper_value,
        comparator=one.comparator,
        unit=one.unit,
        code=one.code,
        assay=one.assay,
        upper_reference_limit=one.upper_reference_limit,
        observed_at=one.observed_at,
        observed_precision=one.precision,
    )
