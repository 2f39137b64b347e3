"""Every cause of a refusal or a failure gives its one line; no container runs."""

import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import renate
from renate.errors import ConfigError, JobError
from renate.launchers.sagemaker.service import Service
from tests.command import RENATE
from tests.command import renate as command
from tests.conftest import write_table

from .services.start import Services

Json = dict[str, Any]
OVERRIDES = [
    "backend=sagemaker",
    "backend.instance_type=ml.p3.2xlarge",
    "backend.image=mine:1",
    "backend.poll=0.1",
]
QUOTA = (
    "The account-level service limit 'ml.p3.2xlarge for training job usage' is 0 Instances, with "
    "current utilization "
    "of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request "
    "an increase."
)
ME = "arn:aws:iam::123456789012:user/me"
DENIED = (
    "User: {} is not authorized to perform: {} on resource: {} because no identity-based policy "
    "allows it"
)
JOB = "arn:aws:sagemaker:us-west-2:123456789012:training-job/renate-1"
ROLE = "arn:aws:iam::123456789012:role/RenateJobs"

# At CreateTrainingJob: code, text, and what we say.
REFUSED: dict[str, tuple[str, str, str]] = {
    "role": (
        "ValidationException",
        f"Could not assume role {ROLE}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role.",
        f"backend.role={ROLE}: SageMaker can't assume it; trust sagemaker.amazonaws.com",
    ),
    "caller": (
        "AccessDeniedException",
        DENIED.format(ME, "sagemaker:CreateTrainingJob", JOB),
        f"not allowed: sagemaker:CreateTrainingJob on {JOB}, as {ME}",
    ),
    "pass role": (
        "AccessDeniedException",
        DENIED.format(ME, "iam:PassRole", ROLE),
        f"not allowed: iam:PassRole on {ROLE}, as {ME}",
    ),
    "quota": (
        "ResourceLimitExceeded",
        QUOTA,
        "backend.instance_type=ml.p3.2xlarge: quota 0, used 0, asked 1",
    ),
    "image": (
        "ValidationException",
        "Cannot find the requested image mine:1.",
        "backend.image=mine:1: not found, or the role may not pull it",
    ),
    "repository": (
        "ValidationException",
        "Cannot find repository: mine in registry ID: 123456789012 Please check if your ECR "
        "repository exists",
        "backend.image=mine:1: not found, or the role may not pull it",
    ),
    "repository's policy": (
        "ValidationException",
        "Access denied for repository: mine in registry ID: 123456789012.",
        "backend.image=mine:1: not found, or the role may not pull it",
    ),
    "expired": (
        "ExpiredTokenException",
        "The security token included in the request is expired",
        "AWS credentials expired; log in and rerun, it continues",
    ),
    "another": (
        "ValidationException",
        "1 validation error\n detected: something new",
        "SageMaker: ValidationException: 1 validation error detected: something new",
    ),
}
# In FailureReason.
FAILED: dict[str, tuple[str, str]] = {
    "capacity": (
        "CapacityError: Unable to provision requested ML compute capacity. Please retry using a "
        "different ML instance.",
        "no ml.p3.2xlarge free: another backend.instance_type, or later",
    ),
    "role": (
        f"ClientError: SageMaker was unable to assume the role '{ROLE}'",
        f"backend.role={ROLE}: SageMaker can't assume it; trust sagemaker.amazonaws.com",
    ),
    "image": (
        "ClientError: Cannot pull algorithm container. Either the image does not exist or its "
        "permissions are wrong.",
        "backend.image=mine:1: not found, or the role may not pull it",
    ),
    "bucket": (
        "ClientError: Data download failed: NoSuchBucket: The specified bucket does not exist, "
        "bucket gone",
        "no bucket gone in region us-west-2",
    ),
    "entry": ("AlgorithmError: , exit code: 137", "the job's entry ended with exit code 137"),
    "ours": ("AlgorithmError: renate: the loss is nan, exit code: 1", "the loss is nan"),
    "another": (
        "InternalServerError: We encountered an internal error.",
        "InternalServerError: We encountered",
    ),
}


