"""The command line: what it shows, and its verbs."""

import importlib.metadata
import json
import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import renate as package
from renate.cli import main
from renate.state.versions import State
from tests.command import RENATE
from tests.command import renate as command

QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]"]


renate = partial(command, own_process=True)  # as users have it


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    main(list(arguments))
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    capsys.readouterr()
    assert isinstance(caught.value.code, str), "one line on stderr, exit status 1"
    assert "\n" not in caught.value.code
    return caught.value.code


def test_help_is_one_screen_with_examples(workdir: Path) -> None:
    text = renate("--help", cwd=workdir).stdout
    assert len(text.splitlines()) < 50
    for needed in (
        "renate updater=derpp optimizer.lr=0.01",
        "renate init DIR",
        "updater: agem, ",
        "derpp, dualprompt, er, ",
        "state.first=true",
    ):
        assert needed in text


def test_cfg_info_and_completion(workdir: Path) -> None:
    assert (
        "_target_: renate.updaters.derpp.DERpp"
        in renate("--cfg", "job", "updater=derpp", cwd=workdir).stdout
    )
    resolved = renate("--cfg", "job", "--resolve", cwd=workdir).stdout
    assert "${" not in resolved
    assert "pkg://renate.conf" in renate("--info", "searchpath", cwd=workdir).stdout
    one = renate("--cfg", "job", "updater=er,derpp", cwd=workdir, code=1)
    assert one.stderr == "renate: one job at a time: renate --cfg job updater=er\n"
    domains = ("optimizer.lr=tag(log,interval(0.1,0.2))", "seed=int(interval(1,3))")
    one = renate("--cfg", "job", *domains, cwd=workdir, code=1)
    said = "renate: one job at a time: renate --cfg job optimizer.lr=0.1 seed=1\n"
    assert one.stderr == said
    for line, expected in (
        ("renate updater=", "updater=derpp"),
        ("renate updater.re", "updater.replay_batch_size="),
    ):
        found = renate(
            "-sc", "query=bash", cwd=workdir, COMP_LINE=line, COMP_POINT=str(len(line))
        ).stdout
        assert expected in found.split()


def test_a_mistake_costs_one_line(workdir: Path) -> None:
    for arguments, text in [
        (["-m", "updater=derp"], "updater=derp: no such option, did you mean 'derpp'?"),
        (["stat", "ls"], "'stat' is neither a verb nor key=value, did you mean 'state'?"),
        (["data.x=[ab"], """its value needs quotes: 'data.x="[ab"'"""),
        (
            ["tuner=grid", "optimizer.lr=interval(0,1)"],
            "optimizer.lr=interval(0, 1) has no end: give choices",
        ),
    ]:
        done = renate(*arguments, cwd=workdir, code=1)
        assert text in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert list(workdir.iterdir()) == [], "nothing is left behind"


