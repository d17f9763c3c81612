"""Two settings files for one store: it is said, by key and without a value."""

import json
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from ecgfm_clinical import liveness, wiring
from ecgfm_clinical.monitoring.attention import needs_person
from ecgfm_clinical.operate.check import check_parts
from ecgfm_clinical.service import agreement
from ecgfm_clinical.service import service as service_module
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_clinical.staging.store import Store
from tests.helpers.fakes import wait_until
from tests.helpers.told import Told

pytestmark = pytest.mark.slow(4)

ELSEWHERE = "elsewhere:1:1:service"
TEXT = """
[site]
authority = "WARD"
[[listeners.hl7]]
name = "hl7"
host = "127.0.0.1"
port = 0
[[sources.folder]]
name = "drop"
path = "drop"
[[destinations.file]]
name = "results"
path = "results"
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = 1
"""


def settings_of(folder: Path, text: str) -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "settings.toml").write_text(text)
    return read_settings(folder / "settings.toml")


BOTH_PULL, ONE_REPORTS = ("connect", "connect"), ("connect", "report")


@pytest.mark.parametrize(
    ("change", "roles", "keys"),
    [
        (("", ""), BOTH_PULL, set()),
        (('path = "results"', 'path = "/srv/results"'), BOTH_PULL, set()),  # of another machine
        (("port = 0", "port = 7777"), BOTH_PULL, set()),
        (('name = "ehr"', 'name = "other"'), ONE_REPORTS, {"destinations.ehr", "destinations.other"}),
        (("port = 1", "port = 2"), ONE_REPORTS, {"destinations.ehr"}),
        (('name = "ehr"', 'name = "ehr"\nsub_ids = "head"'), ONE_REPORTS, {"destinations.ehr"}),
        (('authority = "WARD"', 'authority = "LAB"'), ONE_REPORTS, {"site.authority"}),
        (('name = "hl7"', 'name = "hl7"\nauthority = "LAB"'), BOTH_PULL, {"listeners.hl7"}),
        (('[[sources.folder]]\nname = "drop"\npath = "drop"\n', ""), BOTH_PULL, {"sources.drop"}),
        (('[[sources.folder]]\nname = "drop"\npath = "drop"\n', ""), ONE_REPORTS, set()),
    ],
)
def test_what_must_be_the_same_for_all_processes(
    tmp_path: Path, change: tuple[str, str], roles: tuple[str, str], keys: set[str]
) -> None:
    mine, its = (
        agreement.served(settings_of(tmp_path / str(number), text), frozenset({role}))
        for number, (text, role) in enumerate(zip((TEXT, TEXT.replace(*change)), roles, strict=True))
    )
    assert mine.differs_from(its) == its.differs_from(mine) == keys


def test_a_living_process_with_other_settings_is_said_until_it_ends(
    site: Path, store: Store, store_url: str, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The destination that only the other one knew got nothing, and `status` was silent."""
    monkeypatch.setattr(service_module, "PULSE_EVERY", timedelta(milliseconds=20))
    site.write_text(re.sub(r"^port = \d+", "port = 0", site.read_text(), flags=re.MULTILINE))
    settings = read_settings(site)
    other = site.parent / "other.toml"
    other.write_text(site.read_text() + '\n[[destinations.file]]\nname = "second"\npath = "secret"\nsuffix = ".a"\n')
    its = agreement.served(read_settings(other), frozenset({"report"}))
    agreement.announce(store, its, ELSEWHERE, now=wiring.utc_now())
    service = Service(settings, "report", store)
    service.start()
    try:
        wait_until(lambda: needs_person(store, now=wiring.utc_now(), limits=settings.attention).failing_tasks)
        (one,) = needs_person(store, now=wiring.utc_now(), limits=settings.attention).failing_tasks
        assert (one.task, one.error) == ("settings destinations.second", "OtherSettingsElsewhere")
        differing = read_settings(other)
        here = differing.model_copy(update={"store": differing.store.model_copy(update={"url": store_url})})
        (line,) = [one for one in check_parts(here) if one.part == "settings" and str(os.getpid()) in one.text]
        assert "destinations.second" in line.text
        assert not line.ok
        store.coordination.release(agreement._name(ELSEWHERE), agreement._held(its, ELSEWHERE))
        wait_until(lambda: not needs_person(store, now=wiring.utc_now(), limits=settings.attention).failing_tasks)
    finally:
        service.stop()
    assert [(one["process"], one["keys"]) for one in told("settings.differ")] == [(ELSEWHERE, "destinations.second")]
    assert '"secret' not in json.dumps(told())
    assert list(agreement.others(store, None, now=wiring.utc_now())) == []


def test_what_a_dead_process_served_counts_no_more(store: Store, tmp_path: Path) -> None:
    what = agreement.served(settings_of(tmp_path / "a", TEXT), frozenset({"report"}))
    now = wiring.utc_now()
    agreement.announce(store, what, ELSEWHERE, now=now)
    gone = f"{liveness.worker_name('service').rsplit(':', 2)[0]}:999999999.1:service"
    agreement.announce(store, what, gone, now=now)
    assert [name for name, _ in agreement.others(store, None, now=now)] == [ELSEWHERE]
    assert list(agreement.others(store, None, now=now + 2 * agreement.TERM)) == []
