"""What is true outside the program: who is who, whose each recording is, and what stands at each receiver.

A page of plain Python that knows nothing of the store. The machine in `machine.py` does the same things to it and to the
program, and compares them.
"""

from dataclasses import dataclass, field


class People:
    """The hospital's own word on its numbers: the newest counts."""

    def __init__(self) -> None:
        self.into: dict[str, str] = {}  #: retired number -> the number it was merged into

    def survivor(self, number: str) -> str:
        """The number under which this one's records are kept now."""
        while number in self.into:
            number = self.into[number]
        return number

    def merge(self, retired: str, surviving: str) -> None:
        """`retired` is now `surviving`; a survivor that had itself been retired in favour of `retired` lives again."""
        if retired == surviving:
            return
        if self._leads_to(surviving, retired):
            del self.into[surviving]
        self.into[retired] = surviving

    def unmerge(self, number: str) -> None:
        """The number lives again."""
        self.into.pop(number, None)

    def _leads_to(self, number: str, other: str) -> bool:
        while number in self.into:
            number = self.into[number]
            if number == other:
                return True
        return False


@dataclass
class Recording:
    """One recording: whose it is by the newest word, and whether anything of it may be told."""

    number: str  #: the patient's number under which it is filed
    withdrawn: bool = False


@dataclass
class Standing:
    """One result that a receiver holds."""

    recording: str
    number: str  #: PID-3 under which it came


@dataclass
class Receiver:
    """An EHR: keeps results by filler number, takes them back when told, and remembers every number it has seen."""

    standing: dict[str, Standing] = field(default_factory=dict)  #: filler number -> result
    fillers: dict[str, tuple[str, str]] = field(
        default_factory=dict
    )  #: filler number -> (recording, number it began with)
    control_ids: dict[str, bytes] = field(default_factory=dict)  #: MSH-10 -> the bytes it came with

    def take(self, *, control_id: str, body: bytes, filler: str, recording: str, number: str, status: str) -> None:
        """One message arrives. A repeat (same MSH-10) changes nothing."""
        known = self.control_ids.setdefault(control_id, body)
        assert known == body, "one control id was used for two different messages"
        began = self.fillers.setdefault(filler, (recording, number))
        assert began[0] == recording, "one filler number was used for two recordings"
        if status in ("W", "D"):
            self.standing.pop(filler, None)
        else:
            self.standing[filler] = Standing(recording=recording, number=number)

    def of(self, recording: str) -> list[Standing]:
        """What stands of one recording."""
        return [one for one in self.standing.values() if one.recording == recording]
