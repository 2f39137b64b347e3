"""`python -m tests.backends.services.start`: both services, until Ctrl-C; `services(…)` does it
for tests.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Json
from .isolation import TIED, why_not

REPOSITORY = Path(__file__).parents[3]
ACCOUNT = "123456789012"
REGION = "us-west-2"
BUCKET = "renate-demo"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/RenateJobs"


def call(url: str, body: Json | None = None) -> Any:
    """Ask a service's test-only side; its refusal is a ValueError."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            raise ValueError(error.read().decode()) from None


@dataclass
class Services:
    """The running services.

    Attributes:
        s3: Endpoint of S3, STS and IAM.
        sagemaker: Endpoint of SageMaker and CloudWatch Logs.
        bucket: An empty bucket.
        role: An existing role.
        root: Where the containers' files are while they run.
    """

    s3: str
    sagemaker: str
    bucket: str
    role: str
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a user's shell needs to find them."""
        return {
            "AWS_ENDPOINT_URL": self.s3,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.sagemaker,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": self.sagemaker,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
            "RENATE_AWS_ROLE": self.role,
            "RENATE_AWS_BUCKET": self.bucket,
        }

    def configure(self, **settings: Any) -> None:
        """Order faults; see errors.Script."""
        call(f"{self.sagemaker}/_emu/config", settings)

    def interrupt(self, job: str, signal: str = "TERM", cause: str = "spot") -> None:
        """Take a job's machine away: with notice (TERM) or without (KILL), reclaimed (spot) or
        broken (internal).
        """
        call(f"{self.sagemaker}/_emu/interrupt/{job}", {"signal": signal, "cause": cause})

    def reset(self) -> None:
        """Kill and forget every job and every ordered fault; S3 keeps what it has."""
        call(f"{self.sagemaker}/_emu/reset", {})

    def requests(self, operation: str | None = None) -> list[Json]:
        """The requests that came, refused ones too, since the last reset."""
        found = call(f"{self.sagemaker}/_emu/requests")
        return [each["request"] for each in found if operation in (None, each["operation"])]

    def log(self, job: str) -> list[str]:
        """What a job's containers printed."""
        lines: list[str] = call(f"{self.sagemaker}/_emu/logs/{job}")
        return lines

    def wait_for_line(self, job: str, text: str, seconds: float = 60) -> str:
        """The first line of a job's log with a text in it, once it is there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.log(job):
                if text in line:
                    return line
            time.sleep(0.02)
        raise TimeoutError(f"{job}: no {text!r} in {self.log(job)}")


@contextlib.contextmanager
def server(module: str, *arguments: str) -> Iterator[str]:
    """One server of this package as a process that dies with this one; its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [*TIED, sys.executable, "-m", f"{__package__}.{module}", *arguments]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"{module}: it did not start, exit code {process.wait()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def services(
    root: Path, python: str = sys.executable, *, s3_port: int = 0, sagemaker_port: int = 0
) -> Iterator[Services]:
    """Both services with a bucket and a role in them.

    Args:
        root: A folder for what the containers write while they run.
        python: The interpreter whose packages are the image's.
        s3_port: 0 takes a free one, as the next does.
        sagemaker_port: The port of SageMaker.
    """
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        s3 = stack.enter_context(server("s3", "--port", str(s3_port)))
        given = ["--s3-endpoint", s3, "--root", str(root), "--python", python, "--region", REGION]
        sagemaker = stack.enter_context(server("sagemaker", "--port", str(sagemaker_port), *given))
        running = Services(s3, sagemaker, BUCKET, ROLE, root)
        found(running)
        yield running


def client(service: str, address: str) -> Any:
    import boto3  # only here: what uses these services need not have it

    keys = {
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
        "region_name": REGION,
    }
    return boto3.client(service, endpoint_url=address, **keys)


def bucket_at(address: str) -> None:
    """Create the bucket in an S3."""
    with contextlib.closing(client("s3", address)) as s3:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})


def found(running: Services) -> None:
    bucket_at(running.s3)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    with contextlib.closing(client("iam", running.s3)) as iam:
        iam.create_role(RoleName=ROLE.rsplit("/", 1)[1], AssumeRolePolicyDocument=document)


def main() -> None:
    parser = argparse.ArgumentParser(description="S3 and SageMaker on this machine, until Ctrl-C.")
    parser.add_argument(
        "--root", type=Path, help="folder of the containers; a temporary one if not given"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter whose packages are the image's"
    )
    parser.add_argument("--s3-port", type=int, default=0)
    parser.add_argument("--sagemaker-port", type=int, default=0)
    parser.add_argument(
        "--print-env", action="store_true", help="print the exports and nothing else"
    )
    given = parser.parse_args()
    if reason := why_not():
        sys.exit(f"no namespaces for containers here: {reason}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        root = given.root or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="renate-services-"))
        )
        ports = {"s3_port": given.s3_port, "sagemaker_port": given.sagemaker_port}
        try:
            running = stack.enter_context(services(root, given.python, **ports))
        except RuntimeError as error:  # its own words, a port that is taken, stand above
            sys.exit(str(error))
        for name, value in running.environment.items():
            print(f"export {name}={value}", flush=True)
        if not given.print_env:
            print("# running; Ctrl-C ends both", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
