"""Stores as people name them: by what kiosks show, by a name of their Channel in any language, or by its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Any, Self

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.domain.catalogue import SUPPLY_ROLE
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.domain.text import any_language, fold, one_line

Json = Mapping[str, Any]


class Stores(Mapping[str, str]):
    """The name that is shown of each store, by the key of its supply Channel.

    :param names: all names of each store, the one that is shown first.
    """

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._names = dict(names)

    @classmethod
    def read(
        cls, client: CommercetoolsClient, overrides: Mapping[str, LocationOverride], locales: Sequence[str]
    ) -> Self:
        """All Channels that hold stock; commercetools is asked.

        :param overrides: what ``include/locations.yaml`` says, by Channel key.
        :param locales: languages in the order in which they are shown.
        :raises CogentOpsError: when commercetools cannot be asked.
        """
        channels = chain.from_iterable(client.pages("channels"))
        suppliers = (one for one in channels if SUPPLY_ROLE in one.get("roles", ()))
        return cls({one["key"]: _names(one, overrides.get(one["key"]), locales) for one in suppliers})

    def __getitem__(self, key: str) -> str:
        return self._names[key][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def called(self, name: str) -> list[str]:
        """Keys of the stores that have this name, whatever its capitals and spaces."""
        return sorted(key for key, names in self._names.items() if fold(name) in map(fold, names))

    def near(self, text: str, most: int) -> list[str]:
        """Keys of the stores whose key or name looks most like a text, best first."""
        keys = {fold(name): key for key in sorted(self._names) for name in (*self._names[key], key)}
        close = get_close_matches(fold(text), keys, n=most)
        return list(dict.fromkeys(keys[one] for one in close))


def _names(channel: Json, override: LocationOverride | None, locales: Sequence[str]) -> list[str]:
    """All names of a store; at least one, which is its key where nobody has named it."""
    texts = {locale: one_line(text) for locale, text in (channel.get("name") or {}).items()}
    given = override.display_name if override else None
    names = [given or "", any_language(texts, locales), *texts.values()]
    return [name for name in dict.fromkeys(names) if name] or [channel["key"]]
