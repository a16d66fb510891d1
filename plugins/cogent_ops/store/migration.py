"""Bring the store's schema to this release's, and refuse to work with any other.

The migrations are part of the package and the configuration is built here, so an installed wheel needs no
``alembic.ini``. A store only moves forward: to go back, restore the backup taken before the upgrade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, String, column, func, inspect, select, table
from sqlalchemy.engine import URL

from cogent_ops.errors import StoreOutdated
from cogent_ops.store.engine import Database, create_file, database, describe, is_missing, parse_url

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

#: The schema this release works with: the youngest migration's id.
HEAD = "0005"
VERSION_TABLE = "cogent_ops_alembic_version"
UPGRADE = "cogent-ops store upgrade"
#: Any number, as long as every release uses the same: two upgrades at a time wait for each other.
_UPGRADE_LOCK = 0x636F67656E74


def head_revision() -> str:
    """The schema revision that this release needs."""
    return HEAD


def current_revision(url: str | URL | None = None) -> str | None:
    """The store's schema revision; ``None`` when it has no tables of ours (a missing file is not created).

    :raises StoreUnavailable: when the database is out of reach.
    :raises ConnectionConfigError: when it cannot be used as it is, with the cure.
    """
    return _current(database(parse_url(url)))


def upgrade(url: str | URL | None = None) -> str:
    """Create the store's tables or bring them up to date, all or nothing; returns the revision reached.

    :raises StoreOutdated: when the store is newer than this release.
    :raises StoreUnavailable: when the database is out of reach.
    :raises ConnectionConfigError: when it cannot be used as it is, with the cure.
    """
    parsed = parse_url(url)
    create_file(parsed)
    opened = database(parsed)
    with opened.begin() as conn:
        if not opened.is_sqlite:
            conn.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        current = _revision(conn)
        if current is not None:
            _refuse_newer(parsed, current)
        _run_migrations(conn)
    return HEAD


def require_current(opened: Database) -> None:
    """Check that the store has this release's schema.

    :raises StoreOutdated: naming the command that mends it, when it has another or none.
    """
    current = _current(opened)
    if current == HEAD:
        return
    if current is None:
        raise StoreOutdated(f"The store {describe(opened.url)} has no tables yet. Run: {UPGRADE}")
    _refuse_newer(opened.url, current)
    raise StoreOutdated(
        f"The store {describe(opened.url)} has schema {current}, this release needs {HEAD}. Back it up, "
        f"pause the DAGs and run: {UPGRADE}"
    )


def _refuse_newer(url: URL, current: str) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if current not in known:
        raise StoreOutdated(
            f"The store {describe(url)} has schema {current}, which this release (schema {HEAD}) does not "
            "know: a newer one wrote it. Upgrade the package here too: pip install --upgrade cogent-ops"
        )


def _current(opened: Database) -> str | None:
    if is_missing(opened.url):
        return None
    with opened.read() as conn:
        return _revision(conn)


def _revision(conn: Connection) -> str | None:
    if not inspect(conn).has_table(VERSION_TABLE):
        return None
    query = select(column("version_num", String)).select_from(table(VERSION_TABLE))
    return conn.execute(query).scalar_one_or_none()


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "cogent_ops.store:migrations")
    return config


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())


def _run_migrations(conn: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = conn
    command.upgrade(config, HEAD)
