"""Where messages arrive: a web server that takes webhooks and a mail server, both real, both on this machine."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_string
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


@dataclass
class Post:
    """One request to a webhook; without a body it was a GET."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Webhooks:
    """What was posted, and what is answered: each of ``answers`` once, then 200."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    answers: list[tuple[int, str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        return [post.body["text"] for post in self.posts if post.body is not None]


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    """A web server that takes every POST and GET."""
    hooks = Webhooks()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._take(None)

        def do_POST(self) -> None:
            self._take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _take(self, body: Any) -> None:
            hooks.posts.append(Post(self.path, dict(self.headers), body))
            status, text, headers = hooks.answers.pop(0) if hooks.answers else (200, "ok", {})
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        hooks.port = server.server_address[1]
        yield hooks


@dataclass
class Mail:
    """One message as the mail server took it."""

    sender: str
    recipients: list[str]
    message: Message

    @property
    def text(self) -> str:
        parts = [part.get_payload(decode=True) for part in self.message.walk() if not part.is_multipart()]
        return "".join(part.decode() for part in parts if isinstance(part, bytes))


@dataclass
class Mailbox:
    """What the mail server took, and how it answers; the keys of ``answers`` are SMTP verbs."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    logins: list[str] = field(default_factory=list)


class _Conversation(socketserver.StreamRequestHandler):
    """The server's side of SMTP (RFC 5321), as far as a client needs it to hand over a message and log in."""

    mailbox: ClassVar[Mailbox]

    def handle(self) -> None:
        self._say("220 mail.test ready")
        sender, recipients = "", list[str]()
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb = line.partition(" ")[0].upper()
            refusal = self.mailbox.answers.get(verb)
            if refusal:
                self._say(refusal)
            elif verb == "EHLO":
                self._say("250-mail.test\r\n250-AUTH PLAIN\r\n250 8BITMIME")
            elif verb == "AUTH":
                self.mailbox.logins.append(base64.b64decode(line.split()[-1]).decode())
                self._say("235 accepted")
            elif verb == "MAIL":
                sender, recipients = _address(line), []
                self._say("250 ok")
            elif verb == "RCPT":
                recipients.append(_address(line))
                self._say("250 ok")
            elif verb == "DATA":
                self._say("354 go on")
                self.mailbox.mails.append(Mail(sender, recipients, message_from_string(self._data())))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _data(self) -> str:
        lines: list[str] = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line.removeprefix(".") if line.startswith("..") else line)
        return "\n".join(lines)


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server that takes everything."""
    box = Mailbox()
    conversation = type("Conversation", (_Conversation,), {"mailbox": box})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), conversation) as server, _serving(server):
        server.daemon_threads = True
        box.port = server.server_address[1]
        yield box


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