@pytest.fixture
def run(aws: Services, workdir: Path) -> Callable[..., Any]:
    """Run a job whose state is new, with some overrides."""

    def go(*more: str) -> Any:
        url = f"s3://{aws.bucket}/{workdir.name}/state"
        return renate.run(
            [*OVERRIDES, f"backend.role={ROLE}", f"state.url={url}", "state.first=true", *more]
        )

    return go


def error_of(run: Callable[..., Any], *overrides: str) -> str:
    with pytest.raises(JobError) as error:
        run(*overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("code", "text", "line"), REFUSED.values(), ids=list(REFUSED))
def test_a_refusal(aws: Services, run: Callable[..., Any], code: str, text: str, line: str) -> None:
    aws.configure(errors=[{"operation": "CreateTrainingJob", "code": code, "message": text}])
    assert error_of(run).startswith(f"{line} (log: ")
    assert len(aws.requests("CreateTrainingJob")) == 1


@pytest.mark.parametrize(("reason", "line"), FAILED.values(), ids=list(FAILED))
def test_a_failure(aws: Services, run: Callable[..., Any], reason: str, line: str) -> None:
    aws.configure(failures=[{"name": "renate-", "reason": reason}])
    said = error_of(run)
    assert line in said
    assert re.search(r"\(renate-\d{8}-\d{6}-[0-9a-f]{6}\)", said), "which training job it was"


def test_what_is_throttled_is_tried_again(aws: Services, run: Callable[..., Any]) -> None:
    slow = {
        "operation": "CreateTrainingJob",
        "code": "ThrottlingException",
        "message": "Rate exceeded",
        "times": 2,
    }
    aws.configure(errors=[slow], failures=[{"name": "renate-", "reason": "CapacityError: none"}])
    assert error_of(run).startswith("no ml.p3.2xlarge free")
    assert len(aws.requests("CreateTrainingJob")) == 3


def test_a_lost_answer_is_not_another_job(aws: Services, run: Callable[..., Any]) -> None:
    lost = {"operation": "CreateTrainingJob", "lose_reply": True}
    aws.configure(errors=[lost], failures=[{"name": "renate-", "reason": "CapacityError: none"}])
    assert error_of(run).startswith("no ml.p3.2xlarge free")
    tried = aws.requests("CreateTrainingJob")
    assert len(tried) == 2
    assert len({request["TrainingJobName"] for request in tried}) == 1


def test_a_taken_name_is_replaced_once(aws: Services, run: Callable[..., Any]) -> None:
    taken = {
        "operation": "CreateTrainingJob",
        "code": "ResourceInUse",
        "message": "names must be unique",
        "times": 1,
    }
    aws.configure(errors=[taken], failures=[{"name": "renate-", "reason": "CapacityError: none"}])
    assert error_of(run).startswith("no ml.p3.2xlarge free")
    assert len({request["TrainingJobName"] for request in aws.requests("CreateTrainingJob")}) == 2
    aws.configure(errors=[taken | {"times": 2}])
    assert error_of(run).startswith("backend.job_name=renate: renate-")


def test_code_that_is_too_large(aws: Services, run: Callable[..., Any], workdir: Path) -> None:
    (workdir / "my_nets").mkdir()
    (workdir / "my_nets/__init__.py").write_text("from torch.nn import Linear as Net\n")
    (workdir / "my_nets/x.bin").write_bytes(bytes(3_000_000))
    own = [
        "model=torch_module",
        "model._target_=my_nets.Net",
        "trust=[my_nets]",
        "backend.max_code_mb=2",
    ]
    with pytest.raises(ConfigError) as error:
        run(*own)
    assert re.fullmatch(
        r"code is \d MB, limit backend.max_code_mb=2; largest: my_nets/x.bin \(3.0 MB\)",
        str(error.value),
    )
    assert aws.requests("CreateTrainingJob") == []


