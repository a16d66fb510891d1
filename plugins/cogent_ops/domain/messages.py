"""The order in which what Messages tell of happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]


def in_order(messages: Iterable[Json]) -> list[Json]:
    """Messages about resources that followed one another, such as an entry that was deleted and made anew.

    ``createdAt`` tells it to a millisecond, in which more than one thing may happen. Of one resource ``sequenceNumber``
    tells it always; of two, the one that was heard of last is the later one, and one that was deleted the earlier.
    Source: the type Message of the OpenAPI of commercetools' HTTP API.
    """
    listed = list(messages)
    ends: dict[str, tuple[int, datetime, bool]] = {}
    for one in listed:
        end = one["sequenceNumber"], _at(one), not one["type"].endswith("Deleted")
        ends[_resource(one)] = max(end, ends.get(_resource(one), end))

    def place(one: Json) -> tuple[datetime, datetime, bool, int]:
        _, last, lives = ends[_resource(one)]
        return _at(one), last, lives, one["sequenceNumber"]

    return sorted(listed, key=place)


def _at(message: Json) -> datetime:
    return datetime.fromisoformat(message["createdAt"])


def _resource(message: Json) -> str:
    return str(message["resource"]["id"])
