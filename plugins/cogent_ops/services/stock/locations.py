"""Which supply Channel a location of Cloudshelf stands for, in whatever form its id comes."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.domain.order_edits import LOCATION_EDIT
from cogent_ops.domain.orders import location_name, own_channel
from cogent_ops.domain.rules import MovementRules

#: The list is read again for an id that is not in it, but not more often than this.
REREAD_SECONDS = 60.0


class Locations:
    """The organisation's locations, read when one is asked for that is not known yet."""

    def __init__(self, client: CloudshelfClient, reread_seconds: float = REREAD_SECONDS) -> None:
        self._client, self._pause = client, reread_seconds
        self._external: dict[str, str | None] = {}
        self._read_at: float | None = None

    def channel(self, given: str) -> str | None:
        """Key of the supply Channel; ``None`` when the id stands for none.

        :param given: external id, Cloudshelf's own id, its last part alone, or a Channel's key.
        """
        found = own_channel(given)
        if found is None and given:
            external = self._lookup(given)
            found = own_channel(external) if external else None
        return found

    def sentence(self, given: str) -> str:
        """What the id is instead of a store's, as far as Cloudshelf knows; empty when it does not."""
        name = location_name(given)
        if name not in self._external:
            return ""
        external = self._external[name]
        if external is None:
            return "Cloudshelf knows it as a location that was made there by hand, without an external id."
        return f"Cloudshelf knows it as the location '{external}', which no supply Channel of this link made."

    def _lookup(self, given: str) -> str | None:
        name = location_name(given)
        if name not in self._external and self._is_due():
            self._read()
        return self._external.get(name)

    def _is_due(self) -> bool:
        return self._read_at is None or time.monotonic() - self._read_at >= self._pause

    def _read(self) -> None:
        found: dict[str, str | None] = {}
        for page in self._client.locations():
            for one in page:
                external = one["platformProvidedId"]
                found[location_name(one["id"])] = external
                if external:
                    found[external] = external
                    found[own_channel(external) or external] = external
        self._external, self._read_at = found, time.monotonic()


class Places:
    """Whose stock a kiosk order takes: what a person said, else what the configuration says, else the kiosk's store."""

    def __init__(self, rules: MovementRules, locations: Locations) -> None:
        self._rules, self._locations = rules, locations

    def channel(self, location: str, edits: Mapping[str, str]) -> str | None:
        """Key of the supply Channel; ``None`` when nobody says, or the id stands for none.

        :param location: the session's, as given.
        :param edits: see :mod:`cogent_ops.domain.order_edits`.
        """
        if LOCATION_EDIT in edits:
            return edits[LOCATION_EDIT]
        if self._rules.take_from != "location":
            return self._rules.take_from
        return self._locations.channel(location) if location else None
