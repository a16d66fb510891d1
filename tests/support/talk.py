"""People who talk to a sandbox over plain HTTP, without any of our clients."""

from __future__ import annotations

from typing import Any

import httpx

from cogent_ops.sandbox.server import SandboxServer

Json = dict[str, Any]


class Shop:
    """Somebody at the commercetools API.

    :param scopes: what to ask for; all that the client may, when empty.
    """

    def __init__(self, server: SandboxServer, scopes: str = "") -> None:
        self.server = server
        self._project = f"{server.commercetools_url}/sandbox"
        self.http = httpx.Client(timeout=30)
        self.login(scopes)

    def login(self, scopes: str = "") -> Json:
        """Fetch a token and use it."""
        answer = self.token({"grant_type": "client_credentials", **({"scope": scopes} if scopes else {})})
        body: Json = answer.raise_for_status().json()
        self.http.headers["authorization"] = f"Bearer {body['access_token']}"
        return body

    def token(self, form: Json, secret: str = "sandbox-secret") -> httpx.Response:
        """The OAuth endpoint."""
        return httpx.post(f"{self.server.auth_url}/oauth/token", data=form, auth=("sandbox-client", secret))

    def ask(self, path: str, **params: Any) -> httpx.Response:
        """GET below the project."""
        return self.http.get(self._project + path, params=params or None)

    def get(self, path: str, **params: Any) -> Json:
        """The body of a GET, whatever the status."""
        return dict(self.ask(path, **params).json())

    def send(self, path: str, body: Any) -> httpx.Response:
        """POST below the project."""
        return self.http.post(self._project + path, json=body)

    def post(self, path: str, body: Any) -> Json:
        """The body of a POST, whatever the status."""
        return dict(self.send(path, body).json())

    def act(self, path: str, resource: Json, *actions: Json) -> Json:
        """Update a resource by its id, from the version given."""
        return self.post(
            f"{path}/{resource['id']}", {"version": resource["version"], "actions": list(actions)}
        )

    def delete(self, path: str, version: int) -> Json:
        """Delete a resource."""
        return dict(self.http.delete(self._project + path, params={"version": version}).json())


class Kiosk:
    """Somebody at the Cloudshelf API."""

    def __init__(self, server: SandboxServer, key: str = "sandbox-key") -> None:
        self.server, self.key = server, key

    def ask(self, query: str, **variables: Any) -> httpx.Response:
        """One GraphQL request."""
        headers = {"authorization": f"Token {self.key}"}
        return httpx.post(
            self.server.cloudshelf_url,
            json={"query": query, "variables": variables},
            headers=headers,
            timeout=30,
        )

    def data(self, query: str, **variables: Any) -> Json:
        """Its data; there must be no error."""
        body = self.ask(query, **variables).json()
        assert "errors" not in body, body
        return dict(body["data"])

    def error(self, query: str, **variables: Any) -> Json:
        """Its first error."""
        return dict(self.ask(query, **variables).json()["errors"][0])