BEFORE: dict[str, tuple[list[str], str]] = {
    "role": (
        ["backend.role=RenateJobs"],
        "backend.role=RenateJobs: expected arn:aws:iam::<account>:role/<name>",
    ),
    "nobody waits": (
        ["state.url=./here", "backend.wait=false", "backend.staging=s3://renate-demo/x"],
        "backend.wait=false: nobody would bring the outcome to ./here: give "
        "state.next_url=s3://bucket/prefix",
    ),
    "no place": (
        ["state.url=./here"],
        "state.url=./here: backend=sagemaker needs a place in S3: state.url=s3://bucket/prefix, "
        "or for a local state backend.staging=s3://bucket/prefix",
    ),
    "variable": (
        ["logger=csv", "logger.name=${oc.env:SECRET}"],
        "logger.name needs SECRET in the job's environment, where nothing of this machine's is: "
        "+backend.environment.SECRET=…; who may describe the job can read it",
    ),
    "sweep": (
        ["backend.sweep=per_trail"],
        "backend.sweep=per_trail: expected inside or per_trial, did you mean 'per_trial'?",
    ),
    "machines of a sweep": (
        ["backend.instance_count=2", "seed=0,1"],
        "backend.instance_count=2: one machine runs a whole sweep; backend.sweep=per_trial gives "
        "each job as many",
    ),
    "clones": (
        [
            "optimizer.lr=interval(0.01,0.1)",
            "tuner=syne_tune/pbt",
            "tuner.max_trials=4",
            "backend.sweep=per_trial",
        ],
        "backend.sweep=per_trial: trials of SyneTune go on from each other's checkpoints, which "
        "takes one machine: "
        "backend.sweep=inside, or another tuner",
    ),
    "storage": (
        [
            "optimizer.lr=interval(0.01,0.1)",
            "tuner=optuna/tpe",
            "tuner.max_trials=4",
            "tuner.storage=study.log",
        ],
        "tuner.storage=study.log: the sweep runs as one job, which can't reach it: expected a "
        "database server, "
        "as postgresql://…, or backend.sweep=per_trial",
    ),
    "data of a trial": (
        [
            "data=files",
            "data.target=label",
            "data.train=a.parquet,b.parquet",
            "transform=none",
            "tuner=random",
        ],
        "data.train=a.parquet,b.parquet: local data that change from trial to trial: give them as "
        "s3://…, or "
        "backend.sweep=per_trial",
    ),
    "nobody tunes": (
        ["optimizer.lr=0.1,0.2", "tuner=random", "backend.sweep=per_trial", "backend.wait=false"],
        "backend.wait=false: with backend.sweep=per_trial this command is what tunes; a sweep "
        "inside one job needs "
        "nobody, backend.sweep=inside",
    ),
    "instance": (["backend.instance_type=???"], "backend=sagemaker needs backend.instance_type=…"),
}


@pytest.mark.parametrize(("more", "line"), BEFORE.values(), ids=list(BEFORE))
def test_before_anything_is_uploaded(
    aws: Services, workdir: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], line: str
) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    for name in ("a", "b"):
        write_table(workdir / f"{name}.parquet", seed=1)
    url = f"s3://{aws.bucket}/{workdir.name}/state"
    given = [*OVERRIDES, f"backend.role={ROLE}", f"state.url={url}", "state.first=true"]
    keys = {override.partition("=")[0] for override in more}
    done = command(
        *(o for o in given if o.partition("=")[0] not in keys), *more, cwd=workdir, code=1
    )
    assert done.stderr.splitlines()[-1] == f"renate: {line}"
    assert "s3cr3t" not in done.stderr
    assert aws.requests("CreateTrainingJob") == []

    import boto3

    assert "Contents" not in boto3.client("s3").list_objects_v2(
        Bucket=aws.bucket, Prefix=f"{workdir.name}/"
    )


