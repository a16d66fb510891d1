"""Somebody at the sandbox, over plain HTTP, who knows nothing of the package: what they count is evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx

Json = dict[str, Any]

_PAGE = 500
_TRIES = 20
_KIOSK_PAGE = 100
_ORDERS = """query ($first: Int!, $after: String) { orders(first: $first, after: $after) {
    pageInfo { hasNextPage endCursor } edges { node { id status thirdPartyId } } } }"""


class Sandbox:
    """The control endpoint and both APIs. Reading is tried again where an API misbehaves.

    :param announced: what the sandbox's ``--ready-file`` says of it.
    """

    def __init__(self, announced: Json) -> None:
        self._http = httpx.Client(timeout=60)
        self._control_url = announced["control_url"]
        self._shop, self._kiosk = (
            json.loads(announced["connections"][f"AIRFLOW_CONN_{name}_DEFAULT"])
            for name in ("COMMERCETOOLS", "CLOUDSHELF")
        )
        self._own_failures = 0

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    # Control

    def change(self, what: str, **given: Any) -> Json:
        """Let somebody do something."""
        return self.control("POST", "/change", {"change": what, **given})

    def state(self, api: str) -> Json:
        """All that one of the two systems holds."""
        return self.control("GET", f"/state/{api}")

    def sizes(self, api: str) -> dict[str, int]:
        """How many of what one of the two systems holds."""
        found: dict[str, int] = self.control("GET", "/state")[api]
        return found

    def inventory(self) -> dict[str, int]:
        """Units on stock by ``<SKU>@<Channel>``."""
        return {place: stock[0] for place, stock in self.state("commercetools")["inventory"].items()}

    def misbehave(self, plan: Json) -> None:
        """Let the APIs fail from now on."""
        self.control("PUT", "/faults", plan)

    def calm(self) -> None:
        """Let the APIs work again."""
        self.control("DELETE", "/faults")

    def faults(self) -> int:
        """How often an API misbehaved so far, to others than this."""
        found: dict[str, int] = self.control("GET", "/counters")["faults"]
        return sum(found.values()) - self._own_failures

    def control(self, method: str, path: str, body: Json | None = None) -> Json:
        """One request to the control endpoint."""
        answer = self._http.request(method, f"{self._control_url}{path}", json=body)
        found: Json = answer.raise_for_status().json()
        return found

    # The two APIs

    def graphql(self, query: str, **variables: Any) -> Json:
        """The data of a request to Cloudshelf."""
        headers = {"authorization": f"Token {self._kiosk['password']}"}
        content = {"query": query, "variables": variables}
        answer = self._asked("POST", self._kiosk["host"], json=content, headers=headers)
        if "errors" in answer:
            raise ValueError(f"Cloudshelf refused: {answer['errors']}")
        found: Json = answer["data"]
        return found

    def kiosk_orders(self) -> dict[str, Json]:
        """Status and ``thirdPartyId`` of every order at Cloudshelf, by id."""
        found: dict[str, Json] = {}
        after = None
        while True:
            page = self.graphql(_ORDERS, first=_KIOSK_PAGE, after=after)["orders"]
            found |= {edge["node"]["id"]: edge["node"] for edge in page["edges"]}
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return found

    def shop_orders(self) -> Iterator[Json]:
        """Every order in commercetools, with its payments."""
        token, last = self._token(), ""
        while True:
            params: dict[str, str | int] = {"limit": _PAGE, "sort": "id asc", "withTotal": "false"}
            params["expand"] = "paymentInfo.payments[*]"
            if last:
                params["where"] = f'id > "{last}"'
            url = f"{self._shop['host']}/{self._shop['extra']['project_key']}/orders"
            page = self._asked("GET", url, params=params, headers={"authorization": f"Bearer {token}"})[
                "results"
            ]
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]["id"]

    def subscribe(self, key: str) -> None:
        """Have commercetools tell a queue of changes of the inventory from now on."""
        draft = {
            "key": key,
            "destination": {
                "type": "SQS",
                "queueUrl": "https://queue.example/stock",
                "region": "eu-central-1",
            },
            "changes": [{"resourceTypeId": "inventory-entry"}],
        }
        url = f"{self._shop['host']}/{self._shop['extra']['project_key']}/subscriptions"
        self._asked("POST", url, json=draft, headers={"authorization": f"Bearer {self._token()}"})

    def _token(self) -> str:
        url = f"{self._shop['extra']['auth_url']}/oauth/token"
        client = (self._shop["login"], self._shop["password"])
        answer = self._asked("POST", url, data={"grant_type": "client_credentials"}, auth=client)
        return str(answer["access_token"])

    def _asked(self, method: str, url: str, **how: Any) -> Json:
        for _ in range(_TRIES):
            with suppress(httpx.TransportError):
                answer = self._http.request(method, url, **how)
                if not answer.is_server_error:
                    found: Json = answer.raise_for_status().json()
                    return found
            self._own_failures += 1
        raise ConnectionError(f"{url} does not answer.")
