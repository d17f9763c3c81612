"""Random sequences of everything that may happen around a store, each step done to the store and to the truth."""

import itertools
from collections.abc import Callable
from typing import Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ecgfm_clinical.staging.records import Telling
from ecgfm_clinical.staging.store import Store
from tests.clinical.lifecycle.hospital import DESTINATIONS, FATES, UNWRITABLE, Fate, Hospital, Truth


class Place(Protocol):
    """Where one sequence keeps its database."""

    def open(self, telling: Telling) -> Store: ...

    def save(self) -> Callable[[], None]:
        """Copy the database; what is returned puts the copy in its place."""
        ...

    def remove(self) -> None: ...


NUMBERS = st.sampled_from(("A", "B", "C", UNWRITABLE))
NAMES = st.integers(min_value=0, max_value=2)
NAMINGS = st.sampled_from(("by number", "by order", "by document"))  #: how a sender says what it takes back


class Lifecycle(RuleBasedStateMachine):
    """Use `on(place)`, which names the database."""

    new_place: Callable[[], Place]

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).new_place()
        self.hospital = Hospital(self.place.open, control_ids=itertools.count(1))
        self.copy: tuple[Callable[[], None], Truth] | None = None

    def teardown(self) -> None:
        try:
            self.hospital.ends()
            assert not list(self.hospital.store.care.audit_faults())
        finally:
            self.hospital.store.close()
            self.place.remove()

    def _name(self, which: int) -> str:
        names = list(self.hospital.recordings)
        return names[which % len(names)]

    def _any(self) -> bool:
        return bool(self.hospital.recordings)

    # --- arrivals

    @precondition(lambda self: len(self.hospital.recordings) < 3)
    @rule(number=NUMBERS, further=st.booleans())
    def arrives(self, number: str, further: bool) -> None:
        self.hospital.arrives(f"R{len(self.hospital.recordings) + 1}", number, further=further)

    @precondition(_any)
    @rule(which=NAMES)
    def comes_in_other_bytes(self, which: int) -> None:
        self.hospital.comes_again(self._name(which))

    @precondition(_any)
    @rule(which=NAMES, further=st.booleans(), stat=st.booleans())
    def comes_with_more(self, which: int, further: bool, stat: bool) -> None:
        self.hospital.comes_again(self._name(which), further=further, stat=stat)

    @precondition(_any)
    @rule(which=NAMES, stat=st.booleans(), source=st.sampled_from(("carts", "archive")))
    def comes_stated_final(self, which: int, stat: bool, source: str) -> None:
        self.hospital.comes_again(self._name(which), stat=stat, final=True, source=source)

    @precondition(_any)
    @rule(which=NAMES, family=st.sampled_from(("Testperson", "Married")))
    def comes_with_demographics(self, which: int, family: str) -> None:
        self.hospital.comes_again(self._name(which), family=family)

    @precondition(_any)
    @rule(which=NAMES, number=NUMBERS, follow=st.booleans(), other_object=st.booleans())
    def comes_under_another(self, which: int, number: str, follow: bool, other_object: bool) -> None:
        self.hospital.comes_again(self._name(which), number, follow=follow, other_object=other_object)

    @precondition(_any)
    @rule(which=NAMES, number=st.none() | NUMBERS, follow=st.booleans())
    def is_corrected_by_its_sender(self, which: int, number: str | None, follow: bool) -> None:
        self.hospital.comes_again(self._name(which), number, corrects=True, follow=follow)

    @precondition(_any)
    @rule(which=NAMES, number=NUMBERS, other=NUMBERS)
    def speaks_of_two_people(self, which: int, number: str, other: str) -> None:
        self.hospital.two_people(self._name(which), number, other)

    @precondition(_any)
    @rule(which=NAMES, follow=st.booleans(), naming=NAMINGS, speaking_of=st.none() | NUMBERS)
    def is_withdrawn_by_its_sender(self, which: int, follow: bool, naming: str, speaking_of: str | None) -> None:
        self.hospital.sender_withdraws(
            self._name(which),
            follow=follow,
            by_order=naming == "by order",
            by_document=naming == "by document",
            speaking_of=speaking_of,
        )

    @precondition(lambda self: len(self.hospital.recordings) < 3)
    @rule(naming=NAMINGS)
    def is_withdrawn_before_it_comes(self, naming: str) -> None:
        name = f"R{len(self.hospital.recordings) + 1}"
        self.hospital.sender_withdraws_early(name, by_order=naming == "by order", by_document=naming == "by document")

    # --- identities

    @rule(retired=NUMBERS, surviving=NUMBERS)
    def merge(self, retired: str, surviving: str) -> None:
        self.hospital.merge(retired, surviving)

    @rule(first=NUMBERS, second=NUMBERS)
    def unlink(self, first: str, second: str) -> None:
        self.hospital.unlink(first, second)

    @rule(first=NUMBERS, second=NUMBERS)
    def link(self, first: str, second: str) -> None:
        self.hospital.link(first, second)

    @rule(number=NUMBERS)
    def add_person(self, number: str) -> None:
        self.hospital.add_person(number)

    @rule(retired=NUMBERS, surviving=NUMBERS)
    def operator_merges(self, retired: str, surviving: str) -> None:
        self.hospital.operator_merges(retired, surviving)

    @rule(number=NUMBERS)
    def operator_unmerges(self, number: str) -> None:
        self.hospital.operator_unmerges(number)

    # --- an operator

    @precondition(_any)
    @rule(which=NAMES, delete=st.booleans())
    def operator_withdraws(self, which: int, delete: bool) -> None:
        self.hospital.withdraws(self._name(which), delete=delete)

    @precondition(_any)
    @rule(which=NAMES)
    def operator_corrects(self, which: int) -> None:
        self.hospital.corrects(self._name(which))

    @precondition(_any)
    @rule(which=NAMES, number=NUMBERS)
    def operator_names_patient(self, which: int, number: str) -> None:
        self.hospital.names_patient(self._name(which), number)

    @precondition(lambda self: self.hospital.open_questions())
    @rule(which=NAMES, number=st.none() | NUMBERS)
    def operator_releases(self, which: int, number: str | None) -> None:
        held = self.hospital.open_questions()
        self.hospital.releases(held[which % len(held)], number)

    @precondition(lambda self: self.hospital.open_questions())
    @rule(which=NAMES)
    def operator_rejects(self, which: int) -> None:
        held = self.hospital.open_questions()
        self.hospital.rejects(held[which % len(held)])

    @rule(recompose=st.booleans())
    def operator_sends_dead_letters_again(self, recompose: bool) -> None:
        self.hospital.sends_dead_letters_again(recompose=recompose)

    # --- work

    @precondition(_any)
    @rule(limit=st.sampled_from((1, 100)))
    def score(self, limit: int) -> None:
        self.hospital.scores(limit)

    @precondition(_any)
    @rule()
    def scorer_dies(self) -> None:
        self.hospital.worker_dies()

    @precondition(_any)
    @rule(which=NAMES, probability=st.sampled_from((0.25, 0.5, 0.75)))
    def another_model(self, which: int, probability: float) -> None:
        self.hospital.says_otherwise(self._name(which), probability)

    @precondition(_any)
    @rule(destination=st.sampled_from(DESTINATIONS), fate=st.sampled_from(FATES), limit=st.sampled_from((1, 10)))
    def send(self, destination: str, fate: Fate, limit: int) -> None:
        self.hospital.sends(destination, fate, limit)

    @precondition(_any)
    @rule()
    def score_and_send(self) -> None:
        self.hospital.scores()
        for destination in DESTINATIONS:
            self.hospital.sends(destination, limit=100)

    @precondition(_any)
    @rule(resend=st.booleans())
    def comes_to_rest(self, resend: bool) -> None:
        self.hospital.settle(resend=resend)

    # --- the machine room

    @rule()
    def reopens(self) -> None:
        self.hospital.reopens()

    @rule()
    def is_saved(self) -> None:
        self.copy = (self.place.save(), self.hospital.truth())

    @precondition(lambda self: self.copy is not None)
    @rule()
    def is_restored(self) -> None:
        assert self.copy is not None
        put_back, earlier = self.copy
        self.copy = None
        self.hospital.is_restored(put_back, earlier)


def on(new_place: Callable[[], Place]) -> type[Lifecycle]:
    """The machine on one kind of database."""
    return type("LifecycleOn", (Lifecycle,), {"new_place": staticmethod(new_place)})
