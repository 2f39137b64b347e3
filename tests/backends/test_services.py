"""The loopback services keep SageMaker's contract, as far as it is documented, and break it only
as ordered.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .services.faults import Proxy, Rule, proxy
from .services.start import REPOSITORY, Services, server

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError, ConnectionClosedError  # noqa: E402

Json = dict[str, Any]
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
}
COUNT = """
n=$(cat /opt/ml/checkpoints/n 2>/dev/null || echo 0); echo "from $n"
trap 'echo term > /opt/ml/checkpoints/last; exit 0' TERM
[ "$n" = 0 ] || { cat /opt/ml/checkpoints/last 2>/dev/null; exit 0; }
echo 7 > /opt/ml/checkpoints/n
while :; do sleep 0.05; done"""
HOSTS = """
me=$(sed 's/.*"current_host": "\\([^"]*\\)".*/\\1/' /opt/ml/input/config/resourceconfig.json)
echo "$me $(getent hosts algo-1 algo-2 | wc -l)"; touch /opt/ml/checkpoints/$me
[ $me = algo-1 ] && sleep 30 || exit 5"""
RUN = ["/bin/bash", "/opt/ml/input/data/run/script"]


class Client:
    """Submits shell scripts as jobs."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.sagemaker, self.s3, self.logs = (
            boto3.client(name) for name in ("sagemaker", "s3", "logs")
        )
        self.count = 0

    def form(self, script: str = "true", **changes: Any) -> Json:
        """A request; its script is a channel: an entry's word has 256 characters, and no line
        break.
        """
        self.count += 1
        place = f"scripts/{time.time_ns()}/"
        self.s3.put_object(Bucket=self.services.bucket, Key=f"{place}script", Body=script.encode())
        run = self.channel("run", f"s3://{self.services.bucket}/{place}")
        algorithm = {
            "TrainingImage": "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.10.0-cpu-py313",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": RUN,
        }
        plain = {
            "TrainingJobName": f"job-{self.count}",
            "RoleArn": self.services.role,
            "AlgorithmSpecification": algorithm,
            "InputDataConfig": [run, *changes.pop("InputDataConfig", [])],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.services.bucket}/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.xlarge",
                "InstanceCount": 1,
                "VolumeSizeInGB": 10,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        return plain | changes

    def submit(self, script: str, **changes: Any) -> str:
        form = self.form(script, **changes)
        self.sagemaker.create_training_job(**form)
        return str(form["TrainingJobName"])

    def end(self, name: str) -> Json:
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            shown: Json = self.sagemaker.describe_training_job(TrainingJobName=name)
            if shown["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                return shown
            time.sleep(0.02)
        raise TimeoutError(shown)

    def run(self, script: str, **changes: Any) -> Json:
        return self.end(self.submit(script, **changes))

    def checkpoints(self) -> Json:
        """A place of this job's own."""
        uri = f"s3://{self.services.bucket}/checkpoints/{time.time_ns()}"
        return {"S3Uri": uri, "LocalPath": "/opt/ml/checkpoints"}

    def mirrored(self, checkpoints: Json, name: str) -> None:
        """Wait until a file of a job is among its checkpoints on S3."""
        prefix = f"{checkpoints['S3Uri'].split('/', 3)[3]}/{name}"
        limit = time.monotonic() + 60
        while "Contents" not in self.s3.list_objects_v2(Bucket=self.services.bucket, Prefix=prefix):
            assert time.monotonic() < limit, f"no checkpoint at {prefix}"
            time.sleep(0.02)

    def channel(self, name: str, uri: str) -> Json:
        return {
            "ChannelName": name,
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
        }


@pytest.fixture
def client(aws: Services) -> Client:
    return Client(aws)


def statuses(shown: Json) -> list[str]:
    return [each["Status"] for each in shown["SecondaryStatusTransitions"]]


def refused(call: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_a_job_reads_its_channels_and_leaves_its_outputs(client: Client) -> None:
    bucket = client.services.bucket
    client.s3.put_object(Bucket=bucket, Key="in/a/b.txt", Body=b"data")
    shown = client.run(
        "cp /opt/ml/input/data/data/a/b.txt /opt/ml/model/m; cp /opt/ml/input/config/*.json "
        "/opt/ml/output/data;"
        'echo "$TRAINING_JOB_NAME $TRAINING_JOB_ARN $COLOUR $$"; echo loss=0.25; compgen -e | tr "\\n" " "',
        InputDataConfig=[client.channel("data", f"s3://{bucket}/in/")],
        HyperParameters={"lr": "0.1"},
        Environment={"COLOUR": "blue"},
    )
    assert (shown["TrainingJobStatus"], shown.get("FailureReason")) == ("Completed", None)
    assert statuses(shown) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    name = shown["TrainingJobName"]
    arn = shown["TrainingJobArn"]
    log = client.services.log(name)
    assert log[0] == f"{name} {arn} blue 1"
    assert {word for word in log[-1].split() if word.startswith("AWS")} == {
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ALLOW_HTTP"),
    }

    def archive(kind: str) -> dict[str, bytes]:
        got = client.s3.get_object(Bucket=bucket, Key=f"out/{name}/output/{kind}.tar.gz")[
            "Body"
        ].read()
        with tarfile.open(fileobj=io.BytesIO(got)) as tar:
            return {each.name: tar.extractfile(each).read() for each in tar.getmembers()}  # type: ignore[union-attr]

    assert archive("model") == {"m": b"data"}
    config = archive("output")
    assert json.loads(config["hyperparameters.json"]) == {"lr": "0.1"}
    assert json.loads(config["inputdataconfig.json"])["data"]["TrainingInputMode"] == "File"
    assert json.loads(config["resourceconfig.json"])["hosts"] == ["algo-1"]
    assert not list(client.services.root.glob(f"{name}/*"))


def test_the_image_has_packages_and_not_the_package_under_test(client: Client) -> None:
    shown = client.run(
        "python3 -c 'import botocore, sys; print(sys.prefix)'; python -c 'import renate'"
    )
    log = client.services.log(shown["TrainingJobName"])
    assert log[0].startswith(str(client.services.root))
    assert log[-1] == "ModuleNotFoundError: No module named 'renate'"


def test_a_failure_says_its_end(client: Client) -> None:
    assert client.run("exit 3")["FailureReason"] == "AlgorithmError: , exit code: 3"
    assert client.run("printf why > /opt/ml/output/failure; exit 4")["FailureReason"] == (
        "AlgorithmError: why, exit code: 4"
    )
    long = client.run("head -c 3000 /dev/zero | tr '\\0' x > /opt/ml/output/failure; exit 1")[
        "FailureReason"
    ]
    assert (len(long), long[:17]) == (1024, "AlgorithmError: x")
    assert client.run("kill -9 $$; sleep 0.1; exit 0")["TrainingJobStatus"] == "Completed", (
        "process number one"
    )


@pytest.mark.parametrize(("handler", "grace"), [("exit 0", 3600), ("", 0.7)])
def test_stop_terms_then_kills(client: Client, handler: str, grace: float) -> None:
    client.services.configure(grace=grace)
    name = client.submit(f"trap 'echo term; {handler}' TERM; echo up; while :; do sleep 0.05; done")
    client.services.wait_for_line(name, "up")
    began = time.monotonic()
    client.sagemaker.stop_training_job(TrainingJobName=name)
    shown = client.end(name)
    leaves_by_itself = bool(handler)
    assert leaves_by_itself or time.monotonic() - began >= grace
    assert shown["TrainingJobStatus"] == "Stopped"
    assert statuses(shown)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert client.services.log(name) == ["up", "term"]
    assert "status Stopped" in refused(client.sagemaker.stop_training_job, TrainingJobName=name)


def test_limits_of_time(client: Client) -> None:
    client.services.configure(grace=0.1)
    late = client.submit("sleep 30", StoppingCondition={"MaxRuntimeInSeconds": 1})
    shown = client.end(late)
    assert (shown["TrainingJobStatus"], shown["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )
    client.services.configure(capacity_delay=30)
    limits = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
    waits = client.submit("true", EnableManagedSpotTraining=True, StoppingCondition=limits)
    stopped = client.submit("true")
    assert client.end(waits)["SecondaryStatus"] == "MaxWaitTimeExceeded"
    client.sagemaker.stop_training_job(TrainingJobName=stopped)
    assert client.end(stopped)["SecondaryStatus"] == "Stopped"


@pytest.mark.parametrize(("signal", "last"), [("TERM", ["term"]), ("KILL", [])])
def test_a_reclaimed_job_goes_on_from_its_checkpoint(
    client: Client, signal: str, last: list[str]
) -> None:
    place = client.checkpoints()
    name = client.submit(COUNT, **SPOT, CheckpointConfig=place)
    client.mirrored(place, "n")
    client.services.interrupt(name, signal=signal)
    shown = client.end(name)
    assert shown["TrainingJobStatus"] == "Completed"
    assert statuses(shown)[3:5] == ["Interrupted", "Starting"]
    assert client.services.log(name) == ["from 0", "from 7", *last]


def test_an_internal_error_is_retried_as_often_as_asked(client: Client) -> None:
    plain = client.submit("sleep 30")
    place = client.checkpoints()
    again = client.submit(COUNT, CheckpointConfig=place, RetryStrategy={"MaximumRetryAttempts": 1})
    with pytest.raises(ValueError, match="not a spot job"):
        client.services.interrupt(plain)
    client.mirrored(place, "n")
    for name in (plain, again):
        client.services.interrupt(name, cause="internal")
    assert client.end(plain)["FailureReason"].startswith("InternalServerError")
    shown = client.end(again)
    assert (shown["TrainingJobStatus"], "Restarting" in statuses(shown)) == ("Completed", True)


def test_hosts_know_each_other(client: Client) -> None:
    two = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 10}
    place = client.checkpoints()
    client.services.configure(grace=0.3)
    shown = client.run(HOSTS, ResourceConfig=two, CheckpointConfig=place)
    assert shown["FailureReason"].endswith("exit code: 5"), (
        "of the host that failed, not of the one stopped for it"
    )
    assert sorted(client.services.log(shown["TrainingJobName"])) == ["algo-1 2", "algo-2 2"]
    prefix = place["S3Uri"].split("/", 3)[3]
    found = client.s3.list_objects_v2(Bucket=client.services.bucket, Prefix=prefix)["Contents"]
    assert [each["Key"].rsplit("/", 1)[1] for each in found] == ["algo-1", "algo-2"]


RESOURCES = {"InstanceType": "ml.m5.huge", "InstanceCount": 1, "VolumeSizeInGB": 10}
BAD: dict[str, tuple[Json, str]] = {
    "64 characters": ({"TrainingJobName": "a" * 64}, "'trainingJobName' failed.*pattern"),
    "underscore": ({"TrainingJobName": "a_b"}, "'trainingJobName' failed.*pattern"),
    "instance": (
        {"ResourceConfig": RESOURCES},
        "'resourceConfig.instanceType' failed.*enum value set",
    ),
    "role": (
        {"RoleArn": "arn:aws:iam::12:role"},
        "1 validation error detected.*'roleArn' failed.*pattern",
    ),
    "tags": (
        {"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]},
        "'tags' failed.*length less than or equal",
    ),
    "hyper-parameter": ({"HyperParameters": {"a": "x" * 2501}}, "'hyperParameters.a' failed.*2500"),
    "environment": ({"Environment": {"1A": ""}}, "'environment.key' failed.*pattern"),
    "spot without wait": (
        {"EnableManagedSpotTraining": True},
        "Invalid MaxWaitTimeInSeconds. It must be present",
    ),
    "wait without spot": (
        {"StoppingCondition": SPOT["StoppingCondition"]},
        "for managed spot training only",
    ),
    "29 days": (
        {"StoppingCondition": {"MaxRuntimeInSeconds": 29 * 86400}},
        "Invalid MaxRuntimeInSeconds",
    ),
    "line break": ({"HyperParameters": {"a": "b\nc"}}, "'hyperParameters.a' failed.*pattern"),
    "nothing to run": (
        {"AlgorithmSpecification": {"TrainingInputMode": "File"}},
        "either TrainingImage or Algorithm",
    ),
}


@pytest.mark.parametrize(("changes", "text"), BAD.values(), ids=list(BAD))
def test_bad_requests_are_refused(client: Client, changes: Json, text: str) -> None:
    with pytest.raises(ClientError, match=f"(?s)ValidationException.*{text}"):
        client.sagemaker.create_training_job(**client.form(**changes))
    assert client.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_absent_data_fails_the_job(client: Client) -> None:
    for uri, text in {
        f"s3://{client.services.bucket}/none/": 'No S3 objects found under S3 URL "s3://renate-demo/none/"',
        "s3://no-such-bucket/x/": "NoSuchBucket: The specified bucket does not exist, bucket no-such-bucket",
    }.items():
        shown = client.run("true", InputDataConfig=[client.channel("job", uri)])
        assert shown["FailureReason"].startswith("ClientError: Data download failed: ")
        assert text in shown["FailureReason"]


def test_ordered_refusals(client: Client) -> None:
    create = client.sagemaker.create_training_job
    services = client.services
    limit = {
        "operation": "CreateTrainingJob",
        "code": "ResourceLimitExceeded",
        "message": "The account-level limit",
    }
    services.configure(
        errors=[limit],
        image_missing=["gone"],
        capacity=["poor"],
        failures=[{"name": "j", "reason": "r"}],
    )
    assert refused(create, **client.form()) == "ResourceLimitExceeded: The account-level limit"
    assert client.run("true")["FailureReason"] == "r"
    assert client.run("true")["TrainingJobStatus"] == "Completed", "each was ordered once"
    algorithm = client.form()["AlgorithmSpecification"] | {"TrainingImage": "gone"}
    assert "Cannot find the requested image" in refused(
        create, **client.form(AlgorithmSpecification=algorithm)
    )
    assert client.run("true", TrainingJobName="poor-1")["FailureReason"].startswith(
        "CapacityError: Unable to provision"
    )
    services.configure(errors=[{"operation": "CreateTrainingJob", "lose_reply": True}])
    taken = refused(create, **client.form(TrainingJobName="twice"))
    assert taken.startswith("ResourceInUse: Training job names must be unique"), (
        "the retry meets the job it made"
    )
    with pytest.raises(ValueError, match="nonsense: expected one of errors"):
        services.configure(nonsense=1)


def test_jobs_are_found(client: Client) -> None:
    tag = [{"Key": "renate:job", "Value": "update"}]
    names = [client.submit("true", Tags=tag if n else []) for n in range(3)]
    for name in names:
        client.end(name)
    listed = client.sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains="job",
        StatusEquals="Completed",
        SortOrder="Descending",
        PaginationConfig={"PageSize": 2},
    )
    assert [
        each["TrainingJobName"] for page in listed for each in page["TrainingJobSummaries"]
    ] == names[::-1]
    expression = {"Filters": [{"Name": "Tags.renate:job", "Operator": "Equals", "Value": "update"}]}
    found = client.sagemaker.search(Resource="TrainingJob", SearchExpression=expression)["Results"]
    assert [each["TrainingJob"]["TrainingJobName"] for each in found] == names[:0:-1]
    arn = found[0]["TrainingJob"]["TrainingJobArn"]
    client.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "x"}])
    assert client.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        *tag,
        {"Key": "more", "Value": "x"},
    ]
    assert "not found" in refused(client.sagemaker.describe_training_job, TrainingJobName="none")
    assert len(client.services.requests("CreateTrainingJob")) == 3


