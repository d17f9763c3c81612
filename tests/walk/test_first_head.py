"""A stranger's walk from feeds to a promoted, adapted head, by the very commands of its page."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from ecgfm.checkpoint import Bundle
from ecgfm_clinical.cli import app
from ecgfm_clinical.learning import selection
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.testing.ehr import EhrReceiver

pytestmark = [pytest.mark.slow(38), pytest.mark.usefixtures("quick_judging", "signals_remembered")]

PAGE = (Path(__file__).parents[2] / "docs" / "first-head.md").read_text(encoding="utf-8")
PATIENTS = 130
#: What the page says -> what is enough for a test.
SMALLER = {
    "--patients 600": f"--patients {PATIENTS}",
    "learning-curve reduced_lvef": "learning-curve reduced_lvef --sizes 4 --repeats 3",
    "--adapt-updates 40 --budget 5": "--adapt-updates 2 --budget 0.25",
    " 601": f" {PATIENTS + 1}",
}


def commands() -> Iterator[str]:
    """Every `ecgfm-clinical …` of the page, in its order."""
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("ecgfm-clinical "):
                yield line.removeprefix("ecgfm-clinical ")


def run(line: str) -> str:
    """What a command answers."""
    done = CliRunner().invoke(app, shlex.split(line, comments=True))
    assert done.exit_code == 0, (line, done.output, done.exception)
    return done.stdout


@pytest.fixture
def ehr() -> Iterator[EhrReceiver]:
    receiver = EhrReceiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.mark.timeout(900)
def test_from_feeds_to_a_promoted_adapted_head_and_its_result(
    tmp_path: Path, ehr: EhrReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # What a fine-tuning would take is seen at its second update and not at its sixth: each is given up all the same.
    monkeypatch.setattr(selection, "TIMED_FROM", 1)
    monkeypatch.setenv("ECGFM_SETTINGS", "site/settings.toml")
    (settings,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    Path("site").mkdir()
    Path("site", "settings.toml").write_text(settings.replace("6661", str(ehr.port)), encoding="utf-8")
    # Splits hash with the store's own secret: this one gives every split of so few patients enough of both kinds.
    url = read_settings(Path("site", "settings.toml")).store_url
    Store.open(url, create=True, random_bytes=Random(454).randbytes).close()
    told: dict[str, str] = {}
    for line in commands():
        for page, test in SMALLER.items():
            line = line.replace(page, test)
        line = line.replace("MODEL", told.get("model", "MODEL"))
        answer = run(line)
        told[line.split(" --")[0]] = answer
        if line.startswith("retrain"):
            told["model"] = re.search(r"model\s+([0-9a-f]{64})", answer)[1][:12]  # type: ignore[index]
    model = told["model"]
    (report,) = re.findall(r"report\s+(/.+)", told["retrain reduced_lvef"])
    page = Path(report).read_text(encoding="utf-8")
    assert "The gate passes" in page
    assert "How the method was chosen" in page
    assert "adapted encoder" in page
    assert "ECG-FM earns its keep here" in page or "ECG-FM does not earn its keep" in page
    (bundle,) = re.findall(r"bundle\s+(/.+)", told["retrain reduced_lvef"])
    assert model == Bundle.read(bundle).model_id[:12]
    assert json.loads(run("status --json"))["model"]["live"]["model_id"].startswith(model)
    assert re.search("[Aa]bout|No more|Cannot tell", told["learning-curve reduced_lvef"])
    assert Path("curve.png").is_file()
    newest = next(body for body in ehr.messages if f"CLINIC-{PATIENTS + 1:05d}".encode() in body)
    assert b"ECGFM-LVEF" in newest
    assert model.encode() in newest, "OBX-17 names the model"
    assert len(set(ehr.messages)) == PATIENTS + 1
    assert "promoted" in told["model history"]
