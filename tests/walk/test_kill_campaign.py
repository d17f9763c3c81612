"""The short kill campaign: processes die at named points and anywhere, and nothing is lost, doubled or reordered.

The long form is `python -m tests.campaign --kills 500`; its counts are in deploy/CAMPAIGNS.md.
"""

from pathlib import Path

import pytest

from tests.campaign.driver import Campaign
from tests.campaign.victim import STEPS, points

pytestmark = pytest.mark.slow(150)

KILLS = 6


@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_reordered_whoever_dies(tmp_path: Path, store_url: str) -> None:
    campaign = Campaign(folder=tmp_path, store_url=store_url, kills=KILLS, longest_life=4.0)
    verdict = campaign.run()
    logs = "".join(path.read_text(errors="replace")[-2000:] for path in tmp_path.glob("*.log"))
    assert verdict.problems == (), logs
    assert campaign.unexpected == [], logs
    assert campaign.deaths.total() >= KILLS
    assert verdict.acknowledged == verdict.staged >= verdict.scored > 0
    assert {"arrives", "merges"} <= campaign.acts.keys(), campaign.acts
    assert any(act.startswith("pauses ") for act in campaign.acts), "no pause was watched to its end"


def test_every_step_of_the_store_that_a_role_takes_is_a_place_to_die() -> None:
    assert {("Jobs.finish", "commit"), ("MllpDestination.send", "after")} <= {
        point for role in STEPS for point in points(role)
    }
