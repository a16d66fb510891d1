"""What is known of a link's catalogue: who carries which SKU, and what the kiosk shows of each product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Integer, and_, bindparam, case, delete, func, or_, select, update
from sqlalchemy.engine import Row

from cogent_ops.domain.text import fold
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import group_member, product_state, sku_registry, sync_run
from cogent_ops.store.sql import (
    ROWS_PER_PAGE,
    Values,
    chunks,
    now,
    pages,
    take_turns,
    upsert,
)

ProductStatus = Literal["pushed", "partial", "held"]
VariantKey = tuple[str, int]
#: Order hint by group, by product: the groups that a kiosk shows it in.
Memberships = Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True)
class ProductState:
    """A product after the last run that judged it.

    :param status: the verdict: whole on the kiosk, some variants held back, or held.
    :param on_kiosk: whether the kiosk shows it; a held update leaves the last good version there.
    :param recheck: its hold may end without a change of the product, so every run looks again.
    :param skus: what the kiosk shows of its variants.
    :param group_ids: groups it is shown in, sorted.
    :param group_order: commercetools' order hint (a decimal fraction as text) by group, where there is one.
    :param recorded_at: when the store noted it; no part of what is compared.
    """

    product_id: str
    product_key: str
    product_name: str
    version: int
    modified_at: datetime
    status: ProductStatus
    on_kiosk: bool
    recheck: bool = False
    skus: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    group_order: Mapping[str, str] = field(default_factory=dict)
    recorded_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Sort the groups and keep each once: equal states compare equal."""
        object.__setattr__(self, "group_ids", tuple(sorted(set(self.group_ids))))


class Totals(NamedTuple):
    """What the kiosks of a link should hold."""

    products: int
    variants: int
    groups: int


