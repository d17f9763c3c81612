"""Whose labels an encoder has learnt, and the encoder to start from so that nobody is held out who was among them.

Fine-tuning teaches an encoder the labels of all patients but the test patients. Whatever is trained on it afterwards is
calibrated, and its method chosen, on patients held out of folds: whose labels the encoder knows would be held out in
name alone. So a training at the same site starts from the encoder as it was before.
"""

from collections.abc import Callable

from ecgfm.checkpoint import Bundle
from ecgfm.provenance import ModelVersion
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.provenance import Teaching, head_records, teachings

Find = Callable[[ModelVersion], Bundle | None]  #: a bundle of a lineage, where it is at hand


def refuse_taught(bundle: Bundle, site: str) -> None:
    """Raises LearningError where the encoder was fine-tuned on labels of this site's patients."""
    known = _at(bundle, site)
    if known is not None:
        raise LearningError(f"{_why(bundle, known)} Start from the model before that training, with --from")


def learnt_from(bundle: Bundle, site: str) -> bool:
    """Whether this site's patients taught the encoder their labels, or one of the heads that stand on it."""
    trained = (record.trained for record in head_records(bundle).values())
    return _at(bundle, site) is not None or any(one is not None and one.site == site for one in trained)


def before_teaching(bundle: Bundle, site: str, find: Find) -> Bundle:
    """The bundle, or the last one of its lineage whose encoder was not fine-tuned on labels of this site's patients.

    Raises LearningError where none is at hand.
    """
    known = _at(bundle, site)
    if known is None:
        return bundle
    for named in reversed(bundle.provenance.lineage):
        found = find(named)
        if found is not None and _at(found, site) is None:
            return found
    raise LearningError(
        f"{_why(bundle, known)} None of the models that it was made from is at hand: start from one whose encoder was "
        "not fine-tuned here, with --from"
    )


def _at(bundle: Bundle, site: str) -> Teaching | None:
    return next((one for one in teachings(bundle) if one.site == site), None)


def _why(bundle: Bundle, known: Teaching) -> str:
    return (
        f"the encoder of {bundle.name} {bundle.version} was fine-tuned for {known.head} on labels of the patients of "
        f"{known.site or 'this site'} ({known.as_of:%Y-%m-%d}), so that it knows those whom a fold would hold out."
    )