def test_logs_are_read_as_they_grow(client: Client) -> None:
    group = "/aws/sagemaker/TrainingJobs"
    assert "ResourceNotFound" in refused(client.logs.describe_log_streams, logGroupName=group)
    definitions = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
    algorithm = client.form()["AlgorithmSpecification"] | {"MetricDefinitions": definitions}
    shown = client.run("echo loss=2; echo; echo loss=0.5", AlgorithmSpecification=algorithm)
    assert [(each["MetricName"], each["Value"]) for each in shown["FinalMetricDataList"]] == [
        ("loss", 0.5)
    ]
    name = shown["TrainingJobName"]
    (stream,) = client.logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=f"{name}/"
    )["logStreams"]
    assert stream["logStreamName"].startswith(f"{name}/algo-1-")
    here = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
    first = client.logs.get_log_events(**here, limit=2)
    rest = client.logs.get_log_events(**here, nextToken=first["nextForwardToken"])
    assert [each["message"] for each in first["events"] + rest["events"]] == [
        "loss=2",
        " ",
        "loss=0.5",
    ]
    end = client.logs.get_log_events(**here, nextToken=rest["nextForwardToken"])
    assert (end["events"], end["nextForwardToken"]) == ([], rest["nextForwardToken"])


def once(url: str) -> Any:
    config = Config(
        retries={"total_max_attempts": 1}, read_timeout=1, s3={"addressing_style": "path"}
    )
    return boto3.client("s3", endpoint_url=url, config=config)


