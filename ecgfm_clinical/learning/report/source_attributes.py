"""The 31 source attributes of a predictive decision support intervention, from what a bundle knows.

Health Data, Technology, and Interoperability (HTI-1), 45 CFR 170.315(b)(11)(iv)(B)(1) to (9). What no bundle can know
says who has to fill it; nothing is guessed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ecgfm.checkpoint import Bundle
from ecgfm_clinical.learning.judging.judgement import interval_text
from ecgfm_clinical.learning.provenance import TrainingRecord, head_records
from ecgfm_clinical.wording import phrase

DEVELOPER = "the developer of the head"
COMMITTEE = "the hospital's committee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a document: what is known, or who has to fill it."""

    number: str
    name: str
    value: str = ""
    by: str = COMMITTEE  #: who fills it where it is empty

    @property
    def text(self) -> str:
        return self.value or f"TO BE FILLED by {self.by}"


def source_attributes(bundle: Bundle) -> tuple[Field, ...]:
    """All 31, in the order of the rule. Raises LearningError where the provenance was changed by hand."""
    trained = {head: one.trained for head, one in head_records(bundle).items() if one.trained is not None}
    return tuple(_fields(bundle, trained))


def _fields(bundle: Bundle, trained: dict[str, TrainingRecord]) -> Iterator[Field]:
    targets = " ".join(f"{spec.name}: {spec.target}" for spec in bundle.heads)
    yield Field(number="1.i", name="Name and contact of the developer", by=DEVELOPER)
    yield Field(number="1.ii", name="Funding source of the technical implementation", by=DEVELOPER)
    output = f"One probability for each label, and whether it is at or above its operating point. {targets}"
    yield Field(number="1.iii", name="Value that is produced as output", value=output if bundle.heads else "")
    yield Field(number="1.iv", name="Type of output", value="A prediction, and a classification by operating point.")
    if bundle.demo:
        use = "None: NOT FOR CLINICAL USE. It shows and tests the path from ECG to result."
    else:
        use = "A second look at a resting 12-lead ECG: whom to measure (echo, laboratory). It replaces no measurement."
    yield Field(number="2.i", name="Intended use", value=use)
    yield Field(number="2.ii", name="Intended patients", value=_lines(trained, _patients))
    yield Field(number="2.iii", name="Intended users", value="The clinicians who ordered the ECG.")
    yield Field(number="2.iv", name="Role in decisions", value="Informs clinical management; a person decides.")
    caution = "No use without a person's judgement; none at a site where it was not judged; none outside the cohort."
    yield Field(number="3.i", name="Tasks and situations to be cautious in", value=caution)
    yield Field(number="3.ii", name="Known risks, inappropriate uses, limitations")
    yield Field(
        number="4.i",
        name="Inclusion and exclusion in the training data",
        value=_lines(trained, _exclusions),
        by=DEVELOPER,
    )
    inputs = (
        "None of race, ethnicity, language, sexual orientation, gender identity, sex, date of birth, social "
        "determinants, health status assessments is an input: the signal alone is."
    )
    yield Field(number="4.ii", name="Demographic and social variables as input", value=inputs)
    yield Field(number="4.iii", name="Demographic representativeness", value=_lines(trained, _people), by=DEVELOPER)
    yield Field(number="4.iv", name="Relevance of the training data to this setting", value=_lines(trained, _setting))
    fair = "Performance is counted by age, sex, device, site, rate and rhythm on patients who were not trained on."
    yield Field(number="5.i", name="Approach to fair output", value=fair if trained else "", by=DEVELOPER)
    yield Field(number="5.ii", name="How bias is reduced or removed", by=DEVELOPER)
    yield Field(number="6.i", name="External data: source and setting")
    yield Field(number="6.ii", name="External testing: by whom")
    yield Field(number="6.iii", name="External data: demographic representativeness")
    yield Field(number="6.iv", name="External validation: how")
    yield Field(
        number="7.i", name="Validity in test data of the same source", value=_lines(trained, _validity), by=DEVELOPER
    )
    yield Field(
        number="7.ii", name="Fairness in test data of the same source", value=_lines(trained, _people), by=DEVELOPER
    )
    yield Field(number="7.iii", name="Validity in external data")
    yield Field(number="7.iv", name="Fairness in external data")
    yield Field(number="7.v", name="Evaluations of its use on outcomes, with references")
    watched = (
        "`ecgfm-clinical drift` compares inputs, scores and, where outcomes are known, performance with the training."
    )
    yield Field(
        number="8.i",
        name="How and how often validity is watched",
        value=f"{watched} How often: TO BE FILLED by {COMMITTEE}.",
    )
    yield Field(number="8.ii", name="Validity in local data", value=_lines(trained, _validity_at_its_site))
    yield Field(number="8.iii", name="How and how often fairness is watched")
    yield Field(number="8.iv", name="Fairness in local data", value=_lines(trained, _people_at_its_site))
    update = "A new head passes the gate's rules before it may be promoted; a rollback needs no gate."
    yield Field(
        number="9.i", name="How and how often it is updated", value=f"{update} How often: TO BE FILLED by {COMMITTEE}."
    )
    yield Field(number="9.ii", name="How often performance is corrected when risks are found")


def _lines(trained: dict[str, TrainingRecord], told: Callable[[TrainingRecord], str]) -> str:
    return " ".join(f"{head}: {text}." for head, one in trained.items() if (text := told(one)))


def _patients(one: TrainingRecord) -> str:
    rules = one.cohort.rules
    ages = f"from {rules.min_age or 0}" + (f" to {rules.max_age}" if rules.max_age is not None else "")
    return f"patients {ages} years old whose ECG the head may score"


def _exclusions(one: TrainingRecord) -> str:
    steps = "; ".join(f"{step.text} ({step.excluded})" for step in one.cohort.steps if step.excluded)
    return f"{one.cohort.included} of {one.cohort.considered} ECGs; left out: {steps or 'none'}"


def _setting(one: TrainingRecord) -> str:
    return f"trained at {one.site} on data as of {one.as_of.date().isoformat()}" if one.site else ""


def _validity(one: TrainingRecord) -> str:
    return "; ".join(
        f"{label}: "
        + phrase({name.replace("_", " "): interval_text(value) for name, value in figures.metrics.items()})
        + f", on {figures.ecgs} ECGs of {figures.patients} patients, {figures.positives} positive"
        for label, figures in one.metrics.items()
    )


def _validity_at_its_site(one: TrainingRecord) -> str:
    return f"test patients of {one.site}, local where that is this hospital: {_validity(one)}" if one.site else ""


def _people_at_its_site(one: TrainingRecord) -> str:
    return f"test patients of {one.site}, local where that is this hospital: {_people(one)}" if one.site else ""


def _people(one: TrainingRecord) -> str:
    """Subgroups of test patients: counts, and the AUROC with its interval where there are enough of both kinds."""
    return "; ".join(
        f"{label}, {group.attribute} {group.value}: {group.ecgs} ECGs, {group.positives} positive, AUROC "
        + (interval_text(group.auroc) if group.auroc else "not computed (too few)")
        for label, figures in one.metrics.items()
        for group in figures.subgroups
    )
