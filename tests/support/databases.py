"""Databases for tests on both engines, removed after use."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

from psycopg import sql
from sqlalchemy.engine import URL
from tests.support.postgres import connect

from cogent_ops.store import upgrade
from cogent_ops.store.engine import database
from cogent_ops.store.schema import metadata


class Databases(ABC):
    """Lends databases on one engine."""

    @abstractmethod
    def empty(self) -> AbstractContextManager[URL]:
        """One without tables."""

    @abstractmethod
    def current(self) -> AbstractContextManager[URL]:
        """One with this release's tables, all empty; only one at a time, and its tables must stay as they are."""

    @abstractmethod
    def close(self) -> None:
        """Remove what remains."""


class SqliteDatabases(Databases):
    """Files in a folder. An empty database is a file that does not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        self._template = self._url()
        upgrade(self._template)
        database(self._template).close()

    @contextmanager
    def empty(self) -> Iterator[URL]:
        url = self._url()
        try:
            yield url
        finally:
            _remove(url)

    @contextmanager
    def current(self) -> Iterator[URL]:
        with self.empty() as url:
            Path(str(url.database)).parent.mkdir()
            shutil.copy(str(self._template.database), str(url.database))
            yield url

    def close(self) -> None:
        _remove(self._template)

    def _url(self) -> URL:
        return URL.create("sqlite", database=str(self._folder / str(next(self._numbers)) / "store.db"))


class PostgresDatabases(Databases):
    """Databases on a server. Creating one takes long, so the one with tables is emptied and used again."""

    def __init__(self, server: URL) -> None:
        self._server, self._prefix, self._numbers = server, f"cogent_ops_test_{uuid4().hex[:8]}", count()
        self._reused = self._create()
        upgrade(self._reused)

    @contextmanager
    def empty(self) -> Iterator[URL]:
        url = self._create()
        try:
            yield url
        finally:
            self._drop(url)

    @contextmanager
    def current(self) -> Iterator[URL]:
        tables = sql.SQL(", ").join(map(sql.Identifier, metadata.tables))
        with closing(connect(self._reused)) as connection:
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
        try:
            yield self._reused
        finally:
            database(self._reused).close()

    def close(self) -> None:
        self._drop(self._reused)

    def _create(self) -> URL:
        url = self._server.set(database=f"{self._prefix}_{next(self._numbers)}")
        self._execute("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", url)
        return url

    def _drop(self, url: URL) -> None:
        database(url).close()
        self._execute("DROP DATABASE {} WITH (FORCE)", url)

    def _execute(self, statement: str, url: URL) -> None:
        with closing(connect(self._server)) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(str(url.database))))


def _remove(url: URL) -> None:
    database(url).close()
    shutil.rmtree(Path(str(url.database)).parent, ignore_errors=True)
