"""The SDK and boto3 are imported where a job is submitted or followed, and nowhere else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from renate.jobs.directory import JobDirectory
from renate.launchers.sagemaker import bootstrap
from tests.command import renate

SDKS = ("sagemaker", "boto3", "botocore")


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets a line whenever a process below imports one of the SDKs, which then isn't
    there.
    """
    folder = tmp_path / "path"
    lines = tmp_path / "tried.txt"
    lines.touch()
    for name in SDKS:
        (folder / name).mkdir(parents=True)
        note = f"import pathlib\npathlib.Path({str(lines)!r}).open('a').write('{name}\\n')\n"
        (folder / name / "__init__.py").write_text(f"{note}raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return lines


def test_the_watch_sees_an_import(tried: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import boto3"], capture_output=True, env=os.environ
    )
    assert done.returncode == 1
    assert tried.read_text() == "boto3\n"


@pytest.mark.slow
def test_a_config_is_shown_without_them(tried: Path, workdir: Path) -> None:
    shown = renate(
        "backend=sagemaker",
        "--cfg",
        "job",
        "state.url=s3://nowhere/at-all",
        cwd=workdir,
        own_process=True,
    ).stdout
    assert "instance_type: ???" in shown
    renate("--help", cwd=workdir, own_process=True)
    assert tried.read_text() == ""


@pytest.mark.slow
def test_a_container_runs_without_them(
    tried: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the container's entry, with a folder for what would be S3."""
    quick = (
        "trainer.max_epochs=1",
        "model.hidden_sizes=[8]",
        "data.limit=200",
        "state.url=./state",
        "state.first=true",
    )
    config = renate(*quick, "--cfg", "job", "--resolve", cwd=workdir, own_process=True).stdout
    channel = workdir / "channel"
    resources = workdir / "input" / "config" / "resourceconfig.json"
    channel.mkdir()
    resources.parent.mkdir(parents=True)
    (channel / "config.yaml").write_text(config)
    record = {
        "id": "0123456789",
        "recipe": "r",
        "parent": None,
        "overrides": [],
        "cwd": "",
        "publish": True,
        "created": 0,
    }
    (channel / "job.json").write_text(json.dumps(record | {"home": str(workdir / "home")}))
    resources.write_text(
        json.dumps({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"})
    )
    monkeypatch.setattr(bootstrap, "ML", workdir)
    monkeypatch.setattr(bootstrap, "CHANNEL", channel)
    monkeypatch.setattr(bootstrap, "CHECKPOINTS", workdir / "checkpoints")
    done = subprocess.run(
        bootstrap.command(), cwd=workdir, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = JobDirectory(workdir / "checkpoints" / "algo-1").result
    assert result is not None
    assert result.version == 1
    assert list((workdir / "home").rglob("result.json"))
    assert tried.read_text() == ""
