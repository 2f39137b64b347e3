"""The batch script, run by bash with stand-ins for SLURM's commands, and its options."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from renate.errors import ConfigError
from renate.launchers.composing.conf import CONF
from renate.launchers.slurm.batch import check_options, options_of, script_of

PYTHON = """#!/bin/bash
trap 'echo told >> {folder}/told; exit 143' TERM
echo "$@" >> {folder}/called
[ -e {folder}/long ] || exit 0
touch {folder}/began
while :; do sleep 0.05; done
"""
SRUN = """#!/bin/bash
shift
for rank in 0 1; do SLURM_PROCID=$rank "$@"; done
"""
SCONTROL = """#!/bin/bash
if [ "$1" = requeue ]; then echo "$2" >> {folder}/requeued; exit 1; fi
echo "NodeName=one NodeAddr=10.0.0.1 NodeHostName=one"; echo "NodeName=two NodeAddr=10.0.0.2 Port=1"
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """An environment with commands that write down how they are called."""
    for name, text in {"python": PYTHON, "srun": SRUN, "scontrol": SCONTROL}.items():
        path = tmp_path / name
        path.write_text(text.replace("{folder}", str(tmp_path)))
        path.chmod(0o755)
    return os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "40017",
        "SLURM_JOB_NODELIST": "n[1-2]",
    }


def script(folder: Path, nodes: int = 1) -> str:
    return script_of(
        title="renate-1: optimizer.lr=0.1",
        folder=folder,
        python=str(folder / "python"),
        program="run_job",
        channel=folder / "a channel",
        directory=folder / "jobs",
        name="renate-1",
        nodes=nodes,
    )


def test_one_node(tmp_path: Path, stand_ins: dict[str, str]) -> None:
    done = subprocess.run(["bash", "-c", script(tmp_path)], env=stand_ins)
    assert done.returncode == 0
    module = "-u -m renate.launchers.remote.inside.run_job"
    called = (tmp_path / "called").read_text().splitlines()
    assert called == [f"{module} {tmp_path}/a channel {tmp_path}/jobs --run renate-1"]


def test_each_of_several_nodes_knows_the_others(tmp_path: Path, stand_ins: dict[str, str]) -> None:
    done = subprocess.run(["bash", "-c", script(tmp_path, nodes=2)], env=stand_ins)
    assert done.returncode == 0
    called = (tmp_path / "called").read_text().splitlines()
    assert [line.partition("--run ")[2] for line in called] == [
        f"renate-1 --hosts 10.0.0.1,10.0.0.2 --host {rank} --port 20017" for rank in (0, 1)
    ]
    assert f"{tmp_path}/jobs/1 " in called[1]


@pytest.mark.parametrize(("sent", "requeued"), [("TERM", False), ("USR1", True)])
def test_a_signal_comes_through_once(
    sent: str, requeued: bool, tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    """And the exit status is the job's own; out of time it is queued again."""
    (tmp_path / "long").touch()
    process = subprocess.Popen(["bash", "-c", script(tmp_path)], env=stand_ins)
    end = time.monotonic() + 30
    while not (tmp_path / "began").exists():
        assert time.monotonic() < end
        time.sleep(0.01)

    process.send_signal(signal.Signals[f"SIG{sent}"])
    assert process.wait(30) == 143
    assert (tmp_path / "told").read_text() == "told\n"
    assert (tmp_path / "requeued").exists() is requeued


def test_a_signal_that_comes_as_the_job_begins_comes_through(
    tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    """Just before the script knows the process that it is to tell."""
    (tmp_path / "long").touch()
    early = f"until [ -e {tmp_path}/began ]; do sleep 0.01; done\nkill -TERM $$\nchild=$!"
    text = script(tmp_path)
    assert text.count("child=$!") == 1
    done = subprocess.run(
        ["bash", "-c", text.replace("child=$!", early)], env=stand_ins, timeout=30, check=False
    )
    assert done.returncode == 143
    assert (tmp_path / "told").read_text() == "told\n"


def test_options_are_sbatchs() -> None:
    settings = OmegaConf.load(CONF / "backend" / "slurm.yaml")
    settings.memory_gb = 1.5
    settings.sbatch = {"account": "ranking", "exclusive": True}
    words = options_of(settings, name="n", place=Path("/p"), comment="renate id /a b")
    assert {"--mem=1536M", "--account=ranking", "--exclusive", "--requeue"} <= set(words)
    assert "--comment=renate id /a b" in words
    assert not [word for word in words if "None" in word or word.startswith("--time")]


def test_a_percent_sign_in_a_folder_is_one() -> None:
    """To sbatch it stands for something else: output would go where nobody looks."""
    settings = OmegaConf.load(CONF / "backend" / "slurm.yaml")
    one = options_of(settings, name="n", place=Path("/at 50%j"), comment="c")
    several = options_of(settings, name="n", place=Path("/at 50%j"), comment="c", tasks=True)
    assert "--output=/at 50%%j/output.txt" in one
    assert "--output=/at 50%%j/%a/output.txt" in several


@pytest.mark.parametrize("limit", [59, "90", "30:00", "12:00:00", "2-12", "2-12:30:00", None])
def test_a_limit_of_time_is_sbatchs(limit: object) -> None:
    settings = OmegaConf.load(CONF / "backend" / "slurm.yaml")
    settings.time = limit
    check_options(settings)
    words = options_of(settings, name="n", place=Path("/p"), comment="c")
    assert (f"--time={limit}" in words) is (limit is not None)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("nodes", 0, "backend.nodes=0: expected a whole number of 1 or more"),
        ("memory_gb", -1, "backend.memory_gb=-1: expected a number above 0, or null"),
        ("working_copy", "copied", "backend.working_copy=copied: expected shared or shipped"),
        ("sbatch", {"time": 1}, "backend.sbatch.time: backend.time"),
        # What YAML makes of 12:00:00 without quotes: 30 days of minutes, to sbatch
        ("time", 43200, "backend.time=43200: expected minutes below 60, or in quotes what"),
        ("time", 1800, "backend.time=1800: expected minutes below 60"),  # a bare 30:00 of YAML
        ("time", 90, "or null; for 90 minutes on the command line: 'backend.time=\"90\"'"),
        ("time", "12 hours", "backend.time=12 hours: expected minutes below 60"),
        ("staging", "s3://b/x", "backend.staging=s3://b/x: expected a folder that nodes see"),
        ("sbatch", {"account": None}, "backend.sbatch.account=null: expected text, a whole number"),
        ("sbatch", {"ntasks_per_core": 1}, "as sbatch spells it: ntasks-per-core"),
    ],
)
def test_what_cant_be_right_is_told(key: str, value: object, said: str) -> None:
    settings = OmegaConf.load(CONF / "backend" / "slurm.yaml")
    settings[key] = value
    with pytest.raises(ConfigError) as error:
        check_options(settings)
    assert said in str(error.value)
