"""Why is this number what it is: gather what is known of a place, and have the story told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.health.evidence import Known
from cogent_ops.domain.health.story import Story
from cogent_ops.domain.health.telling import tell
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.services.availability import told_for_zero
from cogent_ops.services.explain.naming import Naming
from cogent_ops.services.explain.sides import KioskReader, ShopReader
from cogent_ops.store import Store

#: How far back a story looks, unless somebody asks for more or less.
DAYS, MOST_DAYS = 14, 400


class Explain:
    """Explains numbers of one link. It changes nothing.

    :param commercetools: gives a client that does not wait long; made when it is first used, as ``cloudshelf`` is.
    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    :param project: the commercetools project as its rate budget names it.
    :param us: API clients that are ours, of all links that share the project.
    :param now: our clock.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        commercetools: Callable[[], CommercetoolsClient],
        cloudshelf: Callable[[], CloudshelfClient],
        overrides: Mapping[str, LocationOverride],
        *,
        project: Callable[[], str],
        us: Callable[[], frozenset[str]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.config, self.store, self.overrides = config, store, overrides
        self._commercetools, self._cloudshelf = commercetools, cloudshelf
        self._project, self._us, self._now = project, us, now

    @cached_property
    def _shop(self) -> CommercetoolsClient:
        return self._commercetools()

    @cached_property
    def _kiosk(self) -> CloudshelfClient:
        return self._cloudshelf()

    def story(self, named: str, *, days: int = DAYS) -> Story:
        """The story of a place's number.

        :param named: ``SKU@store``: the store by its Channel's key, its name or Cloudshelf's id; nothing after ``@``:
            the pool without Channel.
        :param days: how far back to look, 1 to 400.
        :raises UnknownPlace: when the article or the store is unknown, with what was probably meant.
        :raises ConnectionConfigError: when the connection that names the project is missing.
        :raises StoreUnavailable: when the store is out of reach. An API that is makes the story shorter, and says so.
        """
        asked_at = self._now()
        since = asked_at - timedelta(days=min(max(days, 1), MOST_DAYS))
        link, project = self.config.name, self._project()
        naming = Naming(self.config, self.store, project, lambda: self._shop, self.overrides)
        found = naming.find(named)
        ledger = self.store.stock_story.ledger(link, project, found.place, since)
        shop = ShopReader(self.config, self.store, lambda: self._shop, self._now)
        kiosk = KioskReader(self.config, self.store, lambda: self._kiosk, self._now)
        with ThreadPoolExecutor(2, thread_name_prefix="explain") as pool:
            shop_side = pool.submit(shop.read, found.place, ledger, since)
            kiosk_side = pool.submit(kiosk.read, found.place)
            sides = shop_side.result(), kiosk_side.result()
        # After the entry, so that every change that it names is in it.
        ledger = self.store.stock_story.ledger(link, project, found.place, since)
        return tell(
            Known(
                link=link,
                place=found.place,
                name=found.name,
                asked_at=asked_at,
                since=since,
                ledger=ledger,
                shop=sides[0],
                kiosks=sides[1],
                us=self._us(),
                lag=timedelta(seconds=self.config.drift.lag_seconds),
                zero=told_for_zero(self.store, link),
            )
        )

    def suggestions(self, text: str, limit: int = 20) -> list[str]:
        """Places whose SKU begins so, as :meth:`story` takes them."""
        found = self.store.stock_story.beginning(self.config.name, self._project(), text.strip(), limit)
        return [str(one) for one in found]
