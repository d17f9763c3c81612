"""What is true outside the program: who is who, whose each recording is, and what stands at each receiver.

A page of plain Python that knows nothing of the store. `hospital.py` does the same things to it and to the program, and
compares them.
"""

from dataclasses import dataclass, field
from typing import Literal


class People:
    """The hospital's own word on its numbers: the newest counts."""

    def __init__(self) -> None:
        self.into: dict[str, str] = {}  #: retired number -> the number it was merged into
        self.undone = 0  #: how often somebody got another survivor by a cut

    def survivor(self, number: str) -> str:
        """The number under which this one's records are kept now."""
        while number in self.into:
            number = self.into[number]
        return number

    def same(self, one: str, other: str) -> bool:
        """Whether both numbers are one person's now."""
        return self.survivor(one) == self.survivor(other)

    def merge(self, retired: str, surviving: str) -> None:
        """`retired` is now `surviving`; a survivor that had itself been retired in favour of `retired` lives again."""
        if retired == surviving:
            return
        if self.leads_to(surviving, retired):
            self.unmerge(surviving)
        if self.into.get(retired, surviving) != surviving:
            self.unmerge(retired)
        self.into[retired] = surviving

    def unmerge(self, number: str) -> None:
        """The number lives again."""
        if self.into.pop(number, None) is not None:
            self.undone += 1

    def unlink(self, first: str, second: str) -> None:
        """A37: if one was merged into the other, by whatever way, it lives again."""
        if self.leads_to(first, second):
            self.unmerge(first)
        elif self.leads_to(second, first):
            self.unmerge(second)

    def leads_to(self, number: str, other: str) -> bool:
        """Whether `other` is on the way from `number` to its survivor."""
        while number in self.into:
            number = self.into[number]
            if number == other:
                return True
        return False


@dataclass
class Recording:
    """One recording: whose it is by the newest word, and whether anything of it may be told."""

    number: str  #: the patient's number under which it is filed
    named: list[str]  #: the numbers under which it came, in order
    assigned: bool = False  #: a person or its sender said whose it is, whatever copies say
    withdrawn: Literal["by-sender", "by-person"] | None = None
    taken_back: str | None = (
        None  #: what it said when a person took its result back; nothing of it stands till it says more
    )

    def comes_again(self, number: str, people: People, *, follow: bool, anew: bool) -> None:
        """Another version of it, under this number; `follow`: its sender may say whose it is.

        `anew`: who took it back says that this one is final or corrected.
        """
        if self.withdrawn == "by-sender" and anew:
            self.withdrawn = None
        overruled = any(people.same(number, earlier) for earlier in self.named)
        self.named.append(number)
        if people.same(number, self.number):
            if not self.assigned:
                self.number = number
            return
        self.assigned = True
        if follow and not overruled:
            self.belongs_to(number)

    def belongs_to(self, number: str) -> None:
        """Somebody who may say so says whose it is."""
        self.number = number
        self.assigned = True
        self.taken_back = None

    def is_withdrawn(self, by: Literal["by-sender", "by-person"]) -> None:
        """Nothing of it stands; what a person said is not undone by its sender."""
        if self.withdrawn != "by-person":
            self.withdrawn = by


@dataclass
class Standing:
    """One result that a receiver holds."""

    recording: str
    number: str  #: PID-3 under which it came
    says: str


@dataclass
class Receiver:
    """An EHR: keeps results by filler number, takes them back when told, and remembers every number it has seen."""

    standing: dict[str, Standing] = field(default_factory=dict)  #: filler number -> result
    fillers: dict[str, tuple[str, str]] = field(default_factory=dict)  #: filler number -> (recording, last number)
    control_ids: dict[str, bytes] = field(default_factory=dict)  #: MSH-10 -> the bytes it came with

    def take(
        self,
        *,
        control_id: str,
        body: bytes,
        filler: str,
        recording: str,
        number: str,
        status: str,
        says: str = "",
        people: People | None = None,
    ) -> None:
        """One message arrives. A repeat (same MSH-10) changes nothing.

        `people`: where given, the filler number must still speak of the person it spoke of last.
        """
        repeated = control_id in self.control_ids
        known = self.control_ids.setdefault(control_id, body)
        assert known == body, "one control id was used for two different messages"
        if repeated:
            return
        began, last = self.fillers.get(filler, (recording, number))
        assert began == recording, "one filler number was used for two recordings"
        if people is not None:
            assert people.same(last, number), "one filler number was used for two people"
        self.fillers[filler] = (recording, number)
        if status in ("W", "D"):
            self.standing.pop(filler, None)
        else:
            self.standing[filler] = Standing(recording=recording, number=number, says=says)

    def of(self, recording: str) -> list[Standing]:
        """What stands of one recording."""
        return [one for one in self.standing.values() if one.recording == recording]
