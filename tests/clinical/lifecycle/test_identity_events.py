"""Each row of the events of an identity, done over MLLP or at the command line, from each state that it names."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecgfm_connectors.ecg import Order
from tests.clinical.lifecycle import document
from tests.helpers.installation import Installation, adt, ecg, first, merge, number, pid

pytestmark = pytest.mark.slow(12)

ROWS = document.events("Identity")
WHY = ("--reason", "checked with the ward", "--yes")
CASES = [
    (event, trigger, start)
    for event, row in ROWS.items()
    for trigger in re.findall(r"A\d\d", row[1]) or [""]
    for start in document.named(row[2], "Identity")
]
SHORTENED = {"the same": ("A40",)}


class Person:
    """One invented person `a` with everybody whom an event may name beside them: `b` and `c`."""

    def __init__(self, site: Installation, tag: str) -> None:
        self.site = site
        self.a, self.b, self.c = (f"{tag}{letter}" for letter in "ABC")
        self._count = itertools.count(1)

    def send(self, event: str, *segments: str) -> str:
        control_id = f"{event}{self.a}{next(self._count)}"
        return self.site.mllp(adt(event, *segments, control_id=control_id)).code

    def merge(self, retired: str, surviving: str, event: str = "A40") -> str:
        return self.send(event, pid(surviving), f"MRG|{retired}^^^TESTHOSP^MR")

    def state(self, who: str) -> str:
        return self.site.store.identities.show(number(who)).state

    def begin(self, state: str, other: str) -> None:
        """Bring `a` into this state; `other` is whom they are merged into, or linked with."""
        self.send("A04", pid(self.a))
        if state in ("merged", "unmerged"):
            self.merge(self.a, other)
        if state == "unmerged":
            self.send("A28", pid(self.a))
        if state == "linked":
            self.send("A24", pid(self.a), pid(other))
        assert self.state(self.a) == state

    def command(self, act: str, *numbers: str) -> str:
        typed = "".join(f"TESTHOSP|MR|{one}\n" for one in numbers)
        code, said = self.site.command("patient", act, *WHY, answer=typed)
        assert code == 0, said
        return "AA"


#: Event -> the same done here with a trigger; the acknowledgement.
ACTS: dict[str, Callable[[Person, str], str]] = {
    "demographics": lambda one, trigger: one.send(trigger, pid(one.a, name="NEWNAME^ADA")),
    "add person": lambda one, trigger: one.send(trigger, pid(one.a)),
    "merge": lambda one, trigger: one.merge(one.a, one.b, trigger),
    "merge back": lambda one, _: one.merge(one.b, one.a),
    "undo a merge": lambda one, trigger: one.send(trigger, pid(one.b), pid(one.a)),
    "link": lambda one, trigger: one.send(trigger, pid(one.a), pid(one.b)),
    "unlink": lambda one, trigger: one.send(trigger, pid(one.a), pid(one.b)),
    "move identifiers": lambda one, trigger: one.merge(one.a, one.b, trigger),
    "move visit": lambda one, trigger: one.merge(one.a, one.b, trigger),
    "account or visit": lambda one, trigger: one.merge(one.a, one.b, trigger),
    "operator merges": lambda one, _: one.command("merge", one.a, one.b),
    "operator unmerges": lambda one, _: one.command("unmerge", one.a),
    "operator links": lambda one, _: one.command("link", one.a, one.b),
}
REFUSED = {"move identifiers"}  #: A is held here: that is never followed by itself
CONCERNS_B = {"merge back", "undo a merge", "unlink", "operator unmerges"}  #: the pair in question is A and B


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("identities")
    one = Installation(folder)
    yield one
    one.close()


def test_every_event_is_tried_here() -> None:
    assert ROWS.keys() == ACTS.keys()


@pytest.mark.parametrize(("event", "trigger", "start"), CASES)
def test_each_event_moves_an_identity_as_it_is_written(
    site: Installation, event: str, trigger: str, start: str
) -> None:
    one = Person(site, f"{event.replace(' ', '')}{trigger}{start}")
    one.send("A04", pid(one.b))
    one.begin(start, one.b if event in CONCERNS_B else one.c)
    code = ACTS[event](one, trigger)
    assert code == ("AE" if event in REFUSED else "AA")
    (expected,) = document.named(ROWS[event][3], "Identity") or [start]
    assert one.state(one.a) == expected


#: Event -> what the receiver hears of a result sent before it and of one that waited, both of `a`: (whose, OBX-11).
HEARD = {
    "demographics": [("a", "F"), ("a", "F")],
    "add person": [("b", "F"), ("b", "F")],  # a question is asked of the one; the other is composed anew, for `a`
    "merge": [("a", "F"), ("b", "F")],
    "merge back": [("b", "F"), ("a", "F")],
    "undo a merge": [("b", "F"), ("a", "F")],
    "link": [("a", "F"), ("a", "F")],
    "unlink": [("a", "F"), ("a", "F")],
    "move identifiers": [("a", "F"), ("a", "F")],
    "move visit": [("a", "F"), ("a", "F")],
    "account or visit": [("a", "F"), ("a", "F")],
    "operator merges": [("a", "F"), ("b", "F")],
    "operator unmerges": [("b", "F"), ("a", "F"), ("b", "W"), ("a", "F")],
    "operator links": [("a", "F"), ("a", "F")],
}
HEARD["add person"] = HEARD["undo a merge"]
SEEDS = itertools.count(1)


@pytest.mark.parametrize("event", ACTS)
def test_what_the_receiver_hears_of_each(site: Installation, event: str) -> None:
    one = Person(site, f"heard{event.replace(' ', '')}")
    one.send("A04", pid(one.b))
    trigger = (re.findall(r"A\d\d", ROWS[event][1]) or [""])[0]
    begun = "merged" if event == "add person" else document.named(ROWS[event][2], "Identity")[0]
    one.begin(begun, one.b)
    before = len(site.told)
    site.dicom(ecg(next(SEEDS), one.a))
    site.go_on()
    site.dicom(ecg(next(SEEDS), one.a))
    site.score()
    ACTS[event](one, trigger)
    site.go_on()
    heard = [(who[-1].lower(), kind) for who, kind in site.told[before:]]
    assert sorted(heard) == sorted(HEARD[event])
    asked = [held for held in site.store.results.holds() if held.question.value == "unmerged"]
    assert bool(asked) == (event in ("add person", "undo a merge"))
    for held in asked:
        site.command("held", "reject", held.hold_id, *WHY)
    assert first(site.ehr.messages[-1], "PID", 3)


def test_a_merge_into_itself_is_answered(site: Installation) -> None:
    assert site.mllp(merge("SELF", "SELF")).code == "AE"


@pytest.mark.parametrize("named", ["beside another", "merged by a person"])
def test_a_number_that_is_held_in_whatever_place_is_not_moved_silently(site: Installation, named: str) -> None:
    one = Person(site, f"moved{named.replace(' ', '')}")
    site.dicom(ecg(next(SEEDS), number(f"{one.a}R", authority="REGION"), one.a))
    if named == "merged by a person":
        site.command("patient", "merge", "--force", *WHY, answer=f"TESTHOSP|MR|{one.a}\nTESTHOSP|MR|{one.b}\n")
    assert one.merge(one.b if named == "merged by a person" else one.a, f"{one.c}new", "A43") == "AE"


@pytest.mark.parametrize(
    ("recorded", "moved", "code"), [("V1", "V1", "AE"), ("V1", "V2", "AA"), ("V1", "", "AE"), ("", "V2", "AE")]
)
def test_a_visit_is_moved_silently_only_where_no_recording_can_be_of_it(
    site: Installation, recorded: str, moved: str, code: str
) -> None:
    one = Person(site, f"visit{recorded}{moved}")
    site.dicom(ecg(next(SEEDS), one.a, order=Order(visit=recorded)))
    assert one.send("A45", pid(one.b), f"MRG|{one.a}^^^TESTHOSP^MR||||{moved}") == code
