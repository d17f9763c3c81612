"""Which orders of the hospital are taken, and how results answer them."""

from typing import Literal

from pydantic import Field

from ecgfm_clinical.settings.part import Part
from ecgfm_connectors.placed_order import AccessionField, OrderTable


class Orders(Part):
    """Orders that come in as ORM^O01, OMG^O19 or OMI^O23, and how results answer them."""

    answer: Literal["echo", "matched"] = Field(
        default="echo",
        description='what OBR-2 of a result says: "echo": the placer number that came with the ECG; "matched": that '
        "of the one open order with its placer or accession number and its patient, else none",
    )
    unmatched: Literal["unsolicited", "hold"] = Field(
        default="unsolicited",
        description='a result of which no order is known: "unsolicited": it goes without order fields; "hold" it for '
        "a person, until the order comes",
    )
    doubtful: Literal["unsolicited", "hold"] = Field(
        default="unsolicited",
        description="a result of which an order is known, and not for certain which (another patient's, several, "
        "contradicting numbers): as unmatched",
    )
    codes: tuple[str, ...] = Field(
        default=(),
        description="OBR-4.1 or OBR-4.4 of this site's ECG orders; all other orders are acknowledged and not kept. "
        "Every order is an ECG order where this is missing",
        examples=[["93000", "ECG12"]],
    )
    accession: AccessionField = Field(
        default="OBR-18",
        description="where orders hold the accession number: OBR-2, OBR-3, OBR-18, OBR-19 or OBR-20; IPC-1 goes first",
    )

    @property
    def table(self) -> OrderTable:
        """As the reader takes it."""
        return OrderTable(codes=frozenset(self.codes), accession=self.accession)
