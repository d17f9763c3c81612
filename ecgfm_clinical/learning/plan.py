"""Everything that decides what comes out of an experiment, besides its ECGs and the model it starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ecgfm.calibration import CalibrationMethod
from ecgfm.checkpoint import Bundle
from ecgfm.operating_rule import OperatingRule
from ecgfm_clinical.learning.cohort.labelling import Labelling
from ecgfm_clinical.learning.cohort.members import CohortRules
from ecgfm_clinical.learning.documents import Notes
from ecgfm_clinical.learning.judging.rivals import Rivals
from ecgfm_clinical.learning.training import Training
from ecgfm_clinical.rules import GateRules
from ecgfm_clinical.settings import HeadRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one head learns, from whom, how, and by which rules it is judged."""

    head: str
    labelling: Labelling = field(repr=False)
    training: Training = field(default_factory=Training)
    budget_seconds: float | None = None  #: for choosing the method (`--method auto`); None: it is `training`'s
    cohort: CohortRules = field(default_factory=CohortRules)
    evaluability: HeadRules = field(default_factory=HeadRules)
    calibration: CalibrationMethod = "auto"
    calibration_folds: int = 5  #: of all patients but the test patients; below 2: on validation patients alone
    operating_point: OperatingRule = field(default_factory=OperatingRule)
    site_operating_points: Mapping[str, OperatingRule] = field(
        default_factory=dict
    )  #: of sites with a rule of their own
    gate: GateRules = field(default_factory=GateRules)
    rivals: Rivals = field(default_factory=Rivals)
    judges_only: bool = False  #: by labels that nothing is learnt from: without rivals, without gate
    site: str = ""
    code_version: str = ""
    note: str = ""  #: what every reader of the numbers must know, such as that outcomes are simulated
    replicates: int = 1000
    seed: int = 0

    def options(self, base: Bundle, start: Bundle, adapted: Bundle | None = None) -> Notes:
        """What makes two runs the same run: everything asked for, nothing of when."""
        method = self.training.method if self.budget_seconds is None else "auto"
        return {
            "head": self.head,
            "method": method,
            "base": base.model_id,
            **({} if start.model_id == base.model_id else {"start": start.model_id}),
            **({} if adapted is None else {"adapted": adapted.model_id}),
            "labelling": dict(self.labelling.to_json()),
            "cohort": repr(self.cohort),
            "evaluability": self.evaluability.model_dump(),
            **({} if self.budget_seconds is None else {"budget_seconds": self.budget_seconds}),
            "fine_tuning": repr(self.training.fine_tuning) if method != "linear" else "",
            "calibration": f"{self.calibration} over {self.calibration_folds} folds",
            "operating_point": str(self.operating_point),
            "site_operating_points": {site: str(rule) for site, rule in self.site_operating_points.items()},
            "gate": repr(self.gate),
            "seed": self.seed,
        }
