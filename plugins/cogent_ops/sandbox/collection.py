"""Storage under the simulated APIs: a clock that tests can move, and collections that answer queries quickly.

A collection keeps the ids sorted (keyset paging), indexes on chosen fields (``sku in (…)``) and a journal by
modification time (``lastModifiedAt >= …``), so that a catalogue of 100,000 variants answers as a real API does.
Resources are replaced, never edited in place: parts of them may be shared with the dataset they came from.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from cogent_ops.sandbox.answers import Json, malformed
from cogent_ops.sandbox.predicates import Predicate, moment

_FEW = 8
"""An index narrows a query by time when it leaves at most one of so many resources."""

Extract = Callable[[Json], Iterable[str]]
"""The values under which a resource is indexed."""


class Clock:
    """Wall-clock time plus an offset that tests move; timestamps have millisecond precision, as the API's."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """The simulated moment, UTC."""
        return datetime.now(UTC) + self.offset

    def stamp(self) -> str:
        """The simulated moment in wire format, e.g. ``2026-11-20T10:15:00.000Z``."""
        return wire_time(self.now())

    def advance(self, seconds: float) -> None:
        """Move the simulated time; tokens age and delayed effects become visible."""
        self.offset += timedelta(seconds=seconds)


def wire_time(when: datetime) -> str:
    """A moment in the API's own format, UTC with milliseconds."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Ids:
    """Random but repeatable identifiers."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uuid(self) -> str:
        """A UUID v4."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a query. ``total`` is ``None`` when it was not asked for."""

    results: list[Json]
    total: int | None


