"""Values: moments, dirty text and JSON come back alike from both databases."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.store import Store
from cogent_ops.store.schema import audit_log

#: One database serves all examples of a property; each has a link of its own.
examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAIVE = datetime(2026, 11, 20, 12)  # noqa: DTZ001  (that is the point)
EARLIEST, LATEST = NAIVE.replace(year=1900), NAIVE.replace(year=2999)
anything = st.text(st.characters(exclude_categories=()), max_size=20)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(EARLIEST, LATEST, timezones=zones)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | anything
)
documents = st.dictionaries(
    anything,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3)
    ),
    max_size=4,
)


@examples
@given(moment=moments)
def test_a_moment_comes_back_in_utc(store: Store, moment: datetime) -> None:
    link = str(uuid4())
    with store.begin() as conn:
        store.watermarks.set(conn, link, "flow", moment)
    found = store.watermarks.get(link, "flow")
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


def test_a_moment_without_zone_is_refused(store: Store) -> None:
    refused = pytest.raises((ValueError, sa.exc.StatementError), match="timezone-aware times only")
    with refused, store.begin() as conn:
        store.watermarks.set(conn, "x", "flow", NAIVE)
    with refused:
        store.runs.start("x", "flow", "run", "delta", window=(None, NAIVE))
    with refused, store.begin() as conn:
        conn.execute(audit_log.insert().values(at=NAIVE, actor="a", action="b", subject="c", detail={}))
    assert store.watermarks.get("x", "flow") is None
    assert store.runs.recent() == []
    assert store.audit_log.entries() == []


@examples
@given(text=anything)
def test_dirty_text_is_stored_as_well_as_it_can_be(store: Store, text: str) -> None:
    link = str(uuid4())
    store.fingerprints.remember(link, "product", {text: text}, "run")
    ((key, value),) = store.fingerprints.known(link, "product", [text]).items()
    assert key == value == next(store.fingerprints.ids(link, "product"))
    assert "\0" not in value
    value.encode()  # holds no half of a surrogate pair
    if "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text):
        assert value == text


@pytest.mark.parametrize(
    ("dirty", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("\ud83d", "\ufffd"),
        ("x\udc00y", "x\ufffdy"),
        ("\ud83d\ude00", "😀"),
        (Kind.PRODUCT_HELD, "product_held"),
    ],
)
def test_what_becomes_of_dirty_text(store: Store, dirty: str, stored: str) -> None:
    store.fingerprints.remember("x", "product", {"id": dirty}, "run")
    assert store.fingerprints.known("x", "product", ["id"]) == {"id": stored}


def test_dirty_keys_that_become_equal_are_one_record(store: Store) -> None:
    half = chr(0xDC00)
    store.fingerprints.remember(
        "x", "product", {"a\0": "1", "a\ufffd": "2", f"a{half}": "3", "b": "4"}, "run"
    )
    found = store.fingerprints.known("x", "product", ["a\0", "b"])
    assert sorted(found) == ["a\ufffd", "b"]
    assert found["a\ufffd"] in "123"


@examples
@given(document=documents)
def test_json_comes_back_as_it_was(store: Store, document: dict[str, Any]) -> None:
    link = str(uuid4())
    with store.begin() as conn:
        store.exceptions.raise_(conn, link, _exception(document), "run")
    store.audit_log.write("a", "b", link, document)
    (bulk,) = store.exceptions.open(link)
    (single,) = store.audit_log.entries(link)
    wanted = json.loads(json.dumps(document))
    assert bulk.payload == wanted
    assert single.detail == wanted


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_json_does_not_know_are_refused(store: Store, number: float) -> None:
    refused = pytest.raises((ValueError, sa.exc.StatementError), match="not JSON compliant")
    with refused, store.begin() as conn:
        store.exceptions.raise_(conn, "x", _exception({"price": number}), "run")
    with refused:
        store.audit_log.write("a", "b", "c", {"price": number})
    assert store.exceptions.open("x") == []
    assert store.audit_log.entries() == []


def _exception(payload: dict[str, Any]) -> NewException:
    return NewException(
        Kind.PRODUCT_HELD,
        "cause",
        "SKU-1",
        "sku",
        "rule",
        "message",
        "cure",
        Owner.MERCHANDISING,
        payload=payload,
    )