def test_a_laptop_has_no_role(
    aws: Services, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK asks STS at its public address, whatever the environment says.
    monkeypatch.setattr(
        "sagemaker.core.helper.session_helper.sts_regional_endpoint", lambda region: aws.s3
    )
    with pytest.raises(ConfigError) as error:
        run("backend.role=null")
    assert str(error.value) == (
        "backend.role=null: you are arn:aws:sts::123456789012:user/moto, no role that a job could "
        "run as; "
        "give backend.role=arn:aws:iam::<account>:role/<name>"
    )


def test_who_cannot_ask_for_a_role_is_told_to_name_it(
    aws: Services, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sagemaker.core.helper.session_helper.sts_regional_endpoint",
        lambda region: "http://127.0.0.1:1",
    )
    said = r"^backend.role=null: AWS can't be asked for the role .*127.0.0.1.*give backend.role=arn"
    with pytest.raises(ConfigError, match=said):
        run("backend.role=null")


@pytest.mark.slow
def test_the_same_job_is_submitted_once(
    aws: Services, run: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """A second command, elsewhere, finds the first's training job and follows it."""
    aws.configure(capacity_delay=120)
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda more=more: said.append(error_of(run, *more)))
        for more in ([], ["run_dir=other"])
    ]
    threads[0].start()
    wait_for(lambda: aws.requests("CreateTrainingJob"))
    with pytest.raises(
        JobError, match="this very job is running already, as renate-.*: resume=true follows it"
    ):
        run("run_dir=elsewhere", "resume=false")
    threads[1].start()
    (name,) = [request["TrainingJobName"] for request in aws.requests("CreateTrainingJob")]
    wait_for(lambda: f"running already, as {name}" in capfd.readouterr().err)
    Service(None).stop(name)
    for thread in threads:
        thread.join(60)
    assert len(aws.requests("CreateTrainingJob")) == 1
    stopped = f"it was stopped; the same command goes on from its last checkpoint ({name})"
    assert [line.startswith(stopped) for line in said] == [True, True]


def wait_for(look: Callable[[], Any]) -> None:
    limit = time.monotonic() + 60
    while not look():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_submit_and_leave(aws: Services, workdir: Path) -> None:
    aws.configure(capacity_delay=60)
    url = f"s3://{aws.bucket}/{workdir.name}/state"
    given = [*OVERRIDES, f"backend.role={ROLE}", f"state.url={url}", "state.first=true"]
    done = command(*given, "backend.wait=false", cwd=workdir)
    (name,) = [request["TrainingJobName"] for request in aws.requests("CreateTrainingJob")]
    assert (
        f"submitted   {name}\nfollow      renate jobs wait {name} --backend sagemaker\n"
        in done.stdout
    )
    left = subprocess.Popen([*RENATE, *given], cwd=workdir, stderr=subprocess.PIPE, text=True)
    assert left.stderr is not None
    with left.stderr as lines:
        for line in lines:
            if "waiting for machines" in line:
                break
        left.send_signal(signal.SIGINT)
        rest = lines.read()
    assert left.wait(30) == 130
    assert f"{name} goes on; the same command follows it again" in rest
    assert Service(None).job(name).training_job_status == "InProgress"


@pytest.mark.slow
def test_ctrl_c_asks_whether_to_stop(aws: Services, workdir: Path) -> None:
    aws.configure(capacity_delay=60)
    url = f"s3://{aws.bucket}/{workdir.name}/state"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(
            RENATE[0],
            [*RENATE, *OVERRIDES, f"backend.role={ROLE}", f"state.url={url}", "state.first=true"],
        )
    try:
        read_until(terminal, "waiting for machines")
        os.write(terminal, b"\x03")
        read_until(terminal, "? [y/N] ")
        os.write(terminal, b"y\n")
        read_until(terminal, "is stopping; the same command goes on from its last checkpoint")
        _, status = os.waitpid(child, 0)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    (name,) = [request["TrainingJobName"] for request in aws.requests("CreateTrainingJob")]
    assert Service(None).job(name).training_job_status in ("Stopping", "Stopped")


def read_until(terminal: int, text: str) -> None:
    got = ""
    limit = time.monotonic() + 60
    while text not in re.sub(r"\s+", " ", got):
        assert time.monotonic() < limit, got
        got += os.read(terminal, 4096).decode(errors="replace")