class Collection:
    """Resources of one type.

    :param type_id: the API's reference type, e.g. ``inventory-entry``.
    :param indexes: dotted path as it appears in predicates -> how to read its values from a resource.
    """

    def __init__(self, type_id: str, indexes: Mapping[str, Extract] | None = None) -> None:
        self.type_id = type_id
        self.items: dict[str, Json] = {}
        self._extract = {"key": _key, **(indexes or {})}
        self._index: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in self._extract}
        self._ids: list[str] = []
        self._journal: list[tuple[str, str]] = []

    def load(self, resources: Iterable[Json]) -> None:
        """Fill an empty collection in one go."""
        for resource in resources:
            self.items[resource["id"]] = resource
            self._add_to_indexes(resource)
        self._ids = sorted(self.items)
        self._journal = sorted((item["lastModifiedAt"], item["id"]) for item in self.items.values())

    def get(self, identifier: str) -> Json | None:
        """A resource by id."""
        return self.items.get(identifier)

    def by(self, path: str, value: str) -> list[Json]:
        """Resources by an indexed field."""
        return [self.items[identifier] for identifier in self._index[path].get(value, ())]

    def first(self, path: str, value: str) -> Json | None:
        """The one resource with this value of an indexed field, if any."""
        return next(iter(self.by(path, value)), None)

    def put(self, resource: Json) -> None:
        """Create or replace."""
        identifier = resource["id"]
        old = self.items.get(identifier)
        if old is None:
            insort(self._ids, identifier)
        else:
            self._drop_from_indexes(old)
        self.items[identifier] = resource
        self._add_to_indexes(resource)
        insort(self._journal, (resource["lastModifiedAt"], identifier))
        if len(self._journal) > 3 * len(self.items) + 100:
            self._journal = sorted((item["lastModifiedAt"], item["id"]) for item in self.items.values())

    def remove(self, identifier: str) -> Json:
        """Delete and return."""
        old = self.items.pop(identifier)
        self._drop_from_indexes(old)
        del self._ids[bisect_left(self._ids, identifier)]
        return old

    def __len__(self) -> int:
        """How many resources there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Json]:
        """Every resource, in order of creation."""
        return iter(self.items.values())

    def _add_to_indexes(self, resource: Json) -> None:
        for name, extract in self._extract.items():
            index, identifier = self._index[name], resource["id"]
            for value in extract(resource):
                known = index.get(value, ())
                if identifier not in known:
                    index[value] = (*known, identifier)

    def _drop_from_indexes(self, resource: Json) -> None:
        for name, extract in self._extract.items():
            index = self._index[name]
            for value in extract(resource):
                left = tuple(known for known in index.get(value, ()) if known != resource["id"])
                if left:
                    index[value] = left
                else:
                    index.pop(value, None)

    # Queries

    def query(
        self,
        predicates: Sequence[Predicate],
        *,
        sort: Sequence[str],
        limit: int,
        offset: int,
        with_total: bool,
        visible: Callable[[Json], bool] | None = None,
    ) -> Page:
        """Find, order and cut.

        :param sort: ``sort`` parameters, e.g. ``["createdAt asc", "id asc"]``; none = order of creation.
        :param visible: further condition that is not a predicate.
        """
        keys = [_sort_key(text) for text in sort]
        by_id = bool(keys) and keys[0] == (("id",), False)
        found = self._matching(predicates, by_id, visible)
        if keys and not by_id:
            found = iter(_sorted(list(found), keys))
        return _cut(found, limit, offset, with_total)

    def _matching(
        self, predicates: Sequence[Predicate], by_id: bool, visible: Callable[[Json], bool] | None
    ) -> Iterator[Json]:
        tests = [predicate.matches for predicate in predicates]
        if visible is not None:
            tests.append(visible)
        for identifier in self._candidates(predicates, by_id):
            resource = self.items[identifier]
            if all(test(resource) for test in tests):
                yield resource

    def _candidates(self, predicates: Sequence[Predicate], by_id: bool) -> Iterable[str]:
        narrowed = [
            ids for predicate in predicates if (ids := predicate.candidates(self._lookup)) is not None
        ]
        bound = max((above for p in predicates if (above := p.id_above()) is not None), default=None)
        if narrowed:
            found = set.intersection(*narrowed)
            return sorted(found if bound is None else (each for each in found if each > bound))
        if not by_id:
            return list(self.items)
        return self._ids[0 if bound is None else bisect_right(self._ids, bound) :]

    def _lookup(self, path: str, operation: str, values: Sequence[Any]) -> set[str] | None:
        if path == "id" and operation in ("=", "in"):
            return {value for value in values if value in self.items}
        if path == "lastModifiedAt" and operation in (">", ">="):
            return self._modified_since(values[0])
        index = self._index.get(path)
        if index is None or operation not in ("=", "in"):
            return None
        return {identifier for value in values for identifier in index.get(value, ())}

    def _modified_since(self, since: datetime) -> set[str] | None:
        """``None`` when so many changed that looking at each in turn finds the next page sooner."""
        start = bisect_left(self._journal, (wire_time(since)[:-5], ""))
        if len(self._journal) - start > len(self.items) // _FEW:
            return None
        return {identifier for _, identifier in self._journal[start:] if identifier in self.items}


def _key(resource: Json) -> Iterable[str]:
    key = resource.get("key")
    return () if key is None else (key,)


def _sort_key(text: str) -> tuple[tuple[str, ...], bool]:
    words = text.split()
    if not words or len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
        raise malformed("sort", f"'{text}' is no sort expression; write 'field asc' or 'field desc'.")
    return tuple(words[0].split(".")), len(words) == 2 and words[1] == "desc"


def _sorted(found: list[Json], keys: list[tuple[tuple[str, ...], bool]]) -> list[Json]:
    for path, descending in reversed(keys):
        found.sort(key=partial(_sort_value, path), reverse=descending)
    return found


def _sort_value(path: tuple[str, ...], resource: Json) -> tuple[bool, Any]:
    value: Any = resource
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if path[-1].endswith("At") and isinstance(value, str):
        value = moment(value).timestamp()
    return value is not None, value if value is not None else 0


def _cut(found: Iterator[Json], limit: int, offset: int, with_total: bool) -> Page:
    results: list[Json] = []
    seen = 0
    for resource in found:
        if seen >= offset and len(results) < limit:
            results.append(resource)
        seen += 1
        if not with_total and len(results) >= limit:
            break
    return Page(results, seen if with_total else None)
