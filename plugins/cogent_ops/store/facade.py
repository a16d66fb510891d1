"""The store as its users see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from cogent_ops.config import policies_in_force
from cogent_ops.domain.policies import Policies
from cogent_ops.store.accounts import Accounts
from cogent_ops.store.alerts import Alerts
from cogent_ops.store.arrivals import OrderArrivals
from cogent_ops.store.audits import Audits
from cogent_ops.store.availability import Availability
from cogent_ops.store.budget import SharedBudget, shared_budget
from cogent_ops.store.catalogue import Catalogue
from cogent_ops.store.drift import Drift
from cogent_ops.store.engine import Database, database, default_url, parse_url
from cogent_ops.store.exceptions import Exceptions
from cogent_ops.store.governance import Governance
from cogent_ops.store.health import Health
from cogent_ops.store.health_gaps import Gaps
from cogent_ops.store.ledger import AuditLog, Fingerprints, Runs, Watermarks
from cogent_ops.store.listing import Listing
from cogent_ops.store.measures import Measures
from cogent_ops.store.migration import current_revision, require_current, upgrade
from cogent_ops.store.order_decisions import OrderDecisions
from cogent_ops.store.order_effects import OrderEffects
from cogent_ops.store.order_news import OrderNews
from cogent_ops.store.orders import Captures
from cogent_ops.store.protection import Protections
from cogent_ops.store.questions import Questions
from cogent_ops.store.retention import Retention
from cogent_ops.store.stock import Stock
from cogent_ops.store.stock_history import StockHistory
from cogent_ops.store.stock_story import StockStory


class Store:
    """Everything the flows remember, by subject. Get one from :func:`open_store`.

    Methods that take a ``Connection`` work in the caller's transaction (:meth:`begin`) and are stored with
    whatever else it holds; all others are transactions of their own. Threads and forks may share a store.
    """

    def __init__(self, opened: Database, policies: Callable[[], Policies]) -> None:
        self._database = opened
        self.watermarks = Watermarks(opened)
        self.fingerprints = Fingerprints(opened)
        self.catalogue = Catalogue(opened)
        self.runs = Runs(opened)
        self.audit_log = AuditLog(opened)
        self.audits = Audits(opened, self.audit_log)
        self.exceptions = Exceptions(opened, self.audit_log, policies)
        self.listing = Listing(opened)
        self.questions = Questions(opened)
        self.alerts = Alerts(opened, self.audit_log)
        self.retention = Retention(opened)
        self.stock = Stock(opened)
        self.stock_history = StockHistory(opened)
        self.stock_story = StockStory(opened)
        self.drift = Drift(opened)
        self.availability = Availability(opened)
        self.protection = Protections(opened, self.audit_log, self.watermarks)
        self.health = Health(opened)
        self.governance = Governance(opened)
        self.measures = Measures(opened)
        self.accounts = Accounts(opened)
        self.gaps = Gaps(opened)
        self.arrivals = OrderArrivals(opened)
        self.captures = Captures(opened)
        self.order_news = OrderNews(opened)
        self.order_decisions = OrderDecisions(opened)
        self.order_effects = OrderEffects(self.stock)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction. See :meth:`cogent_ops.store.engine.Database.begin`."""
        with self._database.begin() as conn:
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction, which takes no write lock."""
        with self._database.read() as conn:
            yield conn

    def budget(self, target: str, rate: float, burst: float) -> SharedBudget:
        """The rate budget of a target API, shared by all processes of this store.

        :param target: names the API and the account, e.g. ``commercetools/my-project``.
        :param rate: requests per second; give the same everywhere.
        :param burst: requests at once after a quiet time.
        """
        return shared_budget(self._database, target, rate, burst)

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        self._database.close()


def open_store(
    url: str | URL | None = None,
    *,
    create: bool = False,
    policies: Callable[[], Policies] = policies_in_force,
) -> Store:
    """Open the store.

    :param url: see :func:`cogent_ops.store.engine.parse_url`; ``None``: the embedded file in AIRFLOW_HOME.
    :param create: create the tables when the embedded store has none yet. Any other database is only ever
        changed by ``cogent-ops store upgrade``.
    :param policies: whose exceptions are whose, and until when; asked whenever one is raised.
    :raises StoreOutdated: when the schema is not this release's, with the command that mends it.
    :raises ConnectionConfigError: for an address that cannot be used.
    :raises StoreUnavailable: when the database is out of reach.
    """
    opened = database(parse_url(url))
    if create and opened.url == default_url() and current_revision(opened.url) is None:
        upgrade(opened.url)
    require_current(opened)
    return Store(opened, policies)
