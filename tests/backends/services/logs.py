"""CloudWatch Logs, as much of it as followers of a training job read."""

import threading
import time

from .errors import Json, Refusal

GROUP = "/aws/sagemaker/TrainingJobs"


class Logs:
    """Streams by name, `<job>/algo-<n>-<time>`."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Json]] = {}
        self.lock = threading.Lock()

    def open(self, job: str, host: str) -> str:
        """A new stream: a restarted job's machines are others."""
        now = int(time.time())
        with self.lock:
            while (name := f"{job}/{host}-{now}") in self.streams:
                now += 1
            self.streams[name] = []
        return name

    def write(self, stream: str, line: str) -> None:
        now = int(time.time() * 1000)
        with self.lock:
            # The service keeps no empty message.
            event = {"timestamp": now, "ingestionTime": now, "message": line or " "}
            self.streams.setdefault(stream, []).append(event)

    def lines(self, job: str) -> list[str]:
        """Every line of a job, by stream, for tests."""
        with self.lock:
            return [
                e["message"]
                for name, events in self.streams.items()
                if name.startswith(f"{job}/")
                for e in events
            ]

    def group(self, request: Json) -> None:
        name = (
            request.get("logGroupName")
            or str(request.get("logGroupIdentifier", "")).rsplit(":", 1)[-1]
        )
        if name != GROUP or not any(self.streams.values()):
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")

    def describe_log_streams(self, request: Json) -> Json:
        self.group(request)
        with self.lock:
            prefix = request.get("logStreamNamePrefix", "")
            # A stream begins with its first line.
            names = sorted(
                name for name, events in self.streams.items() if events and name.startswith(prefix)
            )
            start = number(request.get("nextToken"))
            end = start + request.get("limit", 50)
            found = [
                {"logStreamName": name, **span(self.streams[name])} for name in names[start:end]
            ]
        return {"logStreams": found, **({"nextToken": f"f/{end}"} if end < len(names) else {})}

    def get_log_events(self, request: Json) -> Json:
        """A page of a stream. The forward token of a page that is the last so far is the one
        that was sent.
        """
        self.group(request)
        with self.lock:
            events = self.streams.get(request["logStreamName"])
            if events is None:
                raise Refusal(
                    "ResourceNotFoundException", "The specified log stream does not exist."
                )
            limit = request.get("limit", 10_000)
            token = request.get("nextToken")
            if token is None:
                start = 0 if request.get("startFromHead") else max(0, len(events) - limit)
            else:
                start = number(token) if token.startswith("f/") else max(0, number(token) - limit)
            end = min(len(events), start + limit)
            since = request.get("startTime", 0)
            until = request.get("endTime", float("inf"))
            found = [event for event in events[start:end] if since <= event["timestamp"] < until]
        return {"events": found, "nextForwardToken": f"f/{end}", "nextBackwardToken": f"b/{start}"}


def number(token: str | None) -> int:
    try:
        return int(token.split("/")[1]) if token else 0
    except (ValueError, IndexError):
        raise Refusal("InvalidParameterException", "The specified nextToken is invalid.") from None


def span(events: list[Json]) -> Json:
    if not events:
        return {"storedBytes": 0}
    first = events[0]["timestamp"]
    last = events[-1]["timestamp"]
    return {"firstEventTimestamp": first, "lastEventTimestamp": last, "storedBytes": 0}
