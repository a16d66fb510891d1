"""A webhook on this machine that lays every message into a file: whoever tries the package sees who is told what."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def message_log(file: Path) -> Iterator[str]:
    """Take messages until the end; yields the Airflow connection that leads here, as JSON."""
    writing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with writing, file.open("a", encoding="utf-8") as log:
                log.write(f"{body['text']}\n\n{'-' * 72}\n\n")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing: the demo's own lines would drown."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield json.dumps({"conn_type": "http", "host": "http://127.0.0.1", "port": server.server_port})
        server.shutdown()
