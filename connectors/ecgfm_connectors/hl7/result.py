"""Composes the ORU^R01 that carries one scored ECG to the EHR (HL7 2.5.1 §7.3.1, OBR §7.4.1, OBX §7.4.2).

One OBX a label, under a local code, with the probability as its value. An ECG that cannot be scored is answered, too:
OBX-11 is X ("results cannot be obtained") and OBX-5 holds the reasons as coded repetitions, because OBX-5 is the only
place of an OBX that can hold a code beside OBX-3; an NTE says the same in words. §7.4.2.5 allows OBX-5 to be empty with
X: `Profile.reasons = "note"` sends it so, for an EHR that cannot take a coded value under a numeric code.

The result page goes as an OBX of type ED (§2.A.24): base64 in OBX-5.5. Where it could not be drawn OBX-11 is X; where a
result is taken back its page is, too, without a value.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import pybase64

from ecgfm_connectors.errors import Refused
from ecgfm_connectors.hl7 import escapes, tables
from ecgfm_connectors.hl7.ack import timestamp
from ecgfm_connectors.hl7.profile import OUTGOING_CHARSETS, Coded, Profile, refuse_measured
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.people import real_birth_date
from ecgfm_connectors.placed_order import WrittenField
from ecgfm_connectors.printed import printed
from ecgfm_connectors.result import Observation, Result

#: OBX-3 of the result page.
PAGE_CODE, PAGE_NAME = "ECGFM-PAGE", "AI-ECG result page"


def compose(result: Result, profile: Profile) -> bytes:
    """The complete message, segments ending in CR, without MLLP framing.

    Raises Refused (`no-identifier`: a result without a patient cannot be filed; `unwritable`: a number does not exist
    in the destination's character set, and a changed number is another patient's) and Misconfigured.
    """
    refuse_unwritable(result, OUTGOING_CHARSETS[profile.charset])
    composer = SegmentWriter(profile)
    trigger = profile.trigger if _asks_for_order(result) else "R01"
    structure = "ORU_R01" if trigger == "R01" else "ORU_R30"  # the structure of all point-of-care events
    segments = [composer.msh(result, event=trigger, structure=structure), composer.pid(result.patient)]
    if trigger != "R01" or not result.unsolicited:
        segments.append(composer.orc(result, "NW" if trigger == "R30" else "RE"))
    segments.append(composer.obr(result))
    segments += composer.notes(result.notes)
    number = 0
    for number, observation in enumerate(result.observations if profile.contents == "all" else (), start=1):
        segments.append(composer.obx(number, observation, result))
        segments += composer.notes(sentence for _, sentence in observation.reasons)
    if profile.study_uid and result.study_uid:
        segments.append(composer.study_uid(number := number + 1, result))
    if profile.page == "ORU":
        segments += composer.page(number + 1, result)
    return written(segments, profile)


def _asks_for_order(result: Result) -> bool:
    """A first result of which no order is known; what follows it names the order that the receiver placed."""
    first = result.status == "F" and not result.revives
    return first and not (result.placer_number or result.order_refused)


def written(segments: Iterable[str], profile: Profile) -> bytes:
    """The segments of a message as its bytes."""
    return "".join(f"{segment}\r" for segment in segments).encode(OUTGOING_CHARSETS[profile.charset], "replace")


class SegmentWriter:
    """The field tables of one profile. Every value passes `leaf` exactly once; what is joined with `^` is escaped."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._coded = tables.field_types(profile.version, "OBX")[3]  # CE, from 2.6 CWE

    def msh(self, result: Result, message: str = "ORU", event: str = "R01", structure: str = "ORU_R01") -> str:
        profile = self._profile
        return self._segment(
            "MSH",
            {
                2: escapes.STANDARD.encoding_characters,
                3: composite(profile.sending_application),
                4: composite(profile.sending_facility),
                5: composite(profile.receiving_application),
                6: composite(profile.receiving_facility),
                7: self._time(result.composed_at),
                9: join(message, event, "" if profile.version == "2.3" else structure),
                10: leaf(result.control_id),
                11: "T" if result.test else profile.processing_id,
                12: profile.version,
                15: profile.accept_ack,
                16: profile.application_ack,
                18: profile.charset,
                21: composite(profile.message_profile),
            },
        )

    def pid(self, patient: Patient) -> str:
        if not patient.identifiers:
            raise Refused("no-identifier", "the ECG names no patient, so its result cannot be filed")
        birth_date = real_birth_date(patient.birth_date)
        born = birth_date.isoformat().replace("-", "") if birth_date else ""
        name = join(leaf(patient.family_name), leaf(patient.given_name))
        return self._segment(
            "PID",
            {
                1: "1",
                3: "~".join(_cx(identifier) for identifier in patient.identifiers),
                5: name or "^^^^^^U",  # required; table 0200 U: no name is known
                7: born,
                8: patient.sex,
            },
        )

    def orc(self, result: Result, control: str = "RE") -> str:
        return self._segment(
            "ORC",
            {
                1: control,
                2: composite(result.placer_number),
                3: self._filler(result),
                5: "CM",
                7: self._quantity(),
                12: rewritten(result.provider),
            },
        )

    def obr(self, result: Result) -> str:
        profile = self._profile
        code, text = profile.service
        accession = {profile.accession_place: leaf(result.accession)} if profile.accession_place else {}
        return self._segment(
            "OBR",
            accession
            | {
                1: "1",
                2: composite(result.placer_number),
                3: self._filler(result),
                4: self._code((code, text, profile.coding_system), profile.service_alternate),
                7: self._time(result.acquired_at),
                16: rewritten(result.provider),
                **({18: leaf(result.ecg_filler_number.split("^")[0])} if profile.parent == "OBR-18" else {}),
                22: self._time(result.scored_at),
                24: leaf(profile.section),
                25: "C" if result.status in ("W", "D") else result.status,  # table 0123 knows neither
                26: self._parent_result(),
                27: self._quantity(),
                29: self._parent(result),
            },
        )

    def _parent(self, result: Result) -> str:
        """EIP (§2.A.28): the ECG's own placer number, where the profile asks for it, and its filler number."""
        if self._profile.parent not in ("OBR-29", "child"):
            return ""
        placer = result.placer_number if self._profile.parent == "child" else ""
        return join(*(composite(number).replace("^", "&") for number in (placer, result.ecg_filler_number)))

    def _parent_result(self) -> str:
        """PRL.1 (§2.A.58); its sub-id and value are not known here."""
        if self._profile.parent != "child":
            return ""
        return self._code(self._profile.parent_result).replace("^", "&")

    def obx(self, number: int, observation: Observation, result: Result) -> str:
        profile = self._profile
        refuse_measured(observation.code)
        scored = observation.probability is not None
        coded = not scored and profile.reasons == "coded" and observation.reasons
        method = f"{result.model_name} {result.model_version}".strip()
        value, limit = self._value(observation)
        flagged = bool(limit)
        return self._segment(
            "OBX",
            {
                1: str(number),
                2: self._coded if coded else "NM",
                3: self._code(
                    (observation.code, observation.name, profile.coding_system),
                    profile.alternate_codes.get(observation.code),
                ),
                4: leaf(observation.head_code) if profile.sub_ids == "head" and observation.head_code else "1",
                5: value,
                6: "" if coded else self._code(("1", "no units", "UCUM")),
                7: f"<{limit}" if flagged else "",
                8: ("H" if observation.positive else "N") if flagged else "",
                11: observation.status,
                14: self._time(result.acquired_at),
                17: self._code((method, method, profile.coding_system)),
                18: join(leaf(result.device_id), leaf(profile.filler_namespace)) if result.device_id else "",
                19: self._time(result.scored_at),
                23: composite(profile.performing_organization),
            },
        )

    def study_uid(self, number: int, result: Result) -> str:
        code = self._code(("110180", "Study Instance UID", "DCM"))
        status = {"C": "C", "W": "C", "D": "D"}.get(result.status, "F")
        return self._segment("OBX", {1: str(number), 2: "ST", 3: code, 4: "1", 5: leaf(result.study_uid), 11: status})

    def page(self, number: int, result: Result) -> Iterator[str]:
        """The page as encapsulated data; none while it is still to be drawn."""
        takes_back = result.status in ("W", "D")
        if result.page is None and not result.page_refused and not takes_back:
            return
        data = join("", *map(leaf, self._profile.page_type), "Base64", pybase64.b64encode_as_string(result.page or b""))
        yield self._segment(
            "OBX",
            {
                1: str(number),
                2: "ED",
                3: self._code(
                    (PAGE_CODE, PAGE_NAME, self._profile.coding_system), self._profile.alternate_codes.get(PAGE_CODE)
                ),
                4: "1",
                5: data if result.page is not None else "",
                11: "X" if result.page_refused else result.status,
                14: self._time(result.acquired_at),
                19: self._time(result.scored_at),
                23: composite(self._profile.performing_organization),
            },
        )

    def notes(self, texts: Iterable[str]) -> list[str]:
        return [
            self._segment("NTE", {1: str(number), 2: "L", 3: escapes.escape(text, formatted=True)})
            for number, text in enumerate(texts, start=1)
        ]

    def _value(self, observation: Observation) -> tuple[str, str]:
        """OBX-5, and the limit in OBX-7, empty where there is none or its crossing means nothing."""
        if observation.probability is not None:
            return printed(observation, self._profile.decimals)
        if self._profile.reasons == "note":
            return "", ""
        coding = self._profile.coding_system
        return "~".join(self._code((code, text, coding)) for code, text in observation.reasons), ""

    def _quantity(self) -> str:
        """Quantity/timing, which 2.3 alone requires in ORC-7 and OBR-27."""
        return "1" if self._profile.version == "2.3" else ""

    def _filler(self, result: Result) -> str:
        oid = self._profile.filler_universal_id
        number = result.filler_number
        if self._profile.contents == "page" and self._profile.form == "ORU":
            number += "-P"  # the page alone is a result of its own, which must not take the place of the numbers
        parts = (number, self._profile.filler_namespace, oid, "ISO" if oid else "")
        return join(*(leaf(part) for part in parts))

    def _code(self, code: Coded, alternate: Coded | None = None) -> str:
        return join(*(leaf(part) for part in (*code, *(alternate or ()))))

    def _time(self, moment: datetime | None) -> str:
        if moment is None:
            return ""
        return timestamp(moment.astimezone(self._profile.zone) if self._profile.zone else moment)

    def _segment(self, name: str, values: dict[int, str]) -> str:
        """The segment with the fields that this version of HL7 has."""
        known = tables.field_types(self._profile.version, name)
        values = {number: value for number, value in values.items() if value and number in known}
        fields = [values.get(number, "") for number in range(2 if name == "MSH" else 1, max(values) + 1)]
        return "|".join((name, *fields))


