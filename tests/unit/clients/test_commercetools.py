"""commercetools: the one table of errors, predicates that fit a URI, accounts that show no secret."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.clients.commercetools import (
    ACTIONS,
    MAX_URI_BYTES,
    Action,
    CommercetoolsAccount,
    CommercetoolsClient,
    action_for,
    predicates,
)
from cogent_ops.clients.transport import Unlimited
from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import ConnectionConfigError
from cogent_ops.sandbox.predicates import parse_all
from cogent_ops.sandbox.shapes import FIELDS

SOUND: dict[str, Any] = {
    "conn_id": "commercetools_default",
    "api_url": "https://api.example.com:8443/base",
    "auth_url": "https://auth.example.com",
    "project_key": "shop",
    "client_id": "the-client-id",
    "client_secret": "the-client-secret",
}


@pytest.mark.parametrize(
    ("status", "codes", "action"),
    [
        (409, ["ConcurrentModification"], Action.REFETCH),
        (409, [], Action.REFETCH),
        (400, ["DuplicateField"], Action.ADOPT),
        (400, ["DuplicateFieldWithConflictingResource"], Action.ADOPT),
        (400, ["InvalidField", "DuplicateField"], Action.ADOPT),
        (400, ["InvalidOperation"], Action.PERMANENT),
        (400, ["OutOfStock"], Action.PERMANENT),
        (404, ["ResourceNotFound"], Action.PERMANENT),
        (414, [], Action.PERMANENT),
        (429, [], Action.RETRY),
        (500, ["General"], Action.REFETCH),
        (501, ["InvalidInput"], Action.PERMANENT),
        (502, ["BadGateway"], Action.RETRY),
        (503, ["OverCapacity"], Action.RETRY),
        (503, ["PendingOperation"], Action.RETRY),
        (503, [], Action.RETRY),
        (504, [], Action.REFETCH),
        pytest.param(599, ["NeverHeardOf"], Action.REFETCH, id="unknown server error leaves it open"),
        pytest.param(418, ["NeverHeardOf"], Action.PERMANENT, id="any other unknown answer is final"),
    ],
)
def test_action(status: int, codes: list[str], action: Action) -> None:
    assert action_for(status, codes) is action


def test_the_table_knows_every_action() -> None:
    assert {*ACTIONS.values(), action_for(400, [])} == set(Action)


texts = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=60)


@given(values=st.lists(texts, max_size=80), room=st.integers(150, 900))
def test_predicates_fit_and_name_every_value_once(values: list[str], room: int) -> None:
    parts = list(predicates("sku", values, room))
    assert all(len(part) <= room for part in parts)
    fitting = [value for value in values if len(next(predicates("sku", [value], 10_000))) <= room]
    named = [value for part in parts for value in _values(unquote(part))]
    assert named == list(dict.fromkeys(fitting))


def _values(predicate: str) -> list[str]:
    """What a server understands."""
    parsed: Any = parse_all([predicate], FIELDS["inventory"], {})[0]
    return list(parsed.node.values)


def test_a_nested_field_is_asked_for_where_it_is() -> None:
    (part,) = predicates("custom(fields(CS_OrderId))", ["a", "b"], 200)
    assert unquote(part) == 'custom(fields(CS_OrderId in ("a","b")))'
    parts = list(
        predicates("custom(fields(CS_OrderId))", [f"gid://cloudshelf/Order/{n}" for n in range(99)], 300)
    )
    assert all(len(part) <= 300 and part.endswith(")))") for part in parts)


def test_predicates_use_the_room() -> None:
    parts = list(predicates("sku", [f"SKU-{number:06}" for number in range(10_000)], MAX_URI_BYTES))
    assert all(len(part) > MAX_URI_BYTES - 30 for part in parts[:-1])


def test_a_value_that_no_uri_can_hold_is_left_out() -> None:
    assert [unquote(part) for part in predicates("sku", ["a", "x" * 9000, "b"], 200)] == ['sku in ("a","b")']


@given(text=st.text(st.characters(exclude_categories=["C"])))
def test_a_literal_means_its_text(text: str) -> None:
    parsed = parse_all([f"sku = {CommercetoolsClient.literal(text)}"], FIELDS["inventory"], {})[0]
    assert parsed.matches({"sku": text})


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("api_url", "api.example.com", "host"),
        ("api_url", "https://", "host"),
        ("api_url", "https://api.example.com/ x", "host"),
        ("api_url", "https://api.example.com:port", "host"),
        ("auth_url", "ftp://auth.example.com", "auth_url"),
        ("project_key", "", "project_key"),
        ("client_id", "", "login"),
        ("client_secret", "s3cret-with-newline\n", "password"),
        ("client_secret", "sécret-not-ascii", "password"),
    ],
)
def test_an_account_that_cannot_be_right_names_the_field(field: str, value: str, named: str) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        CommercetoolsAccount(**(SOUND | {field: value}))
    assert named in caught.value.field
    assert "commercetools_default" in str(caught.value)
    assert "cret-" not in str(caught.value)


def test_an_account_shows_no_secret() -> None:
    account = CommercetoolsAccount(**SOUND)
    assert "the-client" not in repr(account)
    assert account.budget_name == "commercetools/shop"


@pytest.mark.parametrize("size", [0, 501])
def test_a_page_size_that_the_api_refuses(size: int) -> None:
    client = CommercetoolsClient(CommercetoolsAccount(**SOUND), Unlimited(), Priority.CATALOGUE)
    with pytest.raises(ValueError, match="1 to 500"):
        list(client.pages("categories", page_size=size))


@pytest.mark.parametrize("which", [{}, {"id_": "a", "key": "b"}])
def test_one_identifier_is_needed(which: dict[str, str]) -> None:
    client = CommercetoolsClient(CommercetoolsAccount(**SOUND), Unlimited(), Priority.CATALOGUE)
    with pytest.raises(ValueError, match="either an id or a key"):
        client.get("types", **which)
