"""`renate jobs … --backend sagemaker` where things are not as they should be."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from renate.cli import main
from renate.state.versions import State
from tests.command import RENATE
from tests.command import renate as command

from .services.start import Services

QUICK = ["trainer.max_epochs=2", "model.hidden_sizes=[8]", "data.limit=200", "state.first=true"]


@pytest.fixture
def on(aws: Services, workdir: Path) -> Callable[..., list[str]]:
    """Overrides that submit to the services."""
    del workdir
    kind = ["backend.instance_type=ml.m5.xlarge", "backend.poll=0.5"]
    return lambda *more: ["backend=sagemaker", f"backend.role={aws.role}", *kind, *QUICK, *more]


def jobs(*arguments: str) -> None:
    main(["jobs", *arguments, "--backend", "sagemaker"])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        jobs(*arguments)
    capsys.readouterr()
    return str(caught.value.code)


@pytest.mark.slow
def test_a_local_state_receives_what_was_left(
    aws: Services, on: Callable[..., list[str]], workdir: Path
) -> None:
    """The command was interrupted; waiting for its job, from whatever folder, brings the
    version.
    """
    aws.configure(capacity_delay=3)
    place = f"s3://{aws.bucket}/{workdir.name}"
    given = on("state.url=./mine", f"backend.staging={place}")
    with subprocess.Popen(
        [*RENATE, *given], cwd=workdir, stderr=subprocess.PIPE, text=True
    ) as left:
        assert left.stderr is not None
        assert any("waiting for machines" in line for line in left.stderr)
        left.send_signal(signal.SIGINT)
        rest = left.stderr.read()
    (name,) = [request["TrainingJobName"] for request in aws.requests("CreateTrainingJob")]
    assert (
        f"{name} goes on; the same command follows it again, renate jobs stop {name} --backend "
        "sagemaker" in rest
    )
    other = workdir / "other"
    other.mkdir()
    wait = ["jobs", "--run-dir", "../runs", "wait", name, "--backend", "sagemaker"]
    done = command(*wait, cwd=other)
    assert f"version     1 of {workdir / 'mine'}\n" in done.stdout
    State(str(workdir / "mine")).verify()
    again = command(*wait, cwd=other)
    assert again.stdout == done.stdout
    assert "finished earlier, in " in again.stderr
    assert State(str(workdir / "mine")).versions() == [1]


@pytest.mark.slow
def test_what_never_reported(
    aws: Services, on: Callable[..., list[str]], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its lines are CloudWatch's; its folder may be gone, too."""
    (workdir / "requirements.txt").write_text("torch==1.0\n")
    url = f"s3://{aws.bucket}/{workdir.name}/state"
    given = [
        "backend.requirements=requirements.txt",
        "+backend.environment.PIP_NO_INDEX=1",
        f"state.url={url}",
    ]
    last = command(*on(*given), cwd=workdir, code=1).stderr.splitlines()[-1]
    for follow in ([], ["--follow"]):
        jobs("logs", "latest", *follow)
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "renate: installing /opt/ml/input/data/job/requirements.txt"
        assert any(line.startswith("ERROR: ") for line in said)
        assert said[-1] == last
    s3 = boto3.client("s3")
    for item in s3.list_objects_v2(Bucket=aws.bucket, Prefix=f"{workdir.name}/state/jobs/")[
        "Contents"
    ]:
        s3.delete_object(Bucket=aws.bucket, Key=item["Key"])
    s3.close()
    jobs("logs", "latest")
    assert capsys.readouterr().out.splitlines()[-1] == last
    gone = refused(capsys, "--run-dir", "elsewhere", "wait", "latest")
    assert gone.endswith("/job/config.yaml was removed, and nothing else tells what the job was")


def test_the_service_refuses(
    aws: Services, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs("ls")
    assert capsys.readouterr().out == "no training jobs of ours in us-west-2\n"
    assert refused(capsys, "stop", "lates") == (
        "renate: us-west-2: no training job 'lates' of ours, did you mean 'latest'?"
    )
    denied = "User: me is not authorized to perform: sagemaker:Search on resource: *"
    aws.configure(
        errors=[{"operation": "Search", "code": "AccessDeniedException", "message": denied}]
    )
    assert refused(capsys, "ls") == "renate: not allowed: sagemaker:Search on *, as me"
    aws.configure(
        errors=[
            {
                "operation": "DescribeTrainingJob",
                "code": "ExpiredTokenException",
                "message": "expired",
            }
        ]
    )
    late = refused(capsys, "wait", "renate-20261123-101500-a1b2c3")
    assert late == "renate: AWS credentials expired; log in and rerun, it continues"


def test_another_project_is_left_alone(
    aws: Services, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training job of the account that isn't ours, whatever its name and its tag."""
    aws.configure(failures=[{"name": "theirs", "reason": "CapacityError: none"}])
    client = boto3.client("sagemaker")
    place = {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://b/x/",
        "S3DataDistributionType": "FullyReplicated",
    }
    client.create_training_job(
        TrainingJobName="theirs-20261123-101500-a1b2c3",
        RoleArn=aws.role,
        AlgorithmSpecification={
            "TrainingImage": "i",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["true"],
        },
        InputDataConfig=[{"ChannelName": "c", "DataSource": {"S3DataSource": place}}],
        OutputDataConfig={"S3OutputPath": f"s3://{aws.bucket}/theirs"},
        ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=[{"Key": "renate:job", "Value": "mine"}],
    )
    client.close()
    jobs("ls")
    assert capsys.readouterr().out == "no training jobs of ours in us-west-2\n"
    assert "no training job 'theirs-" in refused(capsys, "stop", "theirs-20261123-101500-a1b2c3")
