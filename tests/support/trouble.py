"""An exception as a flow raises it, for tests of what becomes of exceptions."""

from __future__ import annotations

from datetime import datetime

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.store import Store

HELD = NewException(
    kind=Kind.PRODUCT_HELD,
    cause_key="p1/1/gtin",
    record="SKU-1",
    field="gtin",
    rule="gtin_check_digit",
    message="Rug: check digit is 3, not 4",
    cure="Correct the GTIN.",
    owner=Owner.MERCHANDISING,
    payload={"value": "4012345678904"},
)


def raise_(
    store: Store,
    *new: NewException,
    link: str = "default",
    run: str = "r1",
    deadline: datetime | None = None,
) -> None:
    """Raise exceptions in a transaction of their own."""
    with store.begin() as conn:
        store.exceptions.raise_many(conn, link, new, run, deadline=deadline)
