"""How results are told becomes live here: the numbers of messages, how each destination wants them, its page, and what
follows from its answers.

Scoring, merges and corrections make messages, so every role composes them where the settings name a destination; for
HL7 hl7apy's tables are loaded then: 20 ms.
"""

import base64
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ecgfm.version import version
from ecgfm_clinical.settings import (
    AnyDestination,
    DicomDestination,
    FhirDestination,
    FhirFileDestination,
    Hl7Destination,
    Settings,
    StowDestination,
)

if TYPE_CHECKING:
    from ecgfm_clinical.pipeline.composing import Format
    from ecgfm_clinical.pipeline.reporting import DrawPage, React
    from ecgfm_clinical.staging.records import Draft, Telling
    from ecgfm_clinical.staging.store import Store


def control_id() -> str:
    """A new MSH-10: 20 characters (the limit up to HL7 2.6), 95 random bits,
    so that no two workers ever draw the same.
    """
    return "E" + base64.b32encode(os.urandom(12)).decode()[:19]


def build_telling(settings: Settings) -> "Telling":
    """How results reach every destination of the settings, if there is any. Raises Misconfigured."""
    from ecgfm_clinical.staging.order_records import Answering
    from ecgfm_clinical.staging.records import Telling

    if not settings.destinations.all:
        return Telling()
    from ecgfm_clinical.pipeline.composing import Composer

    compose_for = Composer(
        {part.name: _format(settings, part) for part in settings.destinations.all},
        device_id=f"ecgfm-clinical {version()}",
        abnormal=lambda head, label: label in settings.rules(head).abnormal,
    )
    return Telling(
        destinations=settings.destination_names,
        compose=compose_for,
        control_ids=control_id,
        with_page=settings.destinations.with_page,
        answering=Answering(
            matches=settings.orders.answer == "matched",
            unmatched=settings.orders.unmatched,
            doubtful=settings.orders.doubtful,
        ),
    )


def page_drawer(settings: Settings, store: "Store") -> "DrawPage":
    """What draws the page of a result as a PDF. Raises MissingExtra where pages cannot be drawn here."""
    from ecgfm_clinical.page.content import content_of
    from ecgfm_clinical.page.drawing import draw_page, ready
    from ecgfm_clinical.page.targets import targets_of

    ready()

    def draw(draft: "Draft") -> bytes:
        content = content_of(
            draft.ecg,
            draft.scoring,
            ecg_id=draft.ecg_id,
            is_correction=draft.kind == "C",
            targets=targets_of(settings, store, draft.scoring.model_id),
            zone=settings.site.zone,
        )
        return draw_page(content, draft.ecg, paper=settings.site.paper)

    return draw


def _format(settings: Settings, part: AnyDestination) -> "Format":
    """How a result is written for one destination. Raises Misconfigured."""
    if isinstance(part, FhirDestination | FhirFileDestination):
        from ecgfm_connectors.fhir.bundle import compose as bundle

        return partial(bundle, profile=replace(part.profile, zone=settings.site.zone))
    if isinstance(part, DicomDestination | StowDestination):
        from ecgfm_connectors.dicom.results.composing import compose as objects

        return partial(objects, profile=replace(part.profile, institution=settings.site.name, software=version()))
    facility = part.profile.sending_facility or settings.site.name
    profile = replace(part.profile, sending_facility=facility, zone=settings.site.zone)
    if profile.form == "MDM":
        from ecgfm_connectors.hl7.document import compose as document

        return partial(document, profile=profile)
    from ecgfm_connectors.hl7.result import compose

    return partial(compose, profile=profile)


def reaction_of(part: AnyDestination) -> "tuple[React, float]":
    """What follows from an answer of this destination, and for how many seconds a batch may wait for answers."""
    if isinstance(part, FhirDestination):
        from ecgfm_connectors.fhir import outcomes

        return outcomes.reaction, 20 * part.timeout_seconds
    if isinstance(part, DicomDestination | StowDestination):
        from ecgfm_connectors.dicom.results import statuses

        return statuses.reaction, 20 * part.answer_seconds
    from ecgfm_connectors.hl7.ack import reaction

    if isinstance(part, Hl7Destination):
        return partial(reaction, ae_means_busy=part.ae_means_busy), 20 * part.ack_timeout_seconds
    return reaction, 0.0