def test_the_proxy_passes_everything_else(aws: Services) -> None:
    body = os.urandom(20 << 20)
    with proxy(aws.s3) as faults:
        s3 = once(faults.url)
        s3.upload_fileobj(io.BytesIO(body), aws.bucket, "proxy/big")
        got = io.BytesIO()
        s3.download_fileobj(aws.bucket, "proxy/big", got)
        assert got.getvalue() == body
        s3.head_object(Bucket=aws.bucket, Key="proxy/big")
        s3.delete_object(Bucket=aws.bucket, Key="proxy/big")
        with urllib.request.urlopen(f"{faults.url}/_proxy/log") as answer:
            log = json.loads(answer.read())
        assert sum(each["in"] for each in log if each["method"] == "PUT") == len(body)
        assert sum(each["out"] for each in log if each["method"] == "GET") >= len(body)
        assert log[-1] | {"path": ""} == {
            "method": "DELETE",
            "path": "",
            "in": 0,
            "out": 0,
            "status": 204,
            "action": None,
        }


def error_of(call: Callable[[], Any]) -> str:
    try:
        return str(call())[:0]
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except Exception as error:
        return type(error).__name__


@pytest.fixture
def faults(aws: Services) -> Any:
    with proxy(aws.s3) as running:
        yield running


