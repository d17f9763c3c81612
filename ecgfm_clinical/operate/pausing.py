"""Pausing a part of the installation and letting it go on: what there is to pause, and in which words it is told."""

from typing import TYPE_CHECKING

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.pauses import EVERYTHING, Kind, Part, Pause
from ecgfm_clinical.wording import Say, in_english

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store


KINDS: tuple[Kind, ...] = ("everything", "source", "destination", "head")


def parts(settings: "Settings", store: "Store") -> tuple[Part, ...]:
    """Everything that can be paused here: the sources that are pulled, the destinations, the live model's heads."""
    live = store.models.live()
    by_kind: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("source", settings.sources.names),
        ("destination", settings.destination_names),
        ("head", tuple(live.heads) if live is not None else ()),
    )
    return (EVERYTHING, *(Part(kind=kind, name=name) for kind, names in by_kind for name in names))


def part_of(settings: "Settings", store: "Store", word: str, name: str) -> Part:
    """The part that somebody names: its kind by a word, and its name. Raises InputError where there is none such."""
    kind = next((one for one in KINDS if one == word), None)
    if kind is None:
        raise InputError(f"{word or 'nothing'} cannot be paused; there are {', '.join(KINDS)}")
    asked = Part(kind=kind, name="" if kind == "everything" else name)
    known = parts(settings, store)
    if asked in known or asked in [one.part for one in store.pauses.current()]:  # a removed part can be resumed
        return asked
    if kind == "source" and name in settings.listeners.names:
        raise InputError(
            f"{name} is a listener and stays open: who sends would get no answer. Pause a head, a destination or "
            "everything: what comes is then received, acknowledged and kept until it goes on"
        )
    names = [one.name for one in known if one.kind == kind]
    raise InputError(f"there is no {kind} {name or 'without a name'} to pause; there is {', '.join(names) or 'none'}")


def sentence(one: Pause) -> str:
    """One pause in force, as each page and `status` tell it."""
    return f"{one.part} is paused since {one.paused_at:%Y-%m-%d %H:%M} UTC by {one.paused_by}: {one.reason}"


def follows(part: Part, say: Say = in_english) -> str:
    """What pausing this part means, for the person who is about to, in the language of `say`."""
    match part.kind:
        case "everything":
            return say(
                "ECGs are received, kept and acknowledged as ever; nothing is pulled, scored or sent until you resume. "
                "What is under way is finished."
            )
        case "source":
            return say(
                "Nothing is pulled from %(name)s; the next pull after the pause begins where the last ended.",
                name=part.name,
            )
        case "destination":
            return say(
                "Results for %(name)s are made and wait in their order; other destinations go on.", name=part.name
            )
        case "head":
            return say(
                "ECGs are scored by the other heads; the answer of %(name)s is neither kept nor sent. After the "
                "pause each of them is scored again, and told as a correction where something was told already. Where "
                "every head of the live model is paused ECGs wait for their score.",
                name=part.name,
            )
