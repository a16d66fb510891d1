"""The custom Types that the flows write to in commercetools, and how a project's own Types differ from them.

A resource has one Type, so another integration's Type may have to carry our fields too (its key is then configured).
Therefore nothing here ever removes, renames or replaces: what is missing is added, and what contradicts is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

INVENTORY = "inventory-entry"
ORDER = "order"
#: Type of every field: identifiers and names.
_TEXT = {"name": "String"}
LAST_BATCH = "csLastBatch"
INVENTORY_TYPE = "cogent-ops-inventory"
ORDER_TYPE = "cogent-ops-order"

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class CustomField:
    """A text field.

    :param name: 2 to 36 characters, as the API asks.
    :param label: English.
    """

    name: str
    label: str

    def definition(self) -> dict[str, Any]:
        """``FieldDefinition`` of the API."""
        return {
            "name": self.name,
            "label": {"en": self.label},
            "required": False,
            "type": dict(_TEXT),
            "inputHint": "SingleLine",
        }

    def contradicts(self, definition: Raw) -> bool:
        """Whether a definition has this name and another type."""
        return bool(definition["name"] == self.name and definition["type"] != _TEXT)


@dataclass(frozen=True)
class CustomType:
    """A Type that the flows rely on.

    :param resource: ``resourceTypeId`` of the resources that carry it.
    """

    key: str
    name: str
    resource: str
    fields: tuple[CustomField, ...]

    def draft(self) -> dict[str, Any]:
        """``TypeDraft`` of the API."""
        return {
            "key": self.key,
            "name": {"en": self.name},
            "resourceTypeIds": [self.resource],
            "fieldDefinitions": [field.definition() for field in self.fields],
        }

    def missing(self, present: Raw) -> tuple[CustomField, ...]:
        """Fields that the project's Type of this key does not have."""
        names = {definition["name"] for definition in present["fieldDefinitions"]}
        return tuple(field for field in self.fields if field.name not in names)

    def additions(self, present: Raw) -> list[dict[str, Any]]:
        """Update actions that complete the project's Type of this key; empty when it is complete."""
        return [
            {"action": "addFieldDefinition", "fieldDefinition": field.definition()}
            for field in self.missing(present)
        ]

    def contradictions(self, types: Iterable[Raw]) -> Iterator[str]:
        """What in the project's Types keeps this one from being installed, in words.

        A field name has one type per kind of resource, across all Types.
        """
        for kind in types:
            if kind["key"] == self.key and self.resource not in kind["resourceTypeIds"]:
                yield f"Type '{self.key}' is for {', '.join(kind['resourceTypeIds'])}, not for {self.resource}"
            elif self.resource in kind["resourceTypeIds"]:
                for definition in kind["fieldDefinitions"]:
                    if any(field.contradicts(definition) for field in self.fields):
                        yield (
                            f"field '{definition['name']}' of Type '{kind['key']}' is a "
                            f"{definition['type']['name']}, not a String"
                        )


def declared(*, inventory_key: str = INVENTORY_TYPE, order_key: str = ORDER_TYPE) -> tuple[CustomType, ...]:
    """The Types by the keys that a link's configuration gives them."""
    return (
        CustomType(
            inventory_key,
            "Cloudshelf stock",
            INVENTORY,
            (CustomField(LAST_BATCH, "Last batch of stock movements"),),
        ),
        CustomType(order_key, "Cloudshelf order", ORDER, ORIGIN_FIELDS),
    )


ORDER_ID = "CS_OrderId"

ORIGIN_FIELDS = (
    CustomField(ORDER_ID, "Kiosk order"),
    CustomField("CS_Cloudshelf", "Cloudshelf"),
    CustomField("CS_Device", "Device"),
    CustomField("CS_OriginatingStore", "Store"),
    CustomField("CS_SalesAssistant", "Sales assistant"),
    CustomField("CS_SessionId", "Session"),
)
"""Where an order came from: the kiosk order's id, which proves that an order is ours, and the rest under the names that
Cloudshelf uses elsewhere. An order's customer is no part of it: commercetools has fields of its own for that, and
personal data belongs in one place."""
