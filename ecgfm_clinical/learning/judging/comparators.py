"""What needs no network and costs next to nothing: age and sex alone, and a forest on plain numbers of the ECG."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.learning.cohort.members import Member
from ecgfm_clinical.learning.cohort.sources import EcgSource
from ecgfm_clinical.learning.judging.features import features

AGE_SEX = "age and sex"
FOREST = "random forest"  #: on plain numbers of the ECG, age and sex
RANDOM_ENCODER = "random encoder"
TREES = 500


def demographics(members: Sequence[Member]) -> NDArray[np.float64]:
    """(members, 5): age, its square, age not known, male, sex not known; an unknown age stands at 60 years."""
    rows = []
    for member in members:
        age, sex = member.row.age, member.row.sex
        years = 60.0 if age is None else age
        rows.append([years, years**2, age is None, sex == "M", sex not in ("M", "F")])
    return np.array(rows, dtype=np.float64).reshape(len(rows), 5)


def age_and_sex(train: Sequence[Member], test: Sequence[Member], column: int) -> NDArray[np.float64]:
    """Probability of each test ECG's label by a logistic regression on age and sex;
    raises ValueError with one class.
    """
    from sklearn.linear_model import LogisticRegression  # the extra `train`: a machine that only scores goes without
    from sklearn.preprocessing import StandardScaler

    truth = np.array([member.example.labels[column] for member in train])
    known = np.isfinite(truth)
    scale = StandardScaler().fit(demographics(train)[known])
    model = LogisticRegression(max_iter=1000).fit(scale.transform(demographics(train)[known]), truth[known])
    return np.asarray(model.predict_proba(scale.transform(demographics(test)))[:, 1])


def numbers(members: Sequence[Member], source: EcgSource) -> NDArray[np.float64]:
    """(members, features): plain numbers of each ECG, age and sex."""
    rows = [features(one.signal, one.sampling_rate) for one in source.ecgs([member.example.key for member in members])]
    return np.concatenate([np.array(rows), demographics(members)], axis=1)


def forest(train: NDArray[np.float64], truth: NDArray[np.float64], test: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of each test row by `TREES` trees grown on the training rows whose truth is known (not NaN)."""
    from sklearn.ensemble import RandomForestClassifier  # the extra `train`: a machine that only scores goes without

    known = np.isfinite(truth)
    trees = RandomForestClassifier(TREES, min_samples_leaf=3, random_state=0, n_jobs=1).fit(train[known], truth[known])
    return np.asarray(trees.predict_proba(test)[:, 1])
