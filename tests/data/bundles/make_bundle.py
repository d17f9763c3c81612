"""Makes `dd64663/`: a bundle written by the program as it was at commit dd64663, and what that program scored with it.

Run with that version's packages, from an empty checkout of it:

    git archive dd64663 | tar -x -C OLD
    PYTHONPATH=OLD:OLD/model:OLD/connectors python tests/data/bundles/make_bundle.py tests/data/bundles/dd64663

The bundle is tiny, with random weights; it has calibrations of both kinds, thresholds, and thresholds of a site.
`told.json` holds the scores of it and of the demo bundle. `tests/model/test_earlier_bundles.py` opens both. The program
of today cannot run this file, and need not.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from ecgfm.synthetic import synthetic_ecgs
from ecgfm.testing import tiny_network

from ecgfm.checkpoint import Bundle
from ecgfm.demo import demo_bundle
from ecgfm.heads import INTERPRETATION, REDUCED_LVEF, TROPONIN, Isotonic, Platt
from ecgfm.predictor import Predictor, Record

HEADS = (
    replace(
        REDUCED_LVEF,
        calibration={"reduced_lvef": Platt(slope=1.5, intercept=-0.25)},
        operating_points={"reduced_lvef": 0.3},
        site_operating_points={"North": {"reduced_lvef": 0.2}},
    ),
    replace(
        TROPONIN,
        calibration={"troponin": Isotonic(logits=(-3.0, 0.0, 2.0), probabilities_at=(0.02, 0.3, 0.8))},
        operating_points={"troponin": 0.4},
    ),
    INTERPRETATION,
)


def told(bundle: Bundle) -> dict[str, object]:
    """What the program says of the bundle, and what it scores."""
    records = [Record(signal=one, sampling_rate=500.0, site="North") for one in synthetic_ecgs(3)]
    predictions = Predictor.from_bundle(bundle.path, device="cpu", threads=1).predict(records)
    return {
        "model_id": bundle.model_id,
        "manifest": bundle.manifest(),
        "predictions": [asdict(one) for one in predictions],
    }


def main(out: Path) -> None:
    """Write the bundle and what was told."""
    tiny = Bundle.write(
        out / "tiny",
        tiny_network(seed=4),
        name="tiny-random-4",
        version="1",
        demo=True,
        provenance={
            "training": "none: random weights for tests",
            "lineage": [{"model_id": "0" * 64, "name": "nobody", "version": "1"}],
            "heads": {"reduced_lvef": {"as_of": "2026-01-02T03:04:05+00:00", "patients": {"train": 1, "test": 2}}},
        },
        heads=HEADS,
    )
    answers = {"tiny": told(tiny), "demo": told(Bundle.read(demo_bundle()))}
    (out / "told.json").write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
