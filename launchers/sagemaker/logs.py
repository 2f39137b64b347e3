"""What a training job has said, from its folder in S3, or from CloudWatch where nothing came that far."""

from collections.abc import Iterator
from threading import Event
from typing import Any

from renate.errors import JobError
from renate.jobs.directory import Json

from .failures import explained
from .follow import ASK, Follower
from .home import Home
from .service import RUNNING, Service
from .submitted import Submitted

GROUP = "/aws/sagemaker/TrainingJobs"  # of CloudWatch's logs


def lines(service: Service, found: Submitted, *, follow: bool) -> Iterator[str]:
    """What a job has reported and printed so far, or until its end; CloudWatch's lines where it came to neither."""
    home, last = found.home, ""
    ongoing = found.status[0] in RUNNING and not follow
    followed = Follower(service, home, found.name, poll_of(home), Event())
    for event in _so_far(home, found.name) if ongoing else followed.events():
        if event["event"] == "end":
            if not last:
                yield from _cloudwatch(service, found.name)
            end = f"renate: {event['result'].get('error')}"
            if event["result"]["status"] == "failed" and end != last:  # the job may have said so itself
                yield end
        elif event["event"] in ("report", "log"):
            for last in event["text"].splitlines():
                yield last
        elif event["event"] == "phase" and follow:
            yield event["text"]
    if ongoing and not last:
        yield from _cloudwatch(service, found.name)


def _so_far(home: Home, run: str) -> Iterator[Json]:
    number = 1
    while (batch := home.reports(run, number)) is not None:
        yield from batch
        number += 1


def _cloudwatch(service: Service, name: str) -> Iterator[str]:
    client = service.session.client("logs")
    with explained():
        try:
            streams = client.get_paginator("describe_log_streams").paginate(
                logGroupName=GROUP, logStreamNamePrefix=f"{name}/"
            )
            for stream in (each["logStreamName"] for page in streams for each in page["logStreams"]):
                yield from _stream(client, stream)
        except client.exceptions.ResourceNotFoundException:  # nothing was printed, in this account, ever
            return


def _stream(client: Any, name: str) -> Iterator[str]:
    asked, last = {"logGroupName": GROUP, "logStreamName": name, "startFromHead": True}, None
    while True:
        page = client.get_log_events(**asked, **({"nextToken": last} if last else {}))
        yield from (event["message"] for event in page["events"])
        if page["nextForwardToken"] == last:  # so the end of a stream is told
            return
        last = page["nextForwardToken"]


def poll_of(home: Home) -> float:
    """As the job was submitted with; its log may outlive its folder."""
    try:
        return float(home.config().backend.poll)
    except JobError:
        return ASK
