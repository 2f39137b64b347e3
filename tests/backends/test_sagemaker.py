"""`backend=sagemaker` against the loopback services: the entry that is submitted runs, in
namespaces of its own.
"""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import renate
from renate.errors import JobError
from renate.launchers.sagemaker.service import RUNNING, Service
from renate.state.manifest import Manifest
from renate.state.publish import candidates
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table

from .services.start import Services
from .services.validate import problems

Json = dict[str, Any]
QUICK = ["trainer.max_epochs=2", "model.hidden_sizes=[8]", "data.limit=200"]
# Slow enough to be interrupted: a callback of the user's own sleeps after each batch.
SLOW = """import time
import pytorch_lightning as pl

class Sleep(pl.Callback):
    def on_train_batch_end(self, *_):
        time.sleep(0.08)
"""
NAPS = ["+trainer.callbacks={nap:{_target_:my_naps.Sleep}}"]


@pytest.fixture
def on(aws: Services, workdir: Path) -> Callable[..., list[str]]:
    """Overrides that submit to the services; the state is a new one."""
    del workdir

    def overrides(*more: str) -> list[str]:
        return [
            "backend=sagemaker",
            f"backend.role={aws.role}",
            "backend.instance_type=ml.m5.xlarge",
            "backend.poll=0.5",
            *more,
        ]

    return overrides


@pytest.fixture
def url(aws: Services, tmp_path: Path) -> str:
    return f"s3://{aws.bucket}/{tmp_path.name}/state"


def weights(manifest: Manifest) -> dict[str, str]:
    """What an update leaves of model, updater and memory, by content."""
    return {
        name: blob.sha256 for name, blob in manifest.files.items() if name.endswith(".safetensors")
    }


def epochs(output: str) -> list[str]:
    return [line for line in output.splitlines() if re.match(r"epoch \d+ step", line)]


def names(aws: Services) -> list[str]:
    return [request["TrainingJobName"] for request in aws.requests("CreateTrainingJob")]


@pytest.mark.slow
def test_updates_end_as_they_do_here(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path
) -> None:
    for number, seed in enumerate(("seed=3", "seed=4"), 1):
        first = ["state.first=true"] if number == 1 else []
        here = command(*QUICK, seed, "state.url=./here", *first, cwd=workdir)
        there = command(*on(*QUICK, seed, f"state.url={url}", *first), cwd=workdir)
        assert epochs(there.stderr) == epochs(here.stderr) != []
        assert f"version     {number} of {url}" in there.stdout
        assert weights(State(url).manifest()) == weights(State("./here").manifest())
    assert State(url).manifest().parent.version == 1  # type: ignore[union-attr]
    job = Path("runs", str(State(url).manifest().job))
    reports = [json.loads(line) for line in (job / "metrics.jsonl").read_text().splitlines()]
    assert [report["epoch"] for report in reports] == [1, 2]
    # What arrived is what was checked, and the container's own log has the epochs too.
    request = aws.requests("CreateTrainingJob")[0]
    assert request["OutputDataConfig"] == {
        "S3OutputPath": f"{url}/jobs/{request['Tags'][0]['Value']}/out"
    }
    assert problems("CreateTrainingJob", request) == []
    assert any(line.startswith("epoch 2 step") for line in aws.log(names(aws)[0]))
    again = command(*on(*QUICK, "seed=4", f"state.url={url}"), cwd=workdir)
    assert "already published as version 2" in again.stdout
    assert len(names(aws)) == 2


@pytest.mark.slow
def test_what_is_local_travels_and_comes_back(
    aws: Services, on: Callable[..., list[str]], workdir: Path
) -> None:
    for week in (1, 2):
        write_table(workdir / f"new/{week}.parquet", seed=week)
    (workdir / "my_nets.py").write_text(
        "from torch import nn\nfrom my_layers import Wide\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self):\n        super().__init__(Wide(2, 3))\n"
    )
    (workdir / "my_layers.py").write_text(
        "from torch import nn\n\nclass Wide(nn.Linear):\n    pass\n"
    )
    (workdir / "requirements.txt").write_text("torch\nnumpy>1\n")
    table = ["data=files", "data.target=label", "transform=none", "trainer.max_epochs=2"]
    own = ["model=torch_module", "model._target_=my_nets.Net", "trust=[my_nets]"]
    place = f"s3://{aws.bucket}/{workdir.name}"
    local = [
        f"backend.staging={place}",
        "state.url=./mine",
        "backend.requirements=requirements.txt",
    ]
    for week, first in ((1, ["state.first=true"]), (2, [])):
        data = [*table, *own, f"data.train=new/{week}.parquet", *first]
        renate.run([*data, "state.url=./here"])
        result = renate.run(on(*data, *local))
        assert (result.version, result.state_url) == (week, "./mine")
        assert weights(State("./mine").manifest()) == weights(State("./here").manifest())
    State("./mine").verify()
    # The second job started from what the first had left in S3 already.
    sent = [request["InputDataConfig"] for request in aws.requests("CreateTrainingJob")]
    assert sent[0][0] == sent[1][0], "the same code is the same archive"
    objects = everything(aws, workdir.name)
    assert sum("/sources/" in key for key in objects) == 1
    blobs = {
        blob.sha256
        for version in (1, 2)
        for blob in State("./mine").manifest(version).files.values()
    }
    assert {key.rpartition("/")[2] for key in objects if "/pool/" in key} == blobs


