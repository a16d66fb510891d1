"""Databases for tests on both engines, made by copying a template and removed after use."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

from psycopg import sql
from sqlalchemy.engine import URL
from tests.support.postgres import connect

from cogent_ops.store import upgrade
from cogent_ops.store.engine import database


class Databases(ABC):
    """Makes databases on one engine."""

    @contextmanager
    def empty(self) -> Iterator[URL]:
        """One without tables."""
        with self._copied(None) as url:
            yield url

    @contextmanager
    def current(self) -> Iterator[URL]:
        """One with this release's tables, all empty."""
        with self._copied(self._template) as url:
            yield url

    def close(self) -> None:
        """Remove what remains."""
        database(self._template).close()
        self._remove(self._template)

    def __init__(self) -> None:
        self._template = self._create(None)
        upgrade(self._template)
        database(self._template).close()

    @contextmanager
    def _copied(self, template: URL | None) -> Iterator[URL]:
        url = self._create(template)
        try:
            yield url
        finally:
            database(url).close()
            self._remove(url)

    @abstractmethod
    def _create(self, template: URL | None) -> URL: ...

    @abstractmethod
    def _remove(self, url: URL) -> None: ...


class SqliteDatabases(Databases):
    """Files in a folder. An empty database is a file that does not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        super().__init__()

    def _create(self, template: URL | None) -> URL:
        file = self._folder / f"{next(self._numbers)}" / "store.db"
        if template is not None:
            file.parent.mkdir()
            shutil.copy(str(template.database), file)
        return URL.create("sqlite", database=str(file))

    def _remove(self, url: URL) -> None:
        shutil.rmtree(Path(str(url.database)).parent, ignore_errors=True)


class PostgresDatabases(Databases):
    """Databases on a server."""

    def __init__(self, server: URL) -> None:
        self._server, self._prefix, self._numbers = server, f"cogent_ops_test_{uuid4().hex[:8]}", count()
        super().__init__()

    def _create(self, template: URL | None) -> URL:
        url = self._server.set(database=f"{self._prefix}_{next(self._numbers)}")
        self._execute(
            "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE {}",
            str(url.database),
            "template0" if template is None else str(template.database),
        )
        return url

    def _remove(self, url: URL) -> None:
        self._execute("DROP DATABASE {} WITH (FORCE)", str(url.database))

    def _execute(self, statement: str, *names: str) -> None:
        with closing(connect(self._server)) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