def test_the_proxy_breaks_what_it_is_told(aws: Services, faults: Proxy) -> None:
    s3 = once(faults.url)
    direct = boto3.client("s3")

    def put(key: str) -> str:
        return error_of(lambda: s3.put_object(Bucket=aws.bucket, Key=key, Body=b"x" * 5000))

    def there(key: str) -> bool:
        return "Contents" in direct.list_objects_v2(Bucket=aws.bucket, Prefix=key)

    faults.order(
        Rule("status", "PUT", "/second$", status=400, code="ExpiredToken", nth=2),
        Rule("drop", path="/dropped"),
        Rule("lose_reply", path="/lost"),
        Rule("stall", path="/stalled", seconds=1.3),
        Rule("cut_upload", path="/halved"),
        Rule("cut", "GET", "/second"),
    )
    assert (put("f/second"), put("f/second"), put("f/second")) == ("", "ExpiredToken", "")
    assert (put("f/dropped"), there("f/dropped")) == ("ConnectionClosedError", False)
    assert (put("f/lost"), there("f/lost")) == ("ConnectionClosedError", True)
    assert put("f/stalled") == "ReadTimeoutError"
    assert (put("f/halved"), there("f/halved")) == (ConnectionClosedError.__name__, False)
    assert error_of(lambda: s3.get_object(Bucket=aws.bucket, Key="f/second")["Body"].read()) != ""
    assert put("f/halved") == "", "once each"
    assert [each["action"] for each in faults.log if each["action"]] == [
        *("status", "drop", "lose_reply", "stall", "cut_upload", "cut")
    ]


