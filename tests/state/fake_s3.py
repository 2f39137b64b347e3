"""Just enough of S3, in memory, for the requests of a state: also put-if-absent, multipart, and
faults.
"""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

# Given method, key and headers: None goes on, a status is the answer, "lost" acts and closes the
# connection.
Fault = Callable[[str, str, dict[str, str]], int | str | None]


class FakeS3(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, tuple[bytes, datetime]] = {}  # by bucket/key
        self.parts: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.fault: Fault = lambda method, key, headers: None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeS3

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""

    def answer(self, status: int, body: str | bytes = b"", **headers: str) -> None:
        raw = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"ETag": '"1"', "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def handle_one(self) -> None:
        split = urlsplit(self.path)
        key = unquote(split.path).strip("/")
        query = parse_qs(split.query, keep_blank_values=True)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            self.server.requests.append(f"{self.command} {key}")
            fault = self.server.fault(self.command, key, headers)
            if isinstance(fault, int):
                return self.answer(fault, f"<Error><Code>Fault{fault}</Code></Error>")
            if key.split("/")[0] == "nobucket":
                return self.answer(404, "<Error><Code>NoSuchBucket</Code></Error>")
            if fault == "lost":
                self.answer, self.close_connection = lambda *a, **k: None, True  # type: ignore[method-assign]
            getattr(self, f"on_{self.command.lower()}")(key, query, headers, body)
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

    def on_put(
        self, key: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> None:
        if "partNumber" in query:
            self.server.parts[f"{key}/{int(query['partNumber'][0]):05d}"] = body
        elif headers.get("if-none-match") == "*" and key in self.server.objects:
            return self.answer(412, "<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self.server.objects[key] = (body, datetime.now(UTC))
        return self.answer(200)

    def on_post(
        self, key: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> None:
        if "delete" in query:
            names = re.findall(r"<Key>(.*?)</Key>", body.decode())
            for name in names:
                self.server.objects.pop(f"{key}/{name}", None)
            deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>")
        if "uploads" in query:
            result = "InitiateMultipartUploadResult"
            return self.answer(200, f"<{result}><UploadId>u</UploadId></{result}>")
        mine = sorted(name for name in self.server.parts if name.startswith(f"{key}/"))
        self.server.objects[key] = (
            b"".join(self.server.parts.pop(name) for name in mine),
            datetime.now(UTC),
        )
        result = "CompleteMultipartUploadResult"
        return self.answer(200, f"<{result}><ETag>1</ETag></{result}>")

    def on_get(
        self, key: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> None:
        if "list-type" not in query:
            if key not in self.server.objects:
                return self.answer(404, "<Error><Code>NoSuchKey</Code></Error>")
            data, when = self.server.objects[key]
            modified = when.strftime("%a, %d %b %Y %H:%M:%S GMT")
            if "range" not in headers:
                return self.answer(200, data, Last_Modified=modified)
            first, last = map(int, headers["range"].removeprefix("bytes=").split("-"))
            part = data[first : last + 1]
            whole = len(data)
            span = f"bytes {first}-{first + len(part) - 1}/{whole}"
            return self.answer(206, part, Last_Modified=modified, Content_Range=span)
        prefix = f"{key}/{query['prefix'][0]}"
        found = "".join(
            f"<Contents><Key>{escape(name[len(key) + 1 :])}</Key><Size>{len(data)}</Size><ETag>1</ETag>"
            f"<LastModified>{when:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
            for name, (data, when) in sorted(self.server.objects.items())
            if name.startswith(prefix)
        )
        return self.answer(
            200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        )

    on_head = on_get
