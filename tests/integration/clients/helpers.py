"""What the tests of the clients share: accounts of a sandbox, quick tunings, a server that does as it is told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cogent_ops.clients.cloudshelf import CloudshelfAccount, CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsAccount, CommercetoolsClient
from cogent_ops.clients.transport import RateBudget, Tuning, Unlimited
from cogent_ops.domain.priorities import Priority
from cogent_ops.sandbox.server import SandboxServer

Json = dict[str, Any]

SECRET = "sandbox-secret"
KEY = "sandbox-key"
#: Pauses too short to notice; a circuit that only opens where a test wants it.
QUICK = Tuning(
    connect_seconds=5,
    read_seconds=10,
    backoff_seconds=0.01,
    longest_backoff_seconds=0.05,
    total_seconds=30,
    attempts=8,
    breaker_failures=10_000,
)


def shop(
    server: SandboxServer, tuning: Tuning = QUICK, budget: RateBudget | None = None, **changes: Any
) -> CommercetoolsClient:
    """A commercetools client of a sandbox."""
    content = {
        "conn_id": "commercetools_default",
        "api_url": server.commercetools_url,
        "auth_url": server.auth_url,
        "project_key": "sandbox",
        "client_id": "sandbox-client",
        "client_secret": SECRET,
    }
    account = CommercetoolsAccount(**(content | changes))
    return CommercetoolsClient(account, budget or Unlimited(), Priority.CATALOGUE, tuning)


def kiosk(
    server: SandboxServer,
    tuning: Tuning = QUICK,
    budget: RateBudget | None = None,
    *,
    key: str = KEY,
    **more: Any,
) -> CloudshelfClient:
    """A Cloudshelf client of a sandbox."""
    account = CloudshelfAccount("cloudshelf_default", server.cloudshelf_url, key)
    return CloudshelfClient(account, budget or Unlimited(), Priority.CATALOGUE, tuning, **more)


@dataclass
class Counting:
    """A budget that lets everything through and remembers what it was told."""

    acquired: int = 0
    pauses: list[float | None] = field(default_factory=list)

    def acquire(self, tokens: int = 1, *, priority: Priority, timeout: float) -> None:
        self.acquired += tokens

    def throttled(self, retry_after: float | None) -> None:
        self.pauses.append(retry_after)

    def succeeded(self) -> None:
        """Nothing to remember."""


@dataclass(frozen=True)
class Seen:
    """A request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    def json(self) -> Json:
        """The body."""
        content: Json = json.loads(self.body)
        return content


@dataclass(frozen=True)
class Reply:
    """What the server does: answer, or break the connection without one."""

    status: int = 200
    body: bytes | Json = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    delay: float = 0.0


TOKEN = Reply(
    body={"access_token": "opaque-access-token", "expires_in": 1000, "scope": "manage_project:sandbox"}
)


@dataclass
class Scripted:
    """A server that answers as a function says."""

    url: str
    seen: list[Seen]
    connections: set[tuple[str, int]]

    def shop(self, tuning: Tuning = QUICK, budget: RateBudget | None = None) -> CommercetoolsClient:
        """A commercetools client of it."""
        account = CommercetoolsAccount(
            "commercetools_default", self.url, f"{self.url}/auth", "sandbox", "sandbox-client", SECRET
        )
        return CommercetoolsClient(account, budget or Unlimited(), Priority.STOCK, tuning)

    def kiosk(
        self, tuning: Tuning = QUICK, budget: RateBudget | None = None, **more: Any
    ) -> CloudshelfClient:
        """A Cloudshelf client of it."""
        account = CloudshelfAccount("cloudshelf_default", f"{self.url}/graphql", KEY)
        return CloudshelfClient(account, budget or Unlimited(), Priority.STOCK, tuning, **more)


@contextmanager
def scripted(answer: Callable[[Seen], Reply]) -> Iterator[Scripted]:
    """Run a server; token requests are answered without asking ``answer``."""
    script = Scripted("", [], set())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def handle_one_request(self) -> None:
            script.connections.add(self.client_address)
            super().handle_one_request()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, body, time.monotonic())
            is_token = self.path == "/auth/oauth/token"
            if not is_token:
                script.seen.append(seen)
            self._send(TOKEN if is_token else answer(seen))

        do_GET = do_POST = _serve  # noqa: N815 - names of the standard library

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.delay)
            if reply.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Be quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A reset connection is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
