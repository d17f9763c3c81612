"""A FHIR server among the receivers: it drops, refuses and answers late, and shows in the end what stands."""

import json
import random
from collections.abc import Iterator
from typing import Any

from tests.clinical.lifecycle.truth import Standing
from tests.helpers.fhir_server import Fault, Refusal, StrictFhirServer

MISBEHAVIOUR: tuple[Fault | Refusal, ...] = (
    Fault.DROP_BEFORE,
    Fault.DROP_AFTER,
    Fault.CUT_OFF,
    Fault.HTML,
    Fault.SLOW,
    Fault.ENTRY_FAILED,
    Fault.OTHER_ID,
    Refusal(409),
    Refusal(422),
    Refusal(429, {"Retry-After": "1"}),
    Refusal(503, {"Retry-After": "1"}),
)


class MoodyFhirServer(StrictFhirServer):
    """Misbehaves at every fifth transaction or so, until it is told to behave."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(late=3.5)
        self._chance = chance
        self.behaves = False
        self.choose = self._mood

    def start(self) -> None:
        self.__enter__()

    def stop(self) -> None:
        self.__exit__()

    @property
    def messages(self) -> tuple[bytes, ...]:
        """Everything received so far, repeats included, in order."""
        return tuple(self.received)

    def _mood(self) -> Fault | Refusal:
        if self.behaves or self._chance.random() > 0.2:
            return Fault.NONE
        return self._chance.choice(MISBEHAVIOUR)


def number_of(body: bytes) -> str:
    """The control id of a bundle."""
    return str(json.loads(body)["identifier"]["value"])


def standing(server: StrictFhirServer) -> dict[str, list[Standing]]:
    """What the server itself holds and shows as valid, by the order that it answers."""
    found: dict[str, list[Standing]] = {}
    for report in server.all("DiagnosticReport"):
        if report["status"] == "entered-in-error" or "identifier" not in report:
            continue
        order = report.get("basedOn", [{"identifier": {"value": ""}}])[0]["identifier"]["value"]
        says = " ".join(str(one) for one in _values(server, report))
        patient = server.resources[report["subject"]["reference"]]["identifier"][0]["value"]
        found.setdefault(order, []).append(Standing(recording=order, number=patient, says=says))
    return found


def doubled(server: StrictFhirServer) -> Iterator[str]:
    """What is there twice under one number, or stands beside a report that was taken back."""
    for kind in ("DiagnosticReport", "Observation", "Device", "Patient"):
        numbers = [one["identifier"][0]["value"] for one in server.all(kind) if "identifier" in one]
        yield from (f"fhir holds {kind} {one} twice" for one in set(numbers) if numbers.count(one) > 1)
    gone = {
        one["identifier"][0]["value"]
        for one in server.all("DiagnosticReport")
        if one["status"] == "entered-in-error" and "identifier" in one
    }
    for one in server.all("Observation"):
        number = one["identifier"][0]["value"].rpartition(".")[0]
        if number in gone and one["status"] != "entered-in-error":
            yield f"an observation of {number}, which was taken back, stands at fhir"


def _values(server: StrictFhirServer, report: dict[str, Any]) -> Iterator[float]:
    for reference in report.get("result", ()):
        observed = server.resources[reference["reference"]]
        for part in observed.get("component", [observed]):
            if "valueQuantity" in part:
                yield part["valueQuantity"]["value"]
