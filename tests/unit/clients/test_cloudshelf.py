"""Cloudshelf: what its errors mean, and what its inputs look like."""

from __future__ import annotations

import pytest

from cogent_ops.clients.cloudshelf import CloudshelfAccount, location_input
from cogent_ops.clients.graphql_api import GraphqlError, load_document
from cogent_ops.domain.kiosk import KioskLocation, Metadata
from cogent_ops.errors import ConnectionConfigError


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        ("UNAUTHENTICATED", "The API key is missing or not valid.", "KEY"),
        ("INTERNAL_SERVER_ERROR", "Unauthorized", "KEY"),
        ("FORBIDDEN", "Forbidden resource", "ROLE"),
        ("GRAPHQL_ERROR", "You do not have permission to do this", "ROLE"),
        ("RATE_LIMITED", "", "RATE"),
        ("INTERNAL_SERVER_ERROR", "Rate limit exceeded", "RATE"),
        ("GRAPHQL_ERROR", "Not enough credits for this query", "RATE"),
        ("GRAPHQL_ERROR", "Too many requests", "RATE"),
        ("GRAPHQL_VALIDATION_FAILED", "The query exceeds the maximum complexity of 500.", "COMPLEX"),
        ("GRAPHQL_ERROR", "Query is too complex: 812", "COMPLEX"),
        ("GRAPHQL_VALIDATION_FAILED", "The query exceeds the maximum depth of 20.", "REFUSED"),
        ("INTERNAL_SERVER_ERROR", "Cannot read properties of undefined", "INTERNAL"),
        ("GRAPHQL_VALIDATION_FAILED", 'Cannot query field "x" on type "Product".', "REFUSED"),
        pytest.param("GRAPHQL_ERROR", "'Credit card holder' is no name", "REFUSED", id="quoted data"),
        pytest.param(
            "GRAPHQL_ERROR",
            "Variable '$input' got invalid value 'Men's credit complexity' at 'input[0].displayName'",
            "REFUSED",
            id="data in a coercion error",
        ),
        pytest.param("BAD_USER_INPUT", "Complexity is no category", "REFUSED", id="code beats words"),
        ("NEVER_HEARD_OF", "Something else", "REFUSED"),
    ],
)
def test_meaning(code: str, message: str, meaning: str) -> None:
    assert GraphqlError(code, message, None).meaning.name == meaning


LOCATION = KioskLocation(
    id="gid://external/CommercetoolsChannel/berlin",
    display_name="Berlin",
    country_code="DE",
    address1="Hauptstr. 1",
    city="Berlin",
    zip="10115",
    fulfills_online_orders=True,
    metadata=(Metadata(namespace="cogent", key="channel", data="berlin"),),
)
COMMON = {
    "id": LOCATION.id,
    "displayName": "Berlin",
    "countryCode": "DE",
    "fulfillsOnlineOrders": True,
    "metadata": [{"namespace": "cogent", "key": "channel", "data": "berlin"}],
}


def test_structured_address_is_complete_with_nulls_for_what_is_unknown() -> None:
    assert location_input(LOCATION, "structured") == COMMON | {
        "address1": "Hauptstr. 1",
        "address2": None,
        "city": "Berlin",
        "provinceCode": None,
        "zip": "10115",
        "phone": None,
        "email": None,
    }


def test_older_address_is_one_line() -> None:
    assert location_input(LOCATION, "address") == COMMON | {"address": "Hauptstr. 1, 10115 Berlin"}


@pytest.mark.parametrize(
    ("url", "key", "named"),
    [
        ("ingestapi.example.com/graphql", "key", "host (GraphQL URL)"),
        ("https://ingestapi.example.com/graphql", "", "password (API key)"),
        ("https://ingestapi.example.com/graphql", "hidden key", "password (API key)"),
    ],
)
def test_an_account_that_cannot_be_right_names_the_field(url: str, key: str, named: str) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        CloudshelfAccount("cloudshelf_default", url, key)
    assert caught.value.field == named
    assert "hidden" not in str(caught.value)


def test_an_account_shows_no_secret() -> None:
    account = CloudshelfAccount("cloudshelf_default", "https://ingestapi.example.com/graphql", "hidden-key")
    assert "hidden" not in repr(account)
    assert account.budget_name == "cloudshelf/cloudshelf_default"


def test_a_document_tells_its_operation() -> None:
    assert load_document("products")[1] == "Products"
