"""S3 on this machine, behind a proxy that fails as ordered and counts bytes; both are processes
of the tests' own.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class Loopback:
    """The proxy, from outside.

    Attributes:
        bucket: URL of the bucket.
        direct: Address of the S3 behind the proxy.
    """

    def __init__(self, address: str, direct: str, bucket: str) -> None:
        self.address = address
        self.direct = direct
        self.bucket = f"s3://{bucket}"

    def order(self, *rules: dict[str, Any]) -> None:
        """These faults from now on; the log begins anew."""
        self._call("rules", json.dumps(rules).encode())

    def log(self) -> list[dict[str, Any]]:
        """The requests since the last order: method, path, bytes in and out, status, action."""
        requests: list[dict[str, Any]] = self._call("log")
        return requests

    def _call(self, name: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(f"{self.address}/_proxy/{name}", body, timeout=60) as answer:
            return json.loads(answer.read())


@contextmanager
def started(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"tests.backends.services.{module}", *arguments]
    quiet = subprocess.DEVNULL  # moto prints a traceback where a killed client's upload goes on
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=quiet, text=True)

    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Start both; from here on the environment points at the proxy."""
    with ExitStack() as stack:
        services = stack.enter_context(started("start", "--print-env"))
        environment = {}
        assert services.stdout is not None
        while "RENATE_AWS_BUCKET" not in environment:
            name, _, value = (
                services.stdout.readline().removeprefix("export ").strip().partition("=")
            )
            assert name, "the services did not start"
            environment[name] = value

        direct = environment["AWS_ENDPOINT_URL"]
        proxy = stack.enter_context(started("faults", direct))
        assert proxy.stdout is not None
        address = f"http://127.0.0.1:{proxy.stdout.readline().strip()}"
        os.environ.update(environment, AWS_ENDPOINT_URL=address, no_proxy="127.0.0.1")
        yield Loopback(address, direct, environment["RENATE_AWS_BUCKET"])