class Catalogue:
    """The catalogue of every link."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Which variant carries which SKU.

    def register_skus(
        self, link: str, run_key: str, product_ids: Iterable[str], rows: Iterable[tuple[str, str, int]]
    ) -> None:
        """Replace what is registered of some products; repeating it within a run changes nothing.

        :param product_ids: all products concerned, also those whose variants carry no SKU.
        :param rows: (SKU, product id, variant id) of each variant that carries one.
        """
        carried = {(product_id, variant_id): sku for sku, product_id, variant_id in rows}
        concerned = sorted({*product_ids, *(product_id for product_id, _ in carried)})
        moment = now()
        with self._database.begin() as conn:
            take_turns(conn, "catalogue", link)
            before = _registered(conn, link, concerned)
            changed = {
                key: sku for key, sku in carried.items() if key not in before or before[key].sku != sku
            }
            same = {product_id for product_id, _ in carried.keys() - changed.keys()}
            _see_again(conn, link, sorted(same), run_key, moment)
            upsert(
                conn,
                sku_registry,
                [
                    _registry_row(link, key, sku, _sku_before(before.get(key), run_key), run_key, moment)
                    for key, sku in changed.items()
                ],
            )
            _unregister(conn, link, [key for key in before if key not in carried])

    def previous_skus(
        self, link: str, product_ids: Iterable[str], *, run_key: str | None = None
    ) -> dict[VariantKey, str]:
        """SKU by (product id, variant id), as the last run left it.

        :param run_key: the present run, whose own registrations do not count: with it the answer is the same
            before and after this run (or an earlier try of it) registered the products.
        """
        with self._database.read() as conn:
            before = _registered(conn, link, product_ids)
        skus = {key: _sku_before(row, run_key) for key, row in before.items()}
        return {key: sku for key, sku in skus.items() if sku is not None}

    def registered(self, link: str, skus: Iterable[str]) -> set[str]:
        """Those of the SKUs that some variant carries."""
        found: set[str] = set()
        with self._database.read() as conn:
            for chunk in chunks(skus):
                query = select(sku_registry.c.sku).where(
                    sku_registry.c.link == link, sku_registry.c.sku.in_(chunk)
                )
                found.update(conn.execute(query).scalars())
        return found

    def sku_conflicts(self, link: str, skus: Iterable[str]) -> dict[str, int]:
        """How many variants of the whole catalogue carry each SKU, of those carried by more than one."""
        s = sku_registry.c
        conflicts: dict[str, int] = {}
        with self._database.read() as conn:
            for chunk in chunks(skus):
                query = (
                    select(s.sku, func.count())
                    .where(s.link == link, s.sku.in_(chunk))
                    .group_by(s.sku)
                    .having(func.count() > 1)
                )
                conflicts.update((sku, count) for sku, count in conn.execute(query))
        return conflicts

    def lookalikes(self, link: str, skus: Iterable[str]) -> dict[str, str]:
        """By SKU, another one of the catalogue that differs by case or white space only, if any."""
        s = sku_registry.c
        wanted = list(skus)
        alike: dict[str, set[str]] = {}
        with self._database.read() as conn:
            for chunk in chunks({fold(sku) for sku in wanted}):
                query = select(s.folded, s.sku).where(s.link == link, s.folded.in_(chunk)).distinct()
                for folded, sku in conn.execute(query):
                    alike.setdefault(folded, set()).add(sku)
        others = {sku: alike.get(fold(sku), set()) - {sku} for sku in wanted}
        return {sku: min(found) for sku, found in others.items() if found}

    def carried_elsewhere(self, link: str, skus: Iterable[str], product_id: str) -> dict[str, set[str]]:
        """Ids of the other products that carry one of the SKUs, by SKU."""
        s = sku_registry.c
        found: dict[str, set[str]] = {}
        with self._database.read() as conn:
            for chunk in chunks(skus):
                query = select(s.sku, s.product_id).where(s.link == link, s.sku.in_(chunk))
                for sku, other in conn.execute(query.where(s.product_id != product_id)):
                    found.setdefault(sku, set()).add(other)
        return found

    def prune_skus(self, link: str, run_key: str) -> int:
        """After a run that read the whole catalogue: drop what it did not see; returns how many SKUs went.

        What another run registered since this one began stays: it may have seen what this one read too early.
        """
        s, r = sku_registry.c, sync_run.c
        began = select(func.min(r.started_at)).where(r.link == link, r.run_key == run_key).scalar_subquery()
        older = or_(began.is_(None), s.updated_at < began)
        with self._database.begin() as conn:
            take_turns(conn, "catalogue", link)
            gone = delete(sku_registry).where(s.link == link, s.run_key != run_key, older)
            return conn.execute(gone).rowcount

    # What an identifier is that is no SKU.

    def skus_alike(self, link: str, forms: Iterable[str]) -> list[str]:
        """Registered SKUs that have one of these forms without case and white space, in order. See :func:`fold`."""
        s, found = sku_registry.c, set[str]()
        with self._database.read() as conn:
            for chunk in chunks({fold(form) for form in forms}):
                query = select(s.sku).where(s.link == link, s.folded.in_(chunk))
                found.update(conn.execute(query).scalars())
        return sorted(found)

    def skus_beginning(self, link: str, beginning: str, limit: int) -> list[str]:
        """Registered SKUs that begin like this, case and white space aside; the first ones in order."""
        s, start = sku_registry.c, fold(beginning)
        query = select(s.sku).where(s.link == link, s.folded >= start, s.folded < start + "\U0010ffff")
        with self._database.read() as conn:
            return list(conn.execute(query.distinct().order_by(s.sku).limit(limit)).scalars())

    def skus_now(self, link: str, former: str) -> list[str]:
        """SKUs of the variants that carried this one before the run that saw them last."""
        s = sku_registry.c
        query = select(s.sku).where(s.link == link, s.previous_sku == former, s.sku != former)
        with self._database.read() as conn:
            return list(conn.execute(query.distinct().order_by(s.sku)).scalars())

    def skus_of_product(self, link: str, named: str) -> list[str]:
        """SKUs of the product that has this id or this key, by variant."""
        s, p = sku_registry.c, product_state.c
        ids = select(p.product_id).where(p.link == link, or_(p.product_key == named, p.product_id == named))
        mine = or_(s.product_id == named, s.product_id.in_(ids))
        query = select(s.sku).where(s.link == link, mine).order_by(s.product_id, s.variant_id)
        with self._database.read() as conn:
            return list(conn.execute(query).scalars())

    # What the kiosk shows.

    def record_products(self, link: str, run_key: str, states: Iterable[ProductState]) -> None:
        """Replace the states of some products, with their group membership."""
        by_id = {state.product_id: state for state in states}
        if not by_id:
            return
        moment = now()
        rows = [_state_row(link, run_key, moment, state) for state in by_id.values()]
        members = [row for state in by_id.values() for row in _member_rows(link, state)]
        m = group_member.c
        with self._database.begin() as conn:
            take_turns(conn, "catalogue", link)
            upsert(conn, product_state, rows)
            for chunk in chunks(sorted(by_id)):
                conn.execute(delete(group_member).where(m.link == link, m.product_id.in_(chunk)))
            upsert(conn, group_member, members)

    def states(self, link: str, product_ids: Iterable[str]) -> dict[str, ProductState]:
        """State by product id, of those products that have one."""
        p = product_state.c
        found: dict[str, ProductState] = {}
        for chunk in chunks(product_ids):
            with self._database.read() as conn:
                query = select(product_state).where(p.link == link, p.product_id.in_(chunk))
                states = _with_groups(conn, link, conn.execute(query).all())
                found.update((state.product_id, state) for state in states)
        return found

    def products(self, link: str, status: ProductStatus | None = None) -> Iterator[ProductState]:
        """All states (with this status) by product id; no transaction stays open between pages."""
        p = product_state.c
        query = select(product_state).where(p.link == link)
        if status is not None:
            query = query.where(p.status == status)
        for page in chunks(pages(self._database, query, p.product_id), ROWS_PER_PAGE):
            with self._database.read() as conn:
                states = list(_with_groups(conn, link, page))
            yield from states

    def product_ids(self, link: str, *, on_kiosk: bool = False) -> Iterator[str]:
        """Ids of all products that have a state, or only of those that the kiosk shows."""
        p = product_state.c
        query = select(p.product_id).where(p.link == link)
        if on_kiosk:
            query = query.where(p.on_kiosk)
        return (row.product_id for row in pages(self._database, query, p.product_id))

    def recheck_ids(self, link: str) -> list[str]:
        """Ids of products whose hold may have ended without a change of their own."""
        p = product_state.c
        query = select(p.product_id).where(p.link == link, p.recheck).order_by(p.product_id)
        with self._database.read() as conn:
            return list(conn.execute(query).scalars())

    def group_members(
        self, link: str, group_ids: Iterable[str], *, instead: Memberships | None = None
    ) -> dict[str, list[str]]:
        """Ids of the products that the kiosk shows in each group, in order; every group asked for has a list.

        Products with an order hint come first, the smallest hint leading; ties and the rest by product id.

        :param instead: groups of some products as they might be, in place of those that are stored.
        """
        m, p = group_member.c, product_state.c
        supposed = instead or {}
        found: dict[str, list[tuple[str | None, str]]] = {group_id: [] for group_id in group_ids}
        for product_id, hints in supposed.items():
            for group_id in hints.keys() & found.keys():
                found[group_id].append((hints[group_id], product_id))
        shown = and_(p.link == m.link, p.product_id == m.product_id, p.on_kiosk)
        query = select(m.group_id, m.order_hint, m.product_id).join(product_state, shown)
        with self._database.read() as conn:
            for chunk in chunks(list(found)):
                for group_id, hint, product_id in conn.execute(
                    query.where(m.link == link, m.group_id.in_(chunk))
                ):
                    if product_id not in supposed:
                        found[group_id].append((hint, product_id))
        return {group_id: _ranked(members) for group_id, members in found.items()}

    def members(self, link: str, *, instead: Memberships | None = None) -> Iterator[tuple[str, str]]:
        """(Group id, product id) group by group, each in the order of :meth:`group_members`."""
        m = group_member.c
        query = select(m.group_id).where(m.link == link).distinct()
        stored = (row.group_id for row in pages(self._database, query, m.group_id))
        supposed = {group_id for hints in (instead or {}).values() for group_id in hints}
        for chunk in chunks(dict.fromkeys(chain(stored, sorted(supposed))), 50):
            for group_id, product_ids in self.group_members(link, chunk, instead=instead).items():
                yield from ((group_id, product_id) for product_id in product_ids)

    def totals(self, link: str) -> Totals:
        """How many products, variants and groups with products the kiosk shows."""
        m, p = group_member.c, product_state.c
        length = func.json_array_length(p.skus, type_=Integer)
        counted = select(func.count(), func.coalesce(func.sum(length), 0)).where(p.link == link, p.on_kiosk)
        shown = and_(p.link == m.link, p.product_id == m.product_id, p.on_kiosk)
        groups = select(func.count(m.group_id.distinct())).join(product_state, shown).where(m.link == link)
        with self._database.read() as conn:
            products, variants = conn.execute(counted).one()
            return Totals(products, int(variants), conn.execute(groups).scalar_one())

    def remove_products(self, link: str, product_ids: Iterable[str]) -> None:
        """Forget products that are gone: state, membership and registered SKUs."""
        listed = sorted(set(product_ids))
        if not listed:
            return
        with self._database.begin() as conn:
            take_turns(conn, "catalogue", link)
            for chunk in chunks(listed):
                for table in (product_state, sku_registry):  # memberships go with the state
                    conn.execute(delete(table).where(table.c.link == link, table.c.product_id.in_(chunk)))


class _Registered(NamedTuple):
    sku: str
    previous_sku: str | None
    run_key: str


def _registered(conn: Connection, link: str, product_ids: Iterable[str]) -> dict[VariantKey, _Registered]:
    s = sku_registry.c
    columns = (s.product_id, s.variant_id, s.sku, s.previous_sku, s.run_key)
    return {
        (product_id, variant_id): _Registered(*rest)
        for chunk in chunks(product_ids)
        for product_id, variant_id, *rest in conn.execute(
            select(*columns).where(s.link == link, s.product_id.in_(chunk))
        )
    }


def _sku_before(row: _Registered | None, run_key: str | None) -> str | None:
    """The SKU a variant carried before the run, which may have registered it already."""
    if row is None:
        return None
    return row.previous_sku if row.run_key == run_key else row.sku


def _registry_row(
    link: str, key: VariantKey, sku: str, previous: str | None, run_key: str, moment: datetime
) -> Values:
    return {
        "link": link,
        "product_id": key[0],
        "variant_id": key[1],
        "sku": sku,
        "folded": fold(sku),
        "previous_sku": previous,
        "run_key": run_key,
        "updated_at": moment,
    }


def _see_again(conn: Connection, link: str, product_ids: list[str], run_key: str, moment: datetime) -> None:
    """Note that a run saw all variants of some products as they were: much cheaper than writing each anew."""
    s = sku_registry.c
    seen = update(sku_registry).values(
        previous_sku=case((s.run_key == run_key, s.previous_sku), else_=s.sku),
        run_key=run_key,
        updated_at=moment,
    )
    for chunk in chunks(product_ids):
        conn.execute(seen.where(s.link == link, s.product_id.in_(chunk)))


def _unregister(conn: Connection, link: str, keys: list[VariantKey]) -> None:
    """One statement a variant: SQLite would look for pairs of (product, variant) in the whole link."""
    s = sku_registry.c
    one = delete(sku_registry).where(
        s.link == link, s.product_id == bindparam("product"), s.variant_id == bindparam("variant")
    )
    if keys:
        conn.execute(one, [{"product": product_id, "variant": variant_id} for product_id, variant_id in keys])


def _state_row(link: str, run_key: str, moment: datetime, state: ProductState) -> Values:
    return {
        "link": link,
        "product_id": state.product_id,
        "product_key": state.product_key,
        "product_name": state.product_name,
        "version": state.version,
        "modified_at": state.modified_at,
        "status": state.status,
        "on_kiosk": state.on_kiosk,
        "recheck": state.recheck,
        "skus": list(state.skus),
        "run_key": run_key,
        "updated_at": moment,
    }


def _member_rows(link: str, state: ProductState) -> Iterator[Values]:
    for group_id in state.group_ids:
        yield {
            "link": link,
            "group_id": group_id,
            "product_id": state.product_id,
            "order_hint": state.group_order.get(group_id),
        }


def _with_groups(conn: Connection, link: str, rows: Iterable[Row[Any]]) -> Iterator[ProductState]:
    """States from rows, with the groups that a second query finds."""
    listed = list(rows)
    m = group_member.c
    hints: dict[str, dict[str, str | None]] = {}
    for chunk in chunks([row.product_id for row in listed]):
        query = select(m.product_id, m.group_id, m.order_hint).where(m.link == link, m.product_id.in_(chunk))
        for product_id, group_id, hint in conn.execute(query.order_by(m.product_id, m.group_id)):
            hints.setdefault(product_id, {})[group_id] = hint
    for row in listed:
        groups = hints.get(row.product_id, {})
        yield ProductState(
            product_id=row.product_id,
            product_key=row.product_key,
            product_name=row.product_name,
            version=row.version,
            modified_at=row.modified_at,
            status=row.status,
            on_kiosk=row.on_kiosk,
            recheck=row.recheck,
            skus=tuple(row.skus),
            group_ids=tuple(groups),
            group_order={group_id: hint for group_id, hint in groups.items() if hint is not None},
            recorded_at=row.updated_at,
        )


def _ranked(members: Iterable[tuple[str | None, str]]) -> list[str]:
    """Product ids by order hint, then by id."""
    return [product_id for _, product_id in sorted((_rank(hint), product_id) for hint, product_id in members)]


def _rank(order_hint: str | None) -> tuple[bool, Decimal]:
    """Numeric order of hints: they are decimals as text, and one that is no number counts as none."""
    try:
        hint = Decimal(order_hint or "NaN")
    except InvalidOperation:
        hint = Decimal("NaN")
    return (False, hint) if hint.is_finite() else (True, Decimal(0))