def test_the_command_ends_what_it_started(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.backends.services.start",
        "--root",
        str(tmp_path / "root"),
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as lines:
        exported = dict(
            line.removeprefix("export ").strip().split("=", 1)
            for line in iter(lines.readline, "# running; Ctrl-C ends both\n")
        )
    urls = [exported[name] for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER")]
    process.terminate()
    assert process.wait(60) == 0
    for url in urls:
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url)


def test_a_killed_server_takes_its_containers_along(tmp_path: Path, aws: Services) -> None:
    given = ["--s3-endpoint", aws.s3, "--root", str(tmp_path), "--python", sys.executable]
    with server("sagemaker", *given) as url:
        client = Client(aws)
        client.sagemaker = boto3.client("sagemaker", endpoint_url=url)
        name = client.submit("trap : TERM; echo up; while :; do sleep 0.05; done")
        replace(aws, sagemaker=url).wait_for_line(name, "up")
        assert processes_below(tmp_path)
    limit = time.monotonic() + 60
    while processes_below(tmp_path):
        assert time.monotonic() < limit
        time.sleep(0.02)


def processes_below(folder: Path) -> list[str]:
    """Processes whose HOME, the image's, is below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HOME={folder}/".encode() in (process / "environ").read_bytes():
                found.append(process.name)
    return found
