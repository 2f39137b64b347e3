"""A proxy in front of S3 that fails as ordered and counts bytes.

`python -m tests.backends.services.faults URL [--port N]`, or `with proxy(url) as faults:` in a
test. Orders are `faults.order(Rule(...), ...)` or `POST /_proxy/rules` with a list of the same
fields; `GET /_proxy/log` is what passed.
"""

import argparse
import contextlib
import dataclasses
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from .errors import Json

PIECE = 1 << 17
ACTIONS = ("status", "drop", "lose_reply", "stall", "cut", "cut_upload")
HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "expect",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
}


@dataclass
class Rule:
    """What to do to which requests.

    Attributes:
        action: "status" answers itself; "drop" closes before the server sees anything; "lose_reply"
            closes after it has acted; "stall" waits and goes on; "cut" ends the answer's body half
            way; "cut_upload" the request's.
        method: A regular expression that the whole method matches.
        path: A regular expression found in the path and query, as they were sent.
        nth: The first match that it acts on, counted from 1.
        times: For how many matches; negative never ends.
        status: Of "status".
        code: The error code in its XML.
        message: The error text in its XML.
        seconds: Of "stall".
    """

    action: str
    method: str = ".*"
    path: str = ""
    nth: int = 1
    times: int = 1
    status: int = 503
    code: str = "SlowDown"
    message: str = "ordered by a test"
    seconds: float = 1.0
    seen: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action={self.action}: expected one of {', '.join(ACTIONS)}")

    def acts(self, method: str, path: str) -> bool:
        """Count a request; whether it is one to act on."""
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times < 0 or self.seen < self.nth + self.times)


class Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.upstream = urlsplit(upstream)
        self.rules: list[Rule] = []
        self.log: list[Json] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def order(self, *rules: Rule) -> None:
        """These rules from now on, instead of the last ones; the log begins anew."""
        with self.lock:
            self.rules = list(rules)
            self.log = []

    def rule_for(self, method: str, path: str) -> Rule | None:
        with self.lock:  # every rule counts, the first that acts decides
            acting = [rule for rule in self.rules if rule.acts(method, path)]
            return acting[0] if acting else None

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is this server's purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy
    rfile: BinaryIO

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def body(self) -> Iterator[bytes]:
        """The request's body in pieces, of a known length or in chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():  # trailers
                pass
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.read(min(left, PIECE))
            left -= len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        piece = self.rfile.read(size)
        if len(piece) < size:
            raise ConnectionError("the client went away")
        return piece

    def handle_request(self) -> None:
        if self.path.startswith("/_proxy/"):
            return self.control(b"".join(self.body()))
        rule = self.server.rule_for(self.command, self.path)
        entry = {"method": self.command, "path": self.path, "in": 0, "out": 0, "status": 0}
        self.entry: Json = entry | {"action": rule.action if rule else None}
        with self.server.lock:
            self.server.log.append(self.entry)
        try:
            self.act(rule)
        except OSError:
            self.hang_up()
        return None

    def act(self, rule: Rule | None) -> None:
        match rule:
            case Rule(action="drop"):
                return self.hang_up()
            case Rule(action="status"):
                for piece in self.body():
                    self.entry["in"] += len(piece)
                return self.refuse(rule)
            case Rule(action="stall"):
                time.sleep(rule.seconds)
        action = rule.action if rule else None
        # A connection per request: a kept one that the server closes meanwhile would be a fault
        # nobody ordered.
        upstream = http.client.HTTPConnection(
            str(self.server.upstream.hostname), self.server.upstream.port
        )
        with contextlib.closing(upstream):
            if not self.forward(upstream, cut=action == "cut_upload"):
                return self.hang_up()
            answer = upstream.getresponse()
            if action == "lose_reply":
                return self.hang_up()
            return self.relay(answer, cut=action == "cut")

    def refuse(self, rule: Rule) -> None:
        text = f"<Error><Code>{escape(rule.code)}</Code><Message>{escape(rule.message)}</Message></Error>"
        body = (
            b""
            if self.command == "HEAD"
            else f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
        )
        self.entry |= {"status": rule.status, "out": len(body)}
        self.send_response(rule.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def forward(self, upstream: http.client.HTTPConnection, *, cut: bool) -> bool:
        """Send the request on; False if it was cut."""
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():  # Host too: it may be signed
            if name.lower() not in HOP:
                upstream.putheader(name, value)
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        if chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        upstream.endheaders()
        half = int(self.headers.get("Content-Length") or 0) // 2 if cut else None
        for piece in self.body():
            self.entry["in"] += len(piece)
            upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece[:half])
            if half is not None:
                half -= min(half, len(piece))
        if cut:
            return False
        if chunked:
            upstream.send(b"0\r\n\r\n")
        return True

    def relay(self, answer: http.client.HTTPResponse, *, cut: bool) -> None:
        length = answer.getheader("Content-Length")
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        chunked = length is None and not bodiless
        self.entry["status"] = answer.status
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        left = int(length or 2) // 2 if cut else None
        while piece := answer.read(PIECE):
            piece = piece[:left]
            self.entry["out"] += len(piece)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if left is not None and not (left := left - len(piece)):
                return self.hang_up()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        return None

    def control(self, body: bytes) -> None:
        status = 200
        value = None
        if self.path == "/_proxy/rules" and self.command == "POST":
            try:
                self.server.order(*(Rule(**fields) for fields in json.loads(body)))
            except (TypeError, ValueError) as error:
                status = 400
                value = str(error)
        if self.path == "/_proxy/log":
            with self.server.lock:
                value = list(self.server.log)
        if self.path == "/_proxy/rules" and self.command == "GET":
            value = [dataclasses.asdict(rule) for rule in self.server.rules]
        sent = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request  # noqa: N815


@contextlib.contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy in front of a server, in a thread."""
    with Proxy(upstream) as running:
        thread = threading.Thread(
            target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A proxy in front of S3 that fails as ordered and counts bytes."
    )
    parser.add_argument("upstream")
    parser.add_argument("--port", type=int, default=0)
    given: Any = parser.parse_args()
    with Proxy(given.upstream, given.port) as running, contextlib.suppress(KeyboardInterrupt):
        print(running.server_port, flush=True)
        running.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
