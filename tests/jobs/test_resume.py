"""A fit that was interrupted within an epoch goes on and ends bit for bit as if nothing had
happened.
"""

import inspect
import io
import json
import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from renate.fitting.checkpoint_files import CheckpointFiles
from renate.ranks import ALONE, Ranks
from renate.state.versions import State
from tests.command import RENATE, renate, workers

LONG = [
    *(
        "updater=derpp",
        "optimizer.momentum=0.9",
        "optimizer.lr=0.02",
        "lr_scheduler=cosine",
        "memory.capacity=300",
    ),
    *("trainer.max_epochs=60", "model.hidden_sizes=[32]", "trainer.gradient_clip_val=1.0"),
]


def changed(whole: bytes) -> bytes:
    """A file of torch's with one bit of its largest tensor the other way round."""
    archive = zipfile.ZipFile(io.BytesIO(whole))
    largest = archive.read(max(archive.infolist(), key=lambda each: each.file_size))
    damaged = bytearray(whole)
    damaged[whole.index(largest) + 2] ^= 64
    return bytes(damaged)


def files(folder: Path, run_dir: str) -> dict[str, dict[str, torch.Tensor]]:
    state = job_of(folder / run_dir) / "state"
    manifest = State(str(state)).manifest()
    read = State(str(state)).read
    return {n: load(bytes(read(manifest, n))) for n in manifest.files if n.endswith(".safetensors")}


def job_of(run_dir: Path) -> Path:
    (path,) = (p.parent for p in run_dir.glob("*/job.json") if p.parent.name != "latest")
    return path


def within_a_later_epoch(checkpoint: Path) -> bool:
    saved = torch.load(checkpoint, weights_only=True) if checkpoint.exists() else {"epochs": 0}
    return saved["epochs"] > 0 and saved["position"] > 0