def everything(aws: Services, prefix: str) -> list[str]:
    import boto3

    pages = (
        boto3.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=aws.bucket, Prefix=prefix)
    )
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


@pytest.mark.slow
def test_a_finished_job_is_found_from_anywhere(
    aws: Services, on: Callable[..., list[str]], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = on(*QUICK, f"backend.staging=s3://{aws.bucket}/{workdir.name}")
    first = renate.run(given)
    (workdir / "elsewhere").mkdir()
    monkeypatch.chdir(workdir / "elsewhere")
    again = renate.run(given)
    assert (again.version, again.metrics) == (1, first.metrics)
    assert again.state_url == str(again.job_dir / "state")
    assert again.job_dir.parent == workdir / "elsewhere/runs"
    assert weights(State(again.state_url).manifest()) == weights(State(first.state_url).manifest())
    assert len(names(aws)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_spot(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path, signal: str
) -> None:
    (workdir / "my_naps.py").write_text(SLOW)
    long = [
        *QUICK,
        *NAPS,
        "trainer.max_epochs=8",
        "trainer.checkpoint_every=0.3",
        "state.first=true",
    ]
    whole = renate.run([*long, "state.url=./here"])
    ended: list[Any] = []
    spot = on(*long, f"state.url={url}", "backend.spot=true", "backend.max_run=600")
    thread = threading.Thread(target=lambda: ended.append(renate.run(spot)))
    thread.start()
    name = wait_for(lambda: names(aws))[0]
    aws.wait_for_line(name, "epoch 3 step")
    aws.interrupt(name, signal=signal)
    thread.join(120)
    passed = [each.status for each in Service(None).job(name).secondary_status_transitions]
    assert passed.count("Training") == 2
    assert ended[0].metrics == whole.metrics
    assert weights(State(url).manifest()) == weights(State("./here").manifest())
    reports = [
        json.loads(line) for line in (ended[0].job_dir / "metrics.jsonl").read_text().splitlines()
    ]
    assert [report["epoch"] for report in reports] == list(range(1, 9)), "each epoch once"
    restarted = [line for line in aws.log(name) if line.startswith("epoch ")]
    assert 8 <= len(restarted) < 11, "it didn't begin again from nothing"


def over(training: Any) -> Any:
    return training if training.training_job_status not in RUNNING else None


def wait_for(look: Callable[[], Any], seconds: float = 60) -> Any:
    limit = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if found := look():
            return found
        limit.wait(0.05)
    raise TimeoutError


@pytest.mark.slow
def test_stop_and_go_on(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path
) -> None:
    (workdir / "my_naps.py").write_text(SLOW)
    long = on(*QUICK, *NAPS, "trainer.max_epochs=8", f"state.url={url}", "state.first=true")
    refused: list[str] = []

    def run() -> None:
        with pytest.raises(JobError) as error:
            renate.run(long)
        refused.append(str(error.value))

    thread = threading.Thread(target=run)
    thread.start()
    name = wait_for(lambda: names(aws))[0]
    service = Service(None)
    service.job(name)  # the SDK is imported
    aws.wait_for_line(name, "epoch 2 step")
    service.stop(name)
    thread.join(60)
    assert "it was stopped; the same command goes on from its last checkpoint" in refused[0]
    done = renate.run(long)
    assert done.version == 1
    first, second = (
        len([line for line in aws.log(n) if line.startswith("epoch ")]) for n in names(aws)
    )
    assert first >= 2
    assert first + second == 8


@pytest.mark.slow
def test_a_job_that_fails_says_why(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path
) -> None:
    done = command(
        *on(*QUICK, "optimizer.lr=1e30", f"state.url={url}", "state.first=true"),
        cwd=workdir,
        code=1,
    )
    last = done.stderr.splitlines()[-1]
    assert re.match(
        r"renate: the loss is .* with learning rate 1e\+30: nothing is published; try", last
    )
    assert "Traceback" not in done.stderr
    described = wait_for(lambda: over(Service(None).job(names(aws)[0])))
    assert described.training_job_status == "Failed"
    said = last.removeprefix("renate: ")
    assert described.failure_reason == f"AlgorithmError: renate: {said}, exit code: 1"


@pytest.mark.slow
def test_a_killed_process_is_named(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path
) -> None:
    (workdir / "my_naps.py").write_text(
        "import os\nimport pytorch_lightning as pl\n\nclass Sleep(pl.Callback):\n"
        "    def on_train_start(self, *_):\n        print('about to die', flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    done = command(*on(*QUICK, *NAPS, f"state.url={url}", "state.first=true"), cwd=workdir, code=1)
    assert (
        done.stderr.splitlines()[-1]
        == "renate: the job's process ended with signal SIGKILL: out of memory?"
    )
    assert "about to die" in done.stderr.splitlines(), "what the job prints is shown"
    (job,) = {path.resolve() for path in Path("runs").iterdir()}
    assert "about to die\n" in (job / "log.txt").read_text()


@pytest.mark.slow
def test_requirements_never_replace_torch(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path
) -> None:
    (workdir / "requirements.txt").write_text("torch==1.0\n")
    given = ["backend.requirements=requirements.txt", "+backend.environment.PIP_NO_INDEX=1"]
    done = command(*on(*QUICK, *given, f"state.url={url}", "state.first=true"), cwd=workdir, code=1)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("renate: installing packages failed, pip's exit code 1: ERROR: ")
    assert last.endswith(f"({names(aws)[0]})")


@pytest.mark.slow
def test_the_time_is_limited(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path
) -> None:
    aws.configure(capacity_delay=60)
    limits = ["backend.spot=true", "backend.max_run=1", "backend.max_wait=1"]
    done = command(
        *on(*QUICK, *limits, f"state.url={url}", "state.first=true"), cwd=workdir, code=1
    )
    assert (
        "renate: backend.max_wait=1: no spare machine for long enough; a larger one" in done.stderr
    )
    aws.configure(capacity_delay=0, grace=0.2)
    done = command(
        *on(*QUICK, "backend.max_run=1", f"state.url={url}", "state.first=true"),
        cwd=workdir,
        code=1,
    )
    assert (
        "renate: backend.max_run=1: the time is over; the same command goes on from the last"
        in done.stderr
    )


@pytest.mark.slow
def test_a_stream_and_its_evaluation(
    aws: Services, on: Callable[..., list[str]], workdir: Path
) -> None:
    place = f"s3://{aws.bucket}/{workdir.name}"
    stream = [
        *QUICK,
        "trainer.max_epochs=1",
        "scenario=class_incremental",
        "scenario.chunks=2",
        "objective.metric=null",
    ]
    here = renate.run(["job=stream", *stream, "state.url=./here"])
    there = renate.run(on("job=stream", *stream, "state.url=./there", f"backend.staging={place}"))
    assert there.matrix == here.matrix
    assert (there.version, there.state_url) == (2, "./there")
    for number in (1, 2):
        assert weights(State("./there").manifest(number)) == weights(
            State("./here").manifest(number)
        )
    measure = [
        "job=evaluate",
        *stream[:-1],
        "objective.metric=val_loss",
        "job.version=1",
        "state.url=./there",
    ]
    assert (
        renate.run(on(*measure, f"backend.staging={place}")).metrics == renate.run(measure).metrics
    )


@pytest.mark.slow
def test_two_machines_train_together(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path
) -> None:
    """Also where both are taken away, they end bit for bit as two processes of this machine."""
    (workdir / "my_naps.py").write_text(SLOW)
    given = [
        *QUICK,
        *NAPS,
        "trainer.max_epochs=6",
        "memory.capacity=50",
        "state.first=true",
        "trainer.accelerator=cpu",
    ]
    here = renate.run([*given, "trainer.devices=2", "state.url=./here"])
    ended: list[Any] = []
    two = on(*given, "backend.instance_count=2", "backend.spot=true", f"state.url={url}")
    thread = threading.Thread(target=lambda: ended.append(renate.run(two)))
    thread.start()
    name = wait_for(lambda: names(aws))[0]
    aws.wait_for_line(name, "epoch 2 step")
    aws.interrupt(name)
    thread.join(120)
    assert ended[0].metrics == here.metrics
    assert weights(State(url).manifest()) == weights(State("./here").manifest())
    passed = [each.status for each in Service(None).job(name).secondary_status_transitions]
    assert passed.count("Training") == 2
    epochs_of_both = [line for line in aws.log(name) if line.startswith("epoch ")]
    assert 6 <= len(epochs_of_both) < 8, "it didn't begin again from nothing"
    kept = {
        key.partition("/checkpoints/")[2].partition("/")[0] for key in everything(aws, workdir.name)
    }
    assert kept == {"", "algo-1", "algo-2"}


@pytest.mark.parametrize(
    ("sweep", "jobs"), [pytest.param("inside", 1, marks=pytest.mark.slow), ("per_trial", 2)]
)
@pytest.mark.slow
def test_a_grid_leaves_candidates(
    aws: Services, on: Callable[..., list[str]], url: str, workdir: Path, sweep: str, jobs: int
) -> None:
    grid = [
        *QUICK,
        "seed=1,2",
        "backend.workers=2",
        f"backend.sweep={sweep}",
        f"state.url={url}",
        "state.first=true",
    ]
    done = command(*on(*grid), cwd=workdir)
    assert len(names(aws)) == jobs
    assert len(candidates(State(url))) == 2
    assert State(url).versions() == []
    job = re.findall(r"seed=2: publish with renate state publish (\S+)", done.stdout)[0]
    assert command("state", "publish", job, cwd=workdir).stdout == f"version 1 of {url}\n"
    assert State(url).manifest().job == Path(job).name
