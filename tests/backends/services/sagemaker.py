"""A SageMaker of training jobs on loopback, really run: requests validated, containers in
namespaces.

Its clients find it by AWS_ENDPOINT_URL_SAGEMAKER and AWS_ENDPOINT_URL_CLOUDWATCH_LOGS. For tests
alone:
POST /_emu/config (errors.Script), /_emu/interrupt/<job> {"signal": "TERM" | "KILL", "cause": "spot"
| "internal"}, /_emu/reset; GET /_emu/requests, /_emu/logs/<job>.
"""

import argparse
import contextlib
import json
import re
import threading
import traceback
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3

from . import listing
from .errors import Json, LostReply, Refusal, Script
from .image import Image
from .job import Job, World
from .logs import Logs
from .validate import MODELS, validate

ACCOUNT = "123456789012"


class SageMaker(ThreadingHTTPServer):
    """The service; every job of it ends with it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, world: World) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.world = world
        self.jobs: dict[str, Job] = {}
        self.requests: list[Json] = []
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error."""

    def job(self, name: str) -> Job:
        try:
            return self.jobs[name]
        except KeyError:
            raise Refusal("ValidationException", "Requested resource not found.") from None

    def by_arn(self, arn: str) -> Job:
        return self.job(arn.rsplit("/", 1)[-1])

    def answer(self, operation: str, request: Json) -> Json:
        """What the service says to a request. Raises Refusal, LostReply."""
        operations: dict[str, Callable[[Json], Json]] = {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "StopTrainingJob": self.stop,
            "ListTrainingJobs": lambda asked: listing.list_jobs(list(self.jobs.values()), asked),
            "Search": lambda asked: listing.search(list(self.jobs.values()), asked),
            "ListTags": lambda asked: {"Tags": listing.tags(self.by_arn(asked["ResourceArn"]))},
            "AddTags": self.add_tags,
            "DescribeLogStreams": self.world.logs.describe_log_streams,
            "GetLogEvents": self.world.logs.get_log_events,
        }
        if operation not in operations:
            raise Refusal("UnknownOperationException", f"{operation}: not known to this emulator")
        self.requests.append({"operation": operation, "request": request})
        lost = self.world.script.refuse(operation)
        validate(operation, request, "logs" if "Log" in operation else "sagemaker")
        answer = operations[operation](request)
        if lost:
            raise LostReply
        return answer

    def create(self, request: Json) -> Json:
        name = request["TrainingJobName"]
        image = request["AlgorithmSpecification"].get("TrainingImage", "")
        if any(part in image for part in self.world.script.image_missing):
            raise Refusal("ValidationException", f"Cannot find the requested image {image}.")
        arn = f"arn:aws:sagemaker:{self.world.region}:{ACCOUNT}:training-job/{name}"
        with self.lock:
            if name in self.jobs:
                message = (
                    "Training job names must be unique within an AWS account and region, and a "
                    "training job "
                )
                raise Refusal("ResourceInUse", f"{message}with this name already exists ({arn})")
            self.jobs[name] = Job(request, arn, self.world)
        self.jobs[name].start()
        return {"TrainingJobArn": arn}

    def describe(self, request: Json) -> Json:
        job = self.job(request["TrainingJobName"])
        shown = MODELS["sagemaker"].operation_model("DescribeTrainingJob").output_shape.members
        with job.lock:
            copied: Json = json.loads(json.dumps(job.described))
        return {name: value for name, value in copied.items() if name in shown}

    def stop(self, request: Json) -> Json:
        job = self.job(request["TrainingJobName"])
        if job.over:
            status = job.described["TrainingJobStatus"]
            message = f"The request was rejected because the training job is in status {status}."
            raise Refusal("ValidationException", message)
        job.stop()
        return {}

    def add_tags(self, request: Json) -> Json:
        job = self.by_arn(request["ResourceArn"])
        both = job.tags | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(both) > 50:
            raise Refusal("ValidationException", f"A resource has at most 50 tags, not {len(both)}")
        job.tags = both
        return {"Tags": listing.tags(job)}

    # For tests

    def control(self, path: list[str], body: Json) -> Any:
        match path:
            case ["config"]:
                self.world.script.update(body)
            case ["interrupt", name]:
                self.interrupt(self.job(name), body)
            case ["reset"]:
                self.reset()
            case ["requests"]:
                return self.requests
            case ["logs", name]:
                return self.world.logs.lines(name)
            case _:
                raise Refusal(
                    "UnknownOperationException", f"/_emu/{'/'.join(path)}: not known", 404
                )
        return {}

    def interrupt(self, job: Job, body: Json) -> None:
        internal = body.get("cause", "spot") == "internal"
        number = body.get("signal", "TERM")
        if job.over:
            raise Refusal("ValidationException", f"{job.name}: it is over")
        if not internal and not job.described["EnableManagedSpotTraining"]:
            raise Refusal(
                "ValidationException",
                f"{job.name}: not a spot job, so nothing reclaims its machine",
            )
        if number not in ("TERM", "KILL"):
            raise Refusal("ValidationException", f"signal={number}: expected TERM or KILL")
        job.disturb("InternalServerError" if internal else "Interrupted", spared=number == "TERM")

    def reset(self) -> None:
        """Forget every job and every ordered fault."""
        with self.lock:
            jobs = self.jobs
            self.jobs = {}
        for job in jobs.values():
            job.kill()
        for job in jobs.values():
            job.join(10)
        self.requests.clear()
        with self.world.logs.lock:
            self.world.logs.streams.clear()
        self.world.script.update(
            {name: getattr(Script(), name) for name in Script.__dataclass_fields__}
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: SageMaker

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""

    def reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target", "")
        try:
            body = json.loads(raw or b"{}")
            if control := re.fullmatch(r"/_emu/(.+)", self.path):
                answer = self.server.control(control[1].split("/"), body)
            else:
                answer = self.server.answer(target.rpartition(".")[2], body)
            self.reply(200, answer)
        except LostReply:
            self.close_connection = True
        except json.JSONDecodeError as error:
            self.reply(400, {"__type": "SerializationException", "message": str(error)})
        except Refusal as refusal:
            self.reply(refusal.status, {"__type": refusal.code, "message": refusal.message})
        except OSError:
            self.close_connection = True
        except Exception:
            traceback.print_exc()
            self.reply(500, {"__type": "InternalFailure", "message": traceback.format_exc()})

    do_GET = do_POST = handle_request  # noqa: N815


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--s3-endpoint", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--region", default="us-west-2")
    given = parser.parse_args()
    s3 = boto3.client(
        "s3",
        endpoint_url=given.s3_endpoint,
        region_name=given.region,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    root = given.root.resolve()
    world = World(
        s3, given.s3_endpoint, given.region, root, Image.of(given.python), Logs(), Script()
    )
    with SageMaker(given.port, world) as server, contextlib.suppress(KeyboardInterrupt):
        print(server.server_port, flush=True)
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