def interrupted(folder: Path, arguments: list[str], how: str) -> None:
    """Start a run and end it within an epoch, after some epochs."""
    process = subprocess.Popen(
        [*RENATE, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 90
    while time.monotonic() < until:
        reports = list((folder / "runs").glob("*/metrics.jsonl"))
        ready = reports and len(reports[0].read_text().splitlines()) >= 5
        if ready and (how == "SIGINT" or within_a_later_epoch(reports[0].parent / "checkpoint.pt")):
            break
        time.sleep(0.01)
    if how == "SIGINT":
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    else:
        for pid in [process.pid, *workers(folder)]:
            os.kill(pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("how", "every", "report"),
    [
        pytest.param("SIGINT", "null", None, marks=pytest.mark.slow),
        pytest.param("SIGKILL", "0.2", None, marks=pytest.mark.slow),
        pytest.param("SIGKILL", "0.2", 13, marks=pytest.mark.slow),
    ],
)
def test_bit_for_bit(how: str, every: str, report: int | None, workdir: Path) -> None:
    arguments = [
        *LONG,
        f"trainer.checkpoint_every={every}",
        f"trainer.report_every={report or 'null'}",
    ]
    interrupted(workdir, arguments, how)
    job = job_of(workdir / "runs")
    assert not (job / "result.json").exists()
    saved = torch.load(job / "checkpoint.pt", weights_only=True)
    assert 0 < saved["epochs"] < 59
    assert saved["position"] >= 0  # within an epoch, or between two
    renate(*arguments, cwd=workdir)
    renate(*arguments, "run_dir=whole", cwd=workdir)
    one = files(workdir, "runs")
    two = files(workdir, "whole")
    assert one.keys() == two.keys()
    for name, tensors in one.items():
        assert all(torch.equal(tensors[k], two[name][k]) for k in two[name]), name
    reports = [json.loads(line) for line in (job / "metrics.jsonl").read_text().splitlines()]
    if report is None:
        assert [r["epoch"] for r in reports] == list(range(1, 61)), "each epoch is reported once"
    else:
        steps = [r["step"] for r in reports]
        assert steps == list(range(report, steps[-1] + 1, report)), "and each of the steps"
    whole = job_of(workdir / "whole")
    again = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [{k: v for k, v in r.items() if k != "time"} for r in reports] == [
        {k: v for k, v in r.items() if k != "time"} for r in again
    ]
    assert not (job / "checkpoint.pt").exists()


def test_a_checkpoint_of_other_data_is_not_continued(tmp_path: Path) -> None:
    """A mirror of the job's folder may bring one back that was removed."""

    def files(content: str | None) -> CheckpointFiles:
        return CheckpointFiles(tmp_path, 1, tmp_path / "best.pt", ALONE, content)

    saved = {"update": 1, "steps": 3, "best": 0.5, "best_epoch": 2, "content": "these"}
    files("these").save_step(saved)
    files("these").save(tmp_path / "best.pt", {"update": 1, "epoch": 2, "content": "these"})
    assert files("these").newest() == saved
    assert files("others").newest() is None
    files("these").save(tmp_path / "best.pt", {"update": 1, "epoch": 2, "content": "others"})
    assert files("these").newest() is None


@pytest.mark.parametrize("rank", [0, 1])
def test_the_best_value_is_that_of_the_weights_at_hand(rank: int, tmp_path: Path) -> None:
    """Younger ones than the checkpoint are made again, but on a GPU perhaps others."""

    class Two(Ranks):
        def gather(self, own: Any) -> list[Any]:
            return [own, own]

        def broadcast(self, make: Any) -> Any:
            return make()

    for ranks in (ALONE, Two(rank, 2)):
        files = CheckpointFiles(tmp_path, 1, tmp_path / "best.pt", ranks)
        saved = {"update": 1, "steps": 3, "ranks": ranks.size, "best": 0.5, "best_epoch": 2}
        files.save_step(saved)
        files.save(tmp_path / "best.pt", {"update": 1, "epoch": 4, "value": 0.75})
        assert files.newest() == saved | {"best": 0.75, "best_epoch": 4}


def test_a_checkpoint_is_durable_and_none_is_made_of_a_torn_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever torch's readers raise; zeros in place of weights they would take for weights."""
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    files = CheckpointFiles(tmp_path, 1, tmp_path / "best.pt", ALONE)
    files.save_step({"update": 1, "steps": 3, "best": None, "model": torch.ones(500)})
    assert len(synced) == 1
    files.save(tmp_path / "best.pt", {"update": 1, "epoch": 1})
    files.save_step({"update": 1, "steps": 3, "best": None, "model": torch.ones(500)})
    assert len(synced) == 4, "the best weights again, which training writes without waiting"

    whole = (tmp_path / "checkpoint.pt").read_bytes()
    for begin in range(0, len(whole), 61):
        (tmp_path / "checkpoint.pt").write_bytes(whole[:begin])
        assert files.newest() is None
    for name in (b"byteorder", b"little"):
        begin = whole.index(name)
        zeros = whole[:begin] + bytes(len(name)) + whole[begin + len(name) :]
        (tmp_path / "checkpoint.pt").write_bytes(zeros)
        files.newest()

    (tmp_path / "checkpoint.pt").write_bytes(whole)
    assert files.newest() is not None
    (tmp_path / "checkpoint.pt").write_bytes(changed(whole))
    assert torch.load(tmp_path / "checkpoint.pt")["model"].sum() != 500, "torch takes it"
    assert files.newest() is None


def test_best_weights_that_have_changed_are_not_published(workdir: Path) -> None:
    """One bit on the disk, between the last epoch and the end of the training."""
    (workdir / "mine.py").write_text(
        "import io, zipfile\n"
        "from pathlib import Path\n"
        "import pytorch_lightning as pl\n"
        f"{inspect.getsource(changed)}\n"
        "class Flip(pl.Callback):\n"
        "    def on_train_end(self, trainer, learner):\n"
        "        best = next(Path('runs').glob('*/best.pt'))\n"
        "        best.write_bytes(changed(best.read_bytes()))\n"
    )
    arguments = ["model.hidden_sizes=[64]", "trainer.max_epochs=1"]
    flip = "+callbacks.flip={_target_: mine.Flip}"
    output = renate(*arguments, flip, cwd=workdir, code=1).stderr
    assert "aren't those that were written: resume=false begins anew" in output
    assert not [*workdir.rglob("versions/*.json")]


def test_a_torn_checkpoint_starts_the_update_over(workdir: Path) -> None:
    arguments = [*LONG, "trainer.max_epochs=2"]
    renate(*arguments, cwd=workdir)
    job = job_of(workdir / "runs")
    (job / "result.json").unlink()
    (job / "checkpoint.pt").write_bytes(b"PK torn")
    renate(*arguments, cwd=workdir)
    assert json.loads((job / "result.json").read_text())["status"] == "completed"
    assert [
        json.loads(line)["epoch"] for line in (job / "metrics.jsonl").read_text().splitlines()
    ] == [1, 2]