def test_state_verbs(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        package.run(
            [*QUICK, "state.url=./state", f"state.first={str(not seed).lower()}", f"seed={seed}"]
        )
    table = run(capsys, "state", "ls", "./state")
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["1", "2", "3"]
    newest = run(capsys, "state", "ls", "./state", "--last", "2")
    assert newest.splitlines()[1:] == table.splitlines()[2:]
    assert run(capsys, "state", "ls", "./state", "--last", "9") == table
    for value in ("0", "-1", "x", "1.5"):
        told = f"renate: --last {value}: expected a whole number of 1 or more"
        assert fails(capsys, "state", "ls", "./state", f"--last={value}") == told
    told = "renate: --keep 0: expected a whole number of 1 or more"
    assert fails(capsys, "state", "gc", "./state", "--keep", "0") == told
    assert "grace=nan" in fails(capsys, "state", "gc", "./state", "--grace-days", "nan")

    jobs = run(capsys, "jobs", "ls").splitlines()
    assert run(capsys, "jobs", "ls", "--last", "1").splitlines()[1:] == jobs[-1:]
    shown = run(capsys, "state", "show", "./state", "2")
    assert "version    2 of" in shown
    assert "model.safetensors" in shown
    assert "accuracy" in shown
    assert run(capsys, "state", "pin", "./state", "live", "1") == "live is version 1\n"
    assert "live" in run(capsys, "state", "ls", "./state")
    assert run(capsys, "state", "rollback", "./state", "live").startswith(
        "version 4 has the content of version"
    )
    assert re.search(
        r"version 4: \d+ files, [\d,]+ bytes, as published",
        run(capsys, "state", "verify", "./state"),
    )
    assert "versions removed: 2, 3; " in run(
        capsys, "state", "gc", "./state", "--keep", "1", "--grace-days", "0"
    )
    assert State("./state").versions() == [1, 4]
    assert "version 1:" in run(capsys, "state", "verify", "./state", "live")
    assert run(capsys, "state", "unpin", "./state", "live") == "live is gone\n"
    blob = next(b for b in State("./state").manifest(4).files.values() if b.size > 2000)
    (workdir / "state" / blob.key).write_bytes(b"x" * blob.size)
    assert blob.key in fails(capsys, "state", "verify", "./state")
    assert "no version" in fails(capsys, "state", "show", "./nowhere")


def test_jobs_verbs(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "jobs", "ls") == "no jobs in runs\n"
    result = package.run([*QUICK, "seed=3"])
    table = run(capsys, "jobs", "ls")
    assert result.job_dir.name in table
    assert "completed" in table
    shown = run(capsys, "jobs", "show", result.job_dir.name)
    assert "test_accuracy" in shown
    assert "hidden_sizes" in shown
    near = result.job_dir.name[:-1] + "x"
    assert f"did you mean '{result.job_dir.name}'" in fails(capsys, "jobs", "show", near)
    run(capsys, "jobs", "rm", result.job_dir.name)
    assert not result.job_dir.exists()


@pytest.mark.slow
def test_verbs_of_a_job_that_runs(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workdir / "my_naps.py").write_text(
        "import time\nimport pytorch_lightning as pl\n\nclass Sleep(pl.Callback):\n"
        "    def on_train_epoch_end(self, *_):\n        print('asleep', flush=True)\n        "
        "time.sleep(0.3)\n"
    )
    naps = [*QUICK, "trainer.max_epochs=200", "+trainer.callbacks={nap:{_target_:my_naps.Sleep}}"]
    pipes = {"cwd": workdir, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*RENATE, *naps], **pipes) as job:
        reports = workdir / "runs/latest/metrics.jsonl"
        wait_for(lambda: reports.exists() and reports.read_text())
        with subprocess.Popen([*RENATE, "jobs", "wait", "latest"], **pipes) as waiting:
            assert waiting.stderr is not None
            assert waiting.stderr.readline() == "asleep\n"
            said = run(capsys, "jobs", "logs", "latest")
            assert "asleep\n" in said
            assert "epoch 1 step" in said
            name = reports.parent.resolve().name
            assert run(capsys, "jobs", "stop", name) == f"{name} ends at its next report\n"
            out, shown = waiting.communicate(timeout=60)
        assert waiting.returncode == 0
        assert f"job         ./runs/{name}\n" in out
        job.communicate(timeout=60)
    assert job.returncode == 0
    epochs = [line for line in shown.splitlines() if line.startswith("epoch ")]
    assert 1 <= len(epochs) < 200
    assert run(capsys, "jobs", "stop", "latest") == f"{name} is stopped already\n"
    followed = run(capsys, "jobs", "logs", "latest", "--follow").splitlines()
    whole = [line for line in followed if line.startswith("epoch ")]
    assert epochs == whole[-len(epochs) :], "from when somebody waited"
    (workdir / "runs" / name / "result.json").unlink()
    for verb in ("stop", "wait"):
        gone = (
            f"renate: {name}: it doesn't run on this machine; the same command starts it, or goes "
            "on"
        )
        assert fails(capsys, "jobs", verb, name) == gone


def wait_for(look: Callable[[], object], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def test_who_waits_for_a_job_of_the_past_hears_that_its_version_is_gone(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renate(*QUICK, "state.url=./mine", "state.first=true", cwd=workdir)
    assert "version     1 of ./mine" in run(capsys, "jobs", "wait", "latest")
    (workdir / "mine").rename(workdir / "elsewhere")
    said = "renate: version 1 is gone from ./mine: its command makes it"
    assert fails(capsys, "jobs", "wait", "latest") == said


@pytest.mark.slow
def test_a_failure_is_waited_for(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = renate(*QUICK, "optimizer.lr=1e30", cwd=workdir, code=1).stderr.splitlines()[-1]
    assert fails(capsys, "jobs", "wait", "latest") == last
    assert run(capsys, "jobs", "logs", "latest").splitlines()[-1] == last


@pytest.mark.slow
def test_an_experiment_repository(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One Python file and one YAML make an algorithm, without touching this repository."""
    assert run(capsys, "init", "mine") == "cd mine && renate experiment=first\n"
    folder = workdir / "mine"
    first = renate("experiment=first", cwd=folder)
    assert "version     5 of" in first.stdout
    assert (folder / "runs" / "latest").resolve().is_dir()
    (folder / "conf" / "updater" / "halves.yaml").write_text(
        "_target_: halves.Halves\nreplay_batch_size: 8\n"
    )
    (folder / "halves.py").write_text(
        "import torch\nfrom renate.updaters.er import ER\n\n"
        "class Halves(ER):\n    def loss(self, model, batch):\n        return super().loss(model, "
        "batch) / 2\n"
    )
    assert "halves" in renate("--help", cwd=folder).stdout
    renate("updater=halves", *QUICK, cwd=folder)
    config = json.loads((folder / "runs" / "latest" / "job.json").read_text())
    assert config["overrides"][0] == "updater=halves"
    assert "exists already; nothing was written" in fails(capsys, "init", "mine")


def test_the_archived_package_is_refused(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.5.1" if name == "renate" else real(name)
    )
    assert "the archived package renate 0.5.1 is installed too" in fails(capsys, "--help")
