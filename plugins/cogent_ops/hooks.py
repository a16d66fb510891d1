"""Airflow connections → API clients and the store.

A hook reads its connection once, when it is first needed (each read is a call to the API server), and never while a
DAG file is parsed. Connection ids follow the link: ``commercetools_default``, ``commercetools_<link>`` and so on.
"""

from __future__ import annotations

import os
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import CogentOpsError, ConnectionConfigError
from cogent_ops.links import DEFAULT_LINK

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from cogent_ops.clients.cloudshelf import CloudshelfAccount, CloudshelfClient
    from cogent_ops.clients.commercetools import CommercetoolsAccount, CommercetoolsClient
    from cogent_ops.clients.transport import RateBudget, Tuning
    from cogent_ops.store import Store

STORE_CONNECTION_ID = "cogent_ops_store"
EMBEDDED_STORE = "COGENT_OPS_EMBEDDED_STORE"
SHORTEST_TOKEN = 16
#: Extras of the store's connection that PostgreSQL's client library understands.
POSTGRESQL_EXTRAS = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def connection_id(system: str, link: str) -> str:
    """Id of a link's connection, e.g. ``cloudshelf_default``."""
    return f"{system}_{link or DEFAULT_LINK}"


class LinkHook(BaseHook):
    """What both API hooks share: a connection, read once and checked field by field.

    :param conn_id: Airflow connection id.
    """

    conn_type: ClassVar[str]
    hook_name: ClassVar[str]
    example: ClassVar[str]

    def __init__(self, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The connection.

        :raises ConnectionConfigError: when there is none, or it has another type.
        """
        # Not cached_property: while a secrets backend lets one hook wait, Python 3.11 lets all hooks wait.
        if self._connection is None:
            self._connection = self._found()
        return self._connection

    def _found(self) -> Connection:
        found = find_connection(self.conn_id)
        if found is None:
            raise ConnectionConfigError(
                self.conn_id,
                "conn_id",
                "there is no such connection",
                f"Add it in the UI (Admin, Connections), or: airflow connections add {self.conn_id} {self.example}",
            )
        if found.conn_type != self.conn_type:
            raise ConnectionConfigError(
                self.conn_id,
                "conn_type",
                f"it has the type '{found.conn_type}'",
                f"Choose the type '{self.conn_type}'.",
            )
        return found

    def required(self, value: str | None, field: str, cure: str) -> str:
        """A field's value without surrounding spaces.

        :raises ConnectionConfigError: when it is empty.
        """
        text = (value or "").strip()
        if not text:
            raise ConnectionConfigError(self.conn_id, field, "it is empty", cure)
        return text

    def url(self, value: str | None, field: str, cure: str, port: int | None = None) -> str:
        """A field that holds a URL with scheme; a port kept in the connection's own field is put in.

        :raises ConnectionConfigError: when it is empty or no http(s) URL.
        """
        text = self.required(value, field, cure).rstrip("/")
        scheme, _, rest = text.partition("://")
        if scheme not in ("http", "https") or not rest:
            problem = f"'{text}' is no URL with scheme"
            raise ConnectionConfigError(self.conn_id, field, problem, cure)
        host, slash, path = rest.partition("/")
        return text if port is None or ":" in host else f"{scheme}://{host}:{port}{slash}{path}"


class CommercetoolsHook(LinkHook):
    """Connection of type ``commercetools`` → client of the commercetools HTTP API.

    :param commercetools_conn_id: Airflow connection id.
    """

    conn_name_attr = "commercetools_conn_id"
    default_conn_name = "commercetools_default"
    conn_type = "commercetools"
    hook_name = "commercetools"
    example = (
        "--conn-type commercetools --conn-host https://api.<region>.commercetools.com --conn-login <client id> "
        '--conn-password <client secret> --conn-extra \'{"project_key": "…", "auth_url": "…"}\''
    )

    def __init__(self, commercetools_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(commercetools_conn_id, **kwargs)

    def account(self) -> CommercetoolsAccount:
        """What the connection says.

        :raises ConnectionConfigError: naming the field that is missing or wrong.
        """
        from cogent_ops.clients.commercetools import CommercetoolsAccount

        conn = self.connection
        extra = conn.extra_dejson
        return CommercetoolsAccount(
            conn_id=self.conn_id,
            api_url=self.url(
                conn.host,
                "host (API base URL)",
                "Give the base URL of the API, e.g. https://api.europe-west1.gcp.commercetools.com.",
                conn.port,
            ),
            auth_url=self.url(
                extra.get("auth_url"),
                "extra auth_url",
                "Give the base URL of the OAuth service, e.g. https://auth.europe-west1.gcp.commercetools.com.",
            ),
            project_key=self.required(
                extra.get("project_key"), "extra project_key", "Give the project's key."
            ),
            client_id=self.required(conn.login, "login (client id)", "Give the API client's id."),
            client_secret=self.required(
                conn.password, "password (client secret)", "Give the API client's secret."
            ),
            scopes=tuple((extra.get("scopes") or "").split()),
        )

    def client(self, budget: RateBudget, priority: Priority, tuning: Tuning) -> CommercetoolsClient:
        """A client within the given rate budget."""
        from cogent_ops.clients.commercetools import CommercetoolsClient

        return CommercetoolsClient(self.account(), budget, priority, tuning)

    def test_connection(self) -> tuple[bool, str]:
        """Log in and read the project: ``airflow connections test`` and the button in the UI."""
        from cogent_ops.clients.transport import Tuning, Unlimited

        try:
            project = self.client(Unlimited(), Priority.ORDERS, Tuning()).project()
        except CogentOpsError as error:
            return False, str(error)
        return True, f"Logged in to commercetools project '{project['key']}'."


class CloudshelfHook(LinkHook):
    """Connection of type ``cloudshelf`` → client of the Cloudshelf GraphQL API.

    :param cloudshelf_conn_id: Airflow connection id.
    """

    conn_name_attr = "cloudshelf_conn_id"
    default_conn_name = "cloudshelf_default"
    conn_type = "cloudshelf"
    hook_name = "Cloudshelf"
    example = (
        "--conn-type cloudshelf --conn-host https://ingestapi.cloudshelf.ai/graphql --conn-password <API key>"
    )

    def __init__(self, cloudshelf_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(cloudshelf_conn_id, **kwargs)

    def account(self) -> CloudshelfAccount:
        """What the connection says.

        :raises ConnectionConfigError: naming the field that is missing or wrong.
        """
        from cogent_ops.clients.cloudshelf import CloudshelfAccount

        conn = self.connection
        return CloudshelfAccount(
            conn_id=self.conn_id,
            url=self.url(
                conn.host,
                "host (GraphQL URL)",
                "Give the full URL, e.g. https://ingestapi.cloudshelf.ai/graphql.",
                conn.port,
            ),
            api_key=self.required(
                conn.password, "password (API key)", "Give an API key made in the Cloudshelf Manager."
            ),
        )

    def client(self, budget: RateBudget, priority: Priority, tuning: Tuning) -> CloudshelfClient:
        """A client within the given rate budget."""
        from cogent_ops.clients.cloudshelf import CloudshelfClient

        return CloudshelfClient(self.account(), budget, priority, tuning)

    def test_connection(self) -> tuple[bool, str]:
        """Read what only a valid key may read: ``airflow connections test`` and the button in the UI."""
        from cogent_ops.clients.transport import Tuning, Unlimited

        try:
            status = self.client(Unlimited(), Priority.ORDERS, Tuning()).status()
        except CogentOpsError as error:
            return False, str(error)
        return True, f"The key is accepted. Cloudshelf {status.version} answers."


def open_link_store() -> Store:
    """The store behind the connection ``cogent_ops_store``; without one, the embedded file in AIRFLOW_HOME.

    :raises ConnectionConfigError: for a connection that names no database we know.
    :raises StoreOutdated: when its schema is not this release's.
    """
    from cogent_ops.store import open_store

    return open_store(link_store_url(), create=True)


def link_store_url() -> URL | None:
    """Address of the store behind the connection ``cogent_ops_store``; see :func:`store_url`."""
    return store_url(find_connection(STORE_CONNECTION_ID))


def store_url(conn: Connection | None) -> URL | None:
    """Address of the store that a connection names; ``None``: the embedded default.

    Airflow gives the same answer for a connection that does not exist and for one that it cannot look up just now.
    A production site therefore sets ``COGENT_OPS_EMBEDDED_STORE=off``: no hiccup may send a task to an empty store.

    :raises ConnectionConfigError: for a connection that names no database we know, and where the embedded store is off.
    """
    from sqlalchemy.engine import URL

    if conn is None:
        _require_embedded()
        return None
    if conn.conn_type == "sqlite":
        return URL.create("sqlite", database=conn.host or None)
    if conn.conn_type in ("postgres", "postgresql"):
        return URL.create(
            "postgresql+psycopg",
            username=conn.login,
            password=conn.password,
            host=conn.host,
            port=conn.port,
            database=conn.schema,
            query={
                name: str(conn.extra_dejson[name]) for name in POSTGRESQL_EXTRAS if name in conn.extra_dejson
            },
        )
    raise ConnectionConfigError(
        STORE_CONNECTION_ID,
        "conn_type",
        f"'{conn.conn_type}' is not supported",
        "Choose postgres (host, port, login, password, schema = database) or sqlite (host = file path).",
    )


def _require_embedded() -> None:
    if os.environ.get(EMBEDDED_STORE, "on").lower() in ("off", "false", "no", "0"):
        raise ConnectionConfigError(
            STORE_CONNECTION_ID,
            "conn_id",
            f"there is no such connection, and {EMBEDDED_STORE} forbids the embedded store",
            "Add the connection (type postgres), or see why Airflow cannot read it.",
        )


def live_stock_tokens(link: str) -> tuple[str, ...]:
    """The tokens that open a link's live stock endpoint, from the connection ``cogent_ops_live_stock_<link>``.

    :raises ConnectionConfigError: when there is no such connection, or no token that is hard to guess.
    """
    return _tokens(
        connection_id("cogent_ops_live_stock", link),
        "live stock endpoint",
        "Enter the same in the Cloudshelf Manager.",
    )


def movement_tokens(link: str) -> tuple[str, ...]:
    """The same of its endpoint for movements and counts: ``cogent_ops_movements_<link>``.

    :raises ConnectionConfigError: likewise.
    """
    return _tokens(
        connection_id("cogent_ops_movements", link),
        "endpoint for movements",
        "Give the same to those who send movements.",
    )


def _tokens(conn_id: str, what: str, further: str) -> tuple[str, ...]:
    """A connection's password, and while tokens are being changed the extra ``previous_token``: the one before it."""
    from cogent_ops.clients.transport import checked_secret

    found = find_connection(conn_id)
    if found is None:
        raise ConnectionConfigError(
            conn_id,
            "conn_id",
            f"there is no such connection, so the {what} lets nobody in",
            f"Add it: airflow connections add {conn_id} --conn-type generic --conn-password <token>. Make a token "
            f"with: openssl rand -hex 32. {further}",
        )
    tokens = {
        "password (token)": found.password or "",
        "extra previous_token": str(found.extra_dejson.get("previous_token") or ""),
    }
    for field, token in tokens.items():
        if token or field.startswith("password"):
            checked_secret(conn_id, field, token)
        if 0 < len(token) < SHORTEST_TOKEN:
            problem = f"it has {len(token)} characters, {SHORTEST_TOKEN} at least are not to be guessed"
            raise ConnectionConfigError(conn_id, field, problem, "Make one with: openssl rand -hex 32.")
    return tuple(token for token in tokens.values() if token)


def expires_on(conn: Connection) -> date | None:
    """The last day of a connection's access, as somebody wrote it into its extra ``expires_on``.

    :return: ``date.max`` for "never"; ``None``: nobody wrote it down.
    :raises ConnectionConfigError: for what is no date.
    """
    text = str(conn.extra_dejson.get("expires_on") or "").strip()
    if not text:
        return None
    if text.lower() == "never":
        return date.max
    try:
        return date.fromisoformat(text)
    except ValueError:
        problem = f"'{text}' is no date"
        cure = "Write year, month and day, such as 2027-06-30, or never."
        raise ConnectionConfigError(conn.conn_id, "extra expires_on", problem, cure) from None


def find_connection(conn_id: str) -> Connection | None:
    """The connection, from whatever secrets backend holds it; ``None`` when there is none."""
    try:
        found: Connection = Connection.get(conn_id)
    except AirflowNotFoundException:
        return None
    return found
