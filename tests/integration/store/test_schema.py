"""Opening and upgrading: a store works with its own release's schema, or says what to run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from tests.support.databases import Databases
from tests.support.processes import together

from cogent_ops.errors import StoreOutdated
from cogent_ops.store import Store, current_revision, head_revision, migration, open_store, schema, upgrade
from cogent_ops.store.engine import Database, database, default_url

LITERAL = re.compile(r"'(\w+)'")
OURS = {*schema.metadata.tables, migration.VERSION_TABLE}


def test_migrations_build_the_tables_that_the_code_uses(store_url: URL) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database(store_url).read() as conn:
        context = MigrationContext.configure(
            conn, opts={"version_table": migration.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []
        assert _checks(conn) == {
            constraint.name: set(LITERAL.findall(str(constraint.sqltext)))
            for table in schema.metadata.sorted_tables
            for constraint in table.constraints
            if isinstance(constraint, sa.CheckConstraint)
        }


def test_text_sorts_by_code_point_on_both(store: Store) -> None:
    words = ["a", "B", "é", "Z", "ö", "中", "😀", "\uffff"]
    store.fingerprints.remember("x", "word", dict.fromkeys(words, "1"), "run")
    assert list(store.fingerprints.ids("x", "word")) == sorted(words)


@pytest.mark.postgres
def test_postgresql_sorts_every_text_by_code_point(postgresql_databases: Databases) -> None:
    collations = sa.text(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'text'"
    )
    with postgresql_databases.current() as url, database(url).read() as conn:
        columns = conn.execute(collations).all()
    assert columns
    assert [column for column in columns if column.collation_name != "C"] == []


def test_the_revision_needed_is_the_youngest_migration() -> None:
    assert migration._scripts().get_current_head() == head_revision()


def test_upgrading_twice_changes_nothing(empty_url: URL) -> None:
    assert current_revision(empty_url) is None
    assert upgrade(empty_url) == head_revision()
    open_store(empty_url).fingerprints.remember("x", "product", {"a": "1"}, "run")
    assert upgrade(empty_url) == current_revision(empty_url) == head_revision()
    assert open_store(empty_url).fingerprints.known("x", "product", ["a"]) == {"a": "1"}


def test_an_upgrade_that_fails_leaves_nothing(empty_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    real = migration._run_migrations

    def fail_at_the_end(conn: sa.Connection) -> None:
        real(conn)
        raise OSError("power cut")

    monkeypatch.setattr(migration, "_run_migrations", fail_at_the_end)
    with pytest.raises(OSError, match="power cut"):
        upgrade(empty_url)
    with database(empty_url).read() as conn:
        assert sa.inspect(conn).get_table_names() == []
    monkeypatch.undo()
    assert upgrade(empty_url) == head_revision()


def test_upgrades_at_the_same_time_wait_for_each_other(empty_url: URL) -> None:
    def work(_: int) -> str:
        reached = upgrade(empty_url)
        open_store(empty_url).fingerprints.known("x", "product", ["a"])
        return reached

    assert together(work, 4) == [head_revision()] * 4
    with database(empty_url).read() as conn:
        assert set(sa.inspect(conn).get_table_names()) == OURS


def test_a_store_without_tables_is_refused(empty_url: URL) -> None:
    with pytest.raises(StoreOutdated, match=r"has no tables yet\. Run: cogent-ops store upgrade"):
        open_store(empty_url)
    with pytest.raises(StoreOutdated):
        open_store(empty_url, create=True)  # only the embedded store is created on the way


def test_an_older_store_is_refused_until_upgraded(store_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "HEAD", "9999")
    with pytest.raises(StoreOutdated, match=r"has schema 0005, this release needs 9999\. .*store upgrade"):
        open_store(store_url)
    with pytest.raises(StoreOutdated, match="store upgrade"):
        open_store(store_url, create=True)


def test_a_newer_store_is_refused_and_left_alone(empty_url: URL) -> None:
    upgrade(empty_url)
    _set_revision(database(empty_url), "9999")
    for attempt in (open_store, upgrade):
        with pytest.raises(StoreOutdated, match=r"schema 9999.*does not know.*pip install --upgrade"):
            attempt(empty_url)
    assert current_revision(empty_url) == "9999"


def test_another_programs_tables_are_left_alone(empty_url: URL, databases: Databases) -> None:
    upgrade(empty_url)
    with database(empty_url).begin() as conn:
        conn.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        conn.exec_driver_sql("INSERT INTO alembic_version VALUES ('theirs')")
    assert current_revision(empty_url) == upgrade(empty_url) == head_revision()
    with database(empty_url).read() as conn:
        assert conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "theirs"


def test_asking_creates_no_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/folder/store.db"
    assert current_revision(url) is None
    with pytest.raises(StoreOutdated):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_store_is_created_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    with pytest.raises(StoreOutdated):
        open_store()
    store = open_store(create=True)
    assert Path(str(default_url().database)) == tmp_path / "home" / "cogent_ops.db"
    assert open_store().watermarks.get("x", "flow") is None
    store.close()


def _set_revision(opened: Database, revision: str) -> None:
    table = sa.table(migration.VERSION_TABLE, sa.column("version_num"))
    with opened.begin() as conn:
        conn.execute(sa.update(table).values(version_num=revision))


def _checks(conn: sa.Connection) -> dict[str | None, set[str]]:
    """The words that each check constraint admits; the databases spell the rest of it differently."""
    inspector = sa.inspect(conn)
    return {
        check["name"]: set(LITERAL.findall(check["sqltext"]))
        for table in inspector.get_table_names()
        for check in inspector.get_check_constraints(table)
    }
