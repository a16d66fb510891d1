"""A link put together: its configuration, its store and its two clients, from ``include/`` and the connections.

Operators, the command line and the web pages start here, so that each of them reads a connection once and only when
it needs it.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import ConnectionConfigError
from cogent_ops.hooks import (
    STORE_CONNECTION_ID,
    CloudshelfHook,
    CommercetoolsHook,
    connection_id,
    find_connection,
    link_store_url,
    open_link_store,
    store_url,
)
from cogent_ops.links import include_folder

if TYPE_CHECKING:
    from upath import UPath

    from cogent_ops.clients.cloudshelf import CloudshelfClient
    from cogent_ops.clients.commercetools import CommercetoolsClient
    from cogent_ops.clients.transport import Tuning
    from cogent_ops.config import ApiLimits, Config, LinkConfig
    from cogent_ops.domain.policies import Policies
    from cogent_ops.services.alerts import Alerting, ExceptionWatch
    from cogent_ops.services.asking import Asking
    from cogent_ops.services.availability import AvailabilityFlow
    from cogent_ops.services.beside import SideBySide
    from cogent_ops.services.catalogue.sync import CatalogueSync
    from cogent_ops.services.checks import Check, Parts
    from cogent_ops.services.drift.nights import Nights
    from cogent_ops.services.drill import Drills
    from cogent_ops.services.explain.explain import Explain
    from cogent_ops.services.governance.months import Months
    from cogent_ops.services.handover import Handover
    from cogent_ops.services.health.check import HealthCheck
    from cogent_ops.services.health.outside import Outside
    from cogent_ops.services.health.watchdog import Watchdog
    from cogent_ops.services.live_stock.service import LiveStock
    from cogent_ops.services.orders.backfill import OrderBackfill
    from cogent_ops.services.orders.capture import OrderCapture
    from cogent_ops.services.orders.desk import OrderDesk
    from cogent_ops.services.orders.flow import OrderFlow, OrderWatch
    from cogent_ops.services.protection import Protection
    from cogent_ops.services.retention import Retention
    from cogent_ops.services.review import Review
    from cogent_ops.services.stock.files import FileDrop
    from cogent_ops.services.stock.flow import StockFlow, StockWatch
    from cogent_ops.services.stock.identify import Identifier
    from cogent_ops.services.stock.orders import OrderPoll
    from cogent_ops.store import SharedBudget, Store

SUITE = "schemas/product_master.json"


class Runtime:
    """Everything a task of one link needs, each part made when it is first used.

    :param link: name of the link, as in ``include/mapping.yaml``.
    :param is_awaited: a person waits for the page, so that requests give up within seconds.
    """

    def __init__(self, link: str, *, is_awaited: bool = False) -> None:
        self.link, self.is_awaited = link, is_awaited
        self._store: Store | None = None

    @cached_property
    def files(self) -> Config:
        """The business's configuration files.

        :raises ConfigError: naming file, line, field and cure.
        """
        from cogent_ops.config import load_config

        return load_config()

    @property
    def config(self) -> LinkConfig:
        """The link's part of the configuration."""
        return self.files.link(self.link)

    @property
    def store(self) -> Store:
        """The store. See :func:`cogent_ops.hooks.open_link_store`."""
        # Not cached_property: while one instance waits for a store that is down, Python 3.11 lets all others wait, too.
        if self._store is None:
            self._store = open_link_store()
        return self._store

    @property
    def suite(self) -> Path:
        """The product master suite."""
        return (include_folder() or Path("include")) / SUITE

    @property
    def data_root(self) -> UPath:
        """Where runs keep what they hand from task to task, and their reports."""
        return data_root(self.config.data_root)

    def commercetools(
        self, priority: Priority, workers: int | None = None, tuning: Tuning | None = None
    ) -> CommercetoolsClient:
        """The link's commercetools client, within the project's shared rate budget.

        :param workers: threads that use it at the same time; ``None``: as many as the link's ``concurrency``.
        :param tuning: how patient it is; ``None``: as a flow that nobody waits for.
        """
        hook = CommercetoolsHook(connection_id("commercetools", self.link))
        limit = self.config.limits.commercetools
        budget = self._budget(hook.account().budget_name, limit)
        return hook.client(budget, priority, tuning or self._tuning(limit, workers))

    def cloudshelf(self, priority: Priority) -> CloudshelfClient:
        """The link's Cloudshelf client, within the organisation's shared rate budget."""
        hook = CloudshelfHook(connection_id("cloudshelf", self.link))
        limit = self.config.limits.cloudshelf
        return hook.client(self._budget(hook.account().budget_name, limit), priority, self._tuning(limit))

    def _budget(self, target: str, limit: ApiLimits) -> SharedBudget:
        return self.store.budget(target, limit.rate, limit.burst)

    def _tuning(self, limit: ApiLimits, workers: int | None = None) -> Tuning:
        from cogent_ops.clients.transport import Tuning

        if self.is_awaited:
            return Tuning(connect_seconds=2.0, read_seconds=5.0, attempts=2, total_seconds=6.0)
        # One more than the workers: the thread that feeds them reads pages itself.
        return Tuning(
            read_seconds=limit.timeout_seconds, connections=(workers or self.config.concurrency) + 1
        )

    def catalogue(self, *, reads: bool = False, writes: bool = False) -> CatalogueSync:
        """The catalogue flow.

        :param reads: with a commercetools client.
        :param writes: with a Cloudshelf client.
        """
        from cogent_ops.services.catalogue.sync import CatalogueSync

        return CatalogueSync(
            config=self.config,
            store=self.store,
            root=self.data_root,
            suite=self.suite,
            commercetools=self.commercetools(Priority.CATALOGUE) if reads else None,
            cloudshelf=self.cloudshelf(Priority.CATALOGUE) if writes else None,
            locations=self.files.locations,
        )

    def live_stock(self, before: LiveStock | None = None) -> LiveStock:
        """What answers kiosks on a product view.

        :param before: given back when it would still be made of the same settings, account and store.
        """
        from cogent_ops.services.live_stock.service import LiveStock, hasty
        from cogent_ops.services.throttle import ChargedBudget, Throttle

        config, overrides = self.config, self.files.locations
        shop = CommercetoolsHook(connection_id("commercetools", self.link))
        basis = (config, overrides, shop.account(), link_store_url())
        if before is not None and before.basis == basis:
            return before
        limit, tuning = config.limits.commercetools, hasty(config.live_stock, len(self.files.links))
        rate = config.live_stock.share * limit.rate
        share = Throttle(rate, burst=rate)
        budget = ChargedBudget(self._budget(shop.account().budget_name, limit), share)

        def kiosk() -> CloudshelfClient:
            hook = CloudshelfHook(connection_id("cloudshelf", self.link))
            shared = self._budget(hook.account().budget_name, config.limits.cloudshelf)
            return hook.client(shared, Priority.LIVE, tuning)

        client = shop.client(budget, Priority.LIVE, tuning)
        return LiveStock(
            config,
            overrides,
            client,
            kiosk,
            self.store,
            project=shop.account().budget_name,
            pace=share.wait,
            basis=basis,
        )

    @property
    def project(self) -> str:
        """The commercetools project as its rate budget names it; links may share one."""
        return CommercetoolsHook(connection_id("commercetools", self.link)).account().budget_name

    @property
    def project_clients(self) -> dict[str, str]:
        """Ids of API clients by link, of all links that share the project: each may change the same inventory."""
        project, found = self.project, dict[str, str]()
        for name in self.files.links:
            try:
                account = CommercetoolsHook(connection_id("commercetools", name)).account()
            except ConnectionConfigError:
                # A link that is not set up yet has changed nothing.
                continue
            if account.budget_name == project:
                found[name] = account.client_id
        return found

    def stock(self, owner: str) -> StockFlow:
        """One run of the stock flow.

        :param owner: unique per try of a task: whoever holds the leases of what it is about to send.
        """
        from cogent_ops.services.relay import Step
        from cogent_ops.services.stock.drain import StockDrain
        from cogent_ops.services.stock.flow import StockFlow

        config, store = self.config, self.store
        shop = self.commercetools(Priority.STOCK, config.movements.concurrency)
        identify = self._identifier(shop)
        drain = StockDrain(config, store, shop, self.project, owner=owner, identify=identify)
        poll = self._order_poll(owner, self.cloudshelf(Priority.ORDERS), identify)
        drop = self._file_drop(owner)
        sources = [Step("files", lambda: drop.run(datetime.now(UTC)).accepted)] if drop else []
        return StockFlow(config, store, poll, drain, sources)

    def _identifier(self, shop: CommercetoolsClient) -> Identifier:
        from cogent_ops.services.stock.identify import Identifier

        return Identifier(self.config, self.store, shop)

    def _order_poll(self, owner: str, kiosk: CloudshelfClient, identify: Identifier) -> OrderPoll:
        from cogent_ops.services.stock.orders import OrderPoll

        return OrderPoll(self.config, self.store, kiosk, self.project, run_key=owner, identify=identify)

    def orders(self, owner: str) -> OrderFlow:
        """One run of the order flow.

        :param owner: unique per try of a task: whoever holds the leases of the orders that it works on.
        """
        from cogent_ops.services.orders.flow import OrderFlow
        from cogent_ops.services.orders.shop import ShopWatch
        from cogent_ops.services.orders.tell import OrderTelling

        config, store = self.config, self.store
        shop, kiosk = self._order_clients()
        return OrderFlow(
            config,
            store,
            self._order_poll(owner, kiosk, self._identifier(shop)),
            self._order_capture(owner, kiosk, shop),
            OrderTelling(config, store, kiosk, run_key=owner),
            ShopWatch(config, store, shop),
        )

    def order_backfill(self, owner: str) -> OrderBackfill:
        """What captures the orders that were missed in a window of time.

        :param owner: see :meth:`orders`.
        """
        from cogent_ops.services.orders.backfill import OrderBackfill

        shop, kiosk = self._order_clients()
        poll = self._order_poll(owner, kiosk, self._identifier(shop))
        return OrderBackfill(self.link, self.store, poll, self._order_capture(owner, kiosk, shop))

    def order_desk(self) -> OrderDesk:
        """What a person may do about one order."""
        from cogent_ops.services.orders.desk import OrderDesk

        shop, kiosk = self._order_clients()
        capture = self._order_capture("desk", kiosk, shop)
        return OrderDesk(self.config, self.store, shop, capture, self.project, locations=self.files.locations)

    def order_watch(self) -> OrderWatch:
        """What tells whether the order flow should be woken."""
        from cogent_ops.services.orders.flow import OrderWatch

        return OrderWatch(self.link, self.store)

    def _order_clients(self) -> tuple[CommercetoolsClient, CloudshelfClient]:
        shop = self.commercetools(Priority.ORDERS, self.config.orders.concurrency)
        return shop, self.cloudshelf(Priority.ORDERS)

    def _order_capture(self, owner: str, kiosk: CloudshelfClient, shop: CommercetoolsClient) -> OrderCapture:
        from cogent_ops.services.orders.capture import OrderCapture
        from cogent_ops.services.orders.context import OrderContext
        from cogent_ops.services.stock.locations import Locations, Places

        places = Places(self.config.movements, Locations(kiosk))
        context = OrderContext(self.config, shop, places)
        return OrderCapture(self.config, self.store, shop, context, project=self.project, owner=owner)

    def stock_watch(self) -> StockWatch:
        """What tells whether the stock flow should be woken."""
        from cogent_ops.services.stock.flow import StockWatch

        drop = self._file_drop("watch")
        return StockWatch(
            self.link,
            self.store,
            self.cloudshelf(Priority.ORDERS),
            self.project,
            files=drop.has_work if drop else lambda: False,
        )

    def _file_drop(self, run_key: str) -> FileDrop | None:
        """The folder for stores' systems; ``None`` when the link has none."""
        from cogent_ops.services.stock.files import FileDrop

        named = self.config.movements.file_drop
        if not named:
            return None
        return FileDrop(self.config, self.store, self.project, object_path(named), run_key=run_key)

    def availability(self, run_key: str) -> AvailabilityFlow:
        """The availability flow.

        :param run_key: the run, for the exceptions it raises.
        """
        from cogent_ops.services.availability import AvailabilityFlow
        from cogent_ops.services.share import GuaranteedShare
        from cogent_ops.services.throttle import Throttle

        shop = CommercetoolsHook(connection_id("commercetools", self.link))
        limit = self.config.limits.commercetools
        share = self.config.availability.share * limit.rate
        budget = GuaranteedShare(
            self._budget(shop.account().budget_name, limit), Throttle(share, share), Priority.STOCK
        )
        return AvailabilityFlow(
            self.config,
            self.store,
            shop.client(budget, Priority.AVAILABILITY, self._tuning(limit)),
            self.cloudshelf(Priority.AVAILABILITY),
            self.files.locations,
            project=shop.account().budget_name,
            run_key=run_key,
        )

    def protection(self) -> Protection:
        """What says which units may be sold twice while stock is late; it asks no API."""
        from cogent_ops.services.protection import Protection

        return Protection(self.config, self.store, self.project)

    def alerts(self, run_key: str) -> Alerting:
        """What tells people of exceptions; by the released policies while the business's own cannot be used.

        :param run_key: the run, for the exceptions it raises.
        """
        from airflow.sdk.configuration import conf

        from cogent_ops.channels import deliver
        from cogent_ops.config import policies_in_force
        from cogent_ops.services.alert_text import Places
        from cogent_ops.services.alerts import Alerting

        return Alerting(
            self.link,
            self.store,
            policies_in_force(),
            lambda channel, message: deliver(channel, message.subject, message.body),
            Places(airflow=conf.get("api", "base_url", fallback=None)),
            run_key=run_key,
        )

    @cached_property
    def policies(self) -> Policies:
        """What is done about each kind of exception, as the business says.

        :raises ConfigError: naming file, line, field and cure.
        """
        from cogent_ops.config import load_policies

        return load_policies()

    def review(self, *, is_reading: bool = False) -> Review:
        """What people see of exceptions, and do about them.

        :param is_reading: nothing is done, so the released policies will do while the business's own cannot be used.
        """
        from cogent_ops.config import policies_in_force
        from cogent_ops.services.review import Review

        policies = policies_in_force() if is_reading else self.policies
        return Review(self.link, self.store, policies, desk=self.order_desk, project=lambda: self.project)

    def side_by_side(self) -> SideBySide:
        """What lays the two systems side by side."""
        from cogent_ops.services.beside import SideBySide

        def preview() -> OrderCapture:
            shop, kiosk = self._order_clients()
            return self._order_capture("desk", kiosk, shop)

        return SideBySide(
            self.link,
            self.store,
            shop=lambda: self.commercetools(Priority.ORDERS),
            preview=preview,
            stories=self.explain,
            suite=lambda: self.suite,
        )

    def explain(self) -> Explain:
        """What tells why a place's stock is what it is. A person waits for it."""
        from cogent_ops.services.explain.explain import Explain

        hurried = self if self.is_awaited else Runtime(self.link, is_awaited=True)
        return Explain(
            self.config,
            self.store,
            lambda: hurried.commercetools(Priority.LIVE),
            lambda: hurried.cloudshelf(Priority.LIVE),
            self.files.locations,
            project=lambda: self.project,
            us=lambda: frozenset(self.project_clients.values()),
        )

    def months(self) -> Months:
        """The monthly reports; by the released policies while the business's own cannot be used."""
        from cogent_ops.config import policies_in_force
        from cogent_ops.services.governance.months import Months

        return Months(self.link, self.store, policies_in_force(), self.config.retention, self.data_root)

    def handover(self) -> Handover:
        """The checklist for those who take a link over."""
        from cogent_ops.config import SHIPPED, load_policies
        from cogent_ops.services.handover import Handover

        released = load_policies(SHIPPED.parent)
        return Handover(self.config, self.store, self.policies, released, self.data_root, self.preflight)

    def drills(self) -> Drills:
        """Alerts that are raised for practice."""
        from cogent_ops.services.drill import Drills

        return Drills(self.link, self.store, self.policies)

    def asking(self, asked_by: str) -> Asking:
        """The questions that one run puts to people.

        :param asked_by: the run, the same in all its tasks and tries.
        """
        from cogent_ops.services.asking import Asking

        return Asking(self.review(), asked_by)

    def nights(self, run_key: str, *, heal: str = "") -> Nights:
        """The nightly comparison of both sides.

        :param run_key: the run, for the exceptions it raises.
        :param heal: what is mended, instead of what the configuration says; empty: as configured.
        """
        from cogent_ops.domain.rules import DriftRules
        from cogent_ops.services.drift.comparison import Parts
        from cogent_ops.services.drift.nights import Nights

        config = self.config
        if heal:
            rules = DriftRules.model_validate({**dict(config.drift), "heal": heal})
            config = config.model_copy(update={"drift": rules})
        clients = self.project_clients
        parts = Parts(
            config=config,
            store=self.store,
            commercetools=self.commercetools(Priority.CATALOGUE),
            cloudshelf=self.cloudshelf(Priority.CATALOGUE),
            locations=self.files.locations,
            project=self.project,
            suite=self.suite,
            run_key=run_key,
            now=lambda: datetime.now(UTC),
            siblings=tuple(sorted(clients.keys() - {self.link})),
            clients=frozenset(clients.values()),
        )
        return Nights(parts, self.data_root)

    def health(self, run_key: str) -> HealthCheck:
        """One check of the link.

        :param run_key: the run, for the exceptions it raises.
        """
        from cogent_ops import __version__, channels
        from cogent_ops.services.health.changes import fingerprints
        from cogent_ops.services.health.check import HealthCheck, HealthParts
        from cogent_ops.store.bucket import Limit

        config, heartbeat = self.config, self.config.health.heartbeat
        project = _budget_name(CommercetoolsHook(connection_id("commercetools", self.link)))
        kiosk = _budget_name(CloudshelfHook(connection_id("cloudshelf", self.link)))
        limits = {project: config.limits.commercetools, kiosk: config.limits.cloudshelf}
        parts = HealthParts(
            config=config,
            store=self.store,
            project=project,
            run_key=run_key,
            limits={target: Limit(limit.rate, limit.burst) for target, limit in limits.items() if target},
            files=lambda: fingerprints(include_folder(), __version__),
            outside=lambda now: self.outside().look(now),
            at_risk=lambda now: self.protection().at_risk(now),
            tell=lambda: self.alerts(run_key).run(datetime.now(UTC)),
            heartbeat=lambda: channels.beat(heartbeat) if heartbeat else None,
        )
        return HealthCheck(parts)

    def outside(self) -> Outside:
        """What looks at everything outside, with clients that give up within seconds."""
        from functools import partial
        from zoneinfo import ZoneInfo

        from cogent_ops.clients.transport import Tuning
        from cogent_ops.config import policies_in_force
        from cogent_ops.services.health.credentials import CloudshelfAccess, CommercetoolsAccess, Expiry
        from cogent_ops.services.health.gaps import Gaps
        from cogent_ops.services.health.kiosks import Kiosks
        from cogent_ops.services.health.messages import Messages
        from cogent_ops.services.health.outside import Outside, prepared
        from cogent_ops.services.health.silence import Silence
        from cogent_ops.services.health.subscriptions import Subscriptions

        link, store, config = self.link, self.store, self.config
        rules, places, hours = config.health, self.files.locations, policies_in_force().business_hours
        ids = {system: connection_id(system, link) for system in ("commercetools", "cloudshelf")}
        hasty = Runtime(link, is_awaited=True)
        # Made here: looks ask in threads, where Airflow does not give connections.
        shop = prepared(partial(hasty.commercetools, Priority.ORDERS))
        kiosk = prepared(partial(hasty.cloudshelf, Priority.ORDERS))
        # Gaps read more at a time, one call after the other; people must hear of the check all the same.
        bounded = Tuning(read_seconds=10.0, attempts=2, total_seconds=15.0)
        ends = self._ends()
        return Outside(
            [
                CommercetoolsAccess(link, store, ids["commercetools"], shop),
                CloudshelfAccess(link, store, ids["cloudshelf"], kiosk),
                Expiry(
                    link,
                    rules,
                    store,
                    shop,
                    ends,
                    conn_id=ids["commercetools"],
                    asked=ids.values(),
                    hours=hours,
                ),
                Messages(link, rules, store, shop),
                Subscriptions(link, rules, store, shop),
                Gaps(config, store, partial(self.commercetools, Priority.CATALOGUE, tuning=bounded), places),
                Kiosks(link, rules, store, kiosk, hours),
                Silence(config, store, shop, places, ZoneInfo(hours.timezone)),
            ]
        )

    def _ends(self) -> dict[str, date | ConnectionConfigError | None]:
        """When the access of each connection ends that the link uses, as far as somebody wrote it down."""
        from cogent_ops.hooks import expires_on

        systems = ("commercetools", "cloudshelf", "cogent_ops_live_stock", "cogent_ops_movements")
        found: dict[str, date | ConnectionConfigError | None] = {}
        for conn_id in (*(connection_id(system, self.link) for system in systems), STORE_CONNECTION_ID):
            conn = find_connection(conn_id)
            if conn is not None:
                try:
                    found[conn_id] = expires_on(conn)
                except ConnectionConfigError as error:
                    found[conn_id] = error
        return found

    def watchdog(self) -> Watchdog:
        """What looks whether sync health still does."""
        from cogent_ops.services.health.watchdog import Watchdog

        return Watchdog(self.link, self.store, self.config.health.monitor_minutes)

    def exception_watch(self) -> ExceptionWatch:
        """What tells whether those who tell people of exceptions, and ask them, should be woken."""
        from cogent_ops.services.alerts import ExceptionWatch

        # Made anew each time: a watch lives long, and what stands in the files may change meanwhile.
        return ExceptionWatch(self.link, self.store, lambda now: self.alerts("watch").is_due(now))

    def retention(self) -> Retention:
        """What purges the link by age."""
        from cogent_ops.services.retention import Retention

        return Retention(self.link, self.config.retention, self.store, self.data_root)

    def preflight(self) -> list[Check]:
        """Whether accounts, settings and configuration are what the flows need; nothing is changed."""
        from cogent_ops.services.preflight import Preflight

        return Preflight(self._parts()).run()

    def bootstrap(self, *, dry_run: bool = False) -> list[Check]:
        """Install custom Types and locations; repeating it changes nothing.

        :param dry_run: say what would be installed, and change nothing.
        """
        from cogent_ops.services.bootstrap import Bootstrap

        return Bootstrap(self._parts(), dry_run=dry_run).run()

    def _parts(self) -> Parts:
        """The link for services that must work, and say why, when some part of it does not."""
        from cogent_ops.clients.transport import Tuning, Unlimited
        from cogent_ops.services.checks import Parts

        commercetools = CommercetoolsHook(connection_id("commercetools", self.link))
        cloudshelf = CloudshelfHook(connection_id("cloudshelf", self.link))
        # A person waits for the answer, and the shared budget would need the store.
        hasty = Tuning(read_seconds=30, attempts=4, total_seconds=60)
        return Parts(
            link=self.link,
            config=lambda: self.files,
            suite=lambda: self.suite,
            store_url=lambda: store_url(find_connection(STORE_CONNECTION_ID)),
            commercetools=lambda: commercetools.client(Unlimited(), Priority.ORDERS, hasty),
            cloudshelf=lambda: cloudshelf.client(Unlimited(), Priority.ORDERS, hasty),
        )


def _budget_name(hook: CommercetoolsHook | CloudshelfHook) -> str:
    """The rate budget of a connection; empty when it cannot be used: whoever asks there says why."""
    try:
        return hook.account().budget_name
    except ConnectionConfigError:
        return ""


def data_root(configured: str | None) -> UPath:
    """The data root: what the configuration names, else ``cogent_ops`` in AIRFLOW_HOME.

    :param configured: a URL such as ``s3://aws_default@bucket/cogent_ops``, or a local path.
    """
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return object_path(configured or str(home / "cogent_ops"))


def object_path(named: str) -> UPath:
    """A place on any object storage, or a local one: a URL such as ``s3://aws_default@bucket/folder``, or a path."""
    from airflow.sdk import ObjectStoragePath

    address = named if "://" in named else f"file://{Path(named).absolute()}"
    # It is a UPath to isinstance, too; only its declared bases do not say so.
    return cast("UPath", ObjectStoragePath(address))
