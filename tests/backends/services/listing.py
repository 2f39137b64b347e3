"""Finding training jobs: lists, and searches by tag."""

from collections.abc import Callable
from typing import Any

from .errors import Json, Refusal
from .job import Job

SUMMARY = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingEndTime",
    "LastModifiedTime",
    "TrainingJobStatus",
    "SecondaryStatus",
)
ORDERS = {"Name": "TrainingJobName", "Status": "TrainingJobStatus", "CreationTime": "CreationTime"}


def tags(job: Job) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in job.tags.items()]


def page(found: list[Any], request: Json) -> tuple[list[Any], Json]:
    """A page and the token of the next, if there is one."""
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise Refusal("ValidationException", "The provided NextToken is invalid.")
    start = int(token)
    end = start + request.get("MaxResults", 10)
    return found[start:end], ({"NextToken": str(end)} if end < len(found) else {})


def list_jobs(jobs: list[Job], request: Json) -> Json:
    tests: dict[str, Callable[[Json, Any], bool]] = {
        "NameContains": lambda job, text: text in job["TrainingJobName"],
        "StatusEquals": lambda job, status: job["TrainingJobStatus"] == status,
        "CreationTimeAfter": lambda job, time: job["CreationTime"] >= time,
        "CreationTimeBefore": lambda job, time: job["CreationTime"] <= time,
        "LastModifiedTimeAfter": lambda job, time: job["LastModifiedTime"] >= time,
        "LastModifiedTimeBefore": lambda job, time: job["LastModifiedTime"] <= time,
    }
    asked = [(test, request[name]) for name, test in tests.items() if name in request]
    found = [
        job.described for job in jobs if all(test(job.described, value) for test, value in asked)
    ]
    key = ORDERS[request.get("SortBy", "CreationTime")]
    found.sort(
        key=lambda job: job[key], reverse=request.get("SortOrder", "Ascending") == "Descending"
    )
    some, more = page(found, request)
    return {
        "TrainingJobSummaries": [{k: job[k] for k in SUMMARY if k in job} for job in some],
        **more,
    }


def value_of(job: Job, name: str) -> str | None:
    if name.startswith("Tags."):
        return job.tags.get(name.removeprefix("Tags."))
    value = job.described.get(name)
    return None if value is None else str(value)


def fits(job: Job, condition: Json) -> bool:
    value = value_of(job, condition["Name"])
    wanted = condition.get("Value")
    match condition.get("Operator", "Equals"):
        case "Equals":
            return value == wanted
        case "NotEquals":
            return value != wanted
        case "Contains":
            return value is not None and str(wanted) in value
        case "Exists":
            return value is not None
        case "NotExists":
            return value is None
        case "In":
            return value in str(wanted).split(",")
        case other:
            raise Refusal("ValidationException", f"Operator {other}: not known to this emulator")


def search(jobs: list[Job], request: Json) -> Json:
    """By filters on tags, name or status; nested filters are not known."""
    expression = request.get("SearchExpression", {})
    if request["Resource"] != "TrainingJob" or expression.keys() - {"Filters", "Operator"}:
        raise Refusal("ValidationException", "This emulator searches TrainingJob by Filters only")
    joined = any if expression.get("Operator") == "Or" else all
    filters = expression.get("Filters", [])
    found = [job for job in jobs if not filters or joined(fits(job, each) for each in filters)]
    newest_first = request.get("SortOrder", "Descending") == "Descending"
    found.sort(key=lambda job: job.described["CreationTime"], reverse=newest_first)
    some, more = page(found, request)
    return {
        "Results": [{"TrainingJob": {**job.described, "Tags": tags(job)}} for job in some],
        **more,
    }