def leaf(text: str) -> str:
    """One value as one leaf: the only place where a value enters a message, NTE-3 apart (formatted text)."""
    return escapes.escape(text)


def composite(text: str) -> str:
    """A configured or echoed value that is written with its components, as `NAME^OID^ISO`."""
    return join(*(leaf(part) for part in text.split("^")))


def rewritten(field: WrittenField) -> str:
    """A field of another system, with its repetitions, components and subcomponents."""
    return "~".join(
        join(*("&".join(map(leaf, component)).rstrip("&") for component in repetition)) for repetition in field
    )


def join(*components: str) -> str:
    return "^".join(components).rstrip("^")


def _cx(identifier: Identifier) -> str:
    """PID-3: id^check digit^scheme^authority^type; an authority that is an OID goes into HD.2."""
    authority = leaf(identifier.authority)
    if authority.replace(".", "").isdigit() and "." in authority:
        authority = f"&{authority}&ISO"
    return join(leaf(identifier.value), "", "", authority, leaf(identifier.type))


def refuse_unwritable(result: Result, codec: str) -> None:
    """Names may lose a letter to a narrow character set; what identifies a person or an order must not."""
    numbers = [result.placer_number, result.accession, result.filler_number, result.ecg_filler_number, result.study_uid]
    for identifier in result.patient.identifiers:
        numbers += [identifier.authority, identifier.type, identifier.value]
    try:
        "".join(numbers).encode(codec)
    except UnicodeEncodeError:
        text = (
            f"a patient or order number holds letters that {codec} does not know; give the destination another charset"
        )
        raise Refused("unwritable", text) from None
