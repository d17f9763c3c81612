"""A clinic that learns by other settings than the fixtures'."""

from dataclasses import replace

from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.settings import Learning


def with_learning(workshop: Workshop, **changes: object) -> Workshop:
    """The same workshop with these keys of `[learning]`."""
    learning = Learning.model_validate(workshop.settings.learning.model_dump() | changes)
    return replace(workshop, settings=workshop.settings.model_copy(update={"learning": learning}))
