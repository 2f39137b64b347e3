"""Two processes that share the weights out: they end as two that have them whole, and go on where
one of them died.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from renate.jobs.running.torchrun import Group
from renate.state.versions import State
from tests.jobs.test_ranks import SMALL, TWO, distance, memory_of, prepared, rows

DYING = """
import os
import signal
from pathlib import Path

import pytorch_lightning as pl


class Die(pl.Callback):
    '''Ends the second process within an epoch of the job whose directory the file `die` names.'''

    def on_train_batch_end(self, trainer, module, *_):
        file = Path("die")
        ours = next(each for each in trainer.callbacks if hasattr(each, "checkpoint"))
        if trainer.global_rank and module.progress.batches == 9 and file.exists():
            if file.read_text() == str(ours.checkpoint.files.folder):
                os.kill(os.getpid(), signal.SIGKILL)
"""
FSDP = [*TWO, "trainer.strategy=fsdp"]
JOB = [
    *SMALL,
    *("data.batch_size=16", "optimizer.momentum=0.9", "lr_scheduler=cosine"),
    *("trainer.gradient_clip_val=1.0", "trainer.checkpoint_every=0.0001"),
    "+trainer.callbacks.die._target_=my_death.Die",
]


def run(folders: list[Path], expected: int | None = 0) -> str:
    group = Group(2, interface="lo")
    script = str(Path(__file__).with_name("run_directories.py"))
    importable = os.pathsep.join([str(Path(__file__).parents[2]), str(Path.cwd())])
    environment = os.environ | group.environment(2) | {"PYTHONPATH": importable}
    done = subprocess.run(
        [*group.command(Path("x"))[:-3], script, *map(str, folders)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    said = done.stdout + done.stderr
    assert expected is None or done.returncode == expected, said
    return said


def result(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "result.json").read_text())
    return found


@pytest.mark.skipif(
    not hasattr(torch.cpu.Stream, "record_event"), reason="this torch shares on GPUs alone"
)
@pytest.mark.slow
def test_shares_end_as_whole_weights_and_go_on_bit_for_bit(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("my_death.py").write_text(DYING)
    jobs = {
        # 203 examples: the last batch of one process has a row more than that of the other
        "er whole": [*JOB, *TWO, "updater=er"],
        "er shared": [*JOB, *FSDP, "updater=er"],
        "derpp shared": [*JOB, *FSDP, "updater=derpp"],
        "derpp that dies": [*JOB, *FSDP, "updater=derpp", "notes=again", "run_dir=dying"],
    }
    folders = {name: prepared(job, monkeypatch) for name, job in jobs.items()}
    for folder in folders.values():
        (folder / "result.json").unlink(missing_ok=True)

    dies = folders["derpp that dies"]
    Path("die").write_text(str(dies))
    said = run([*folders.values()], expected=None)
    for name, folder in folders.items():
        if folder != dies:
            assert result(folder)["status"] == "completed", f"{name}: {said}"

    states = {name: State(str(folder / "state")) for name, folder in folders.items()}
    assert distance(states["er whole"], states["er shared"]) < 1e-5
    assert rows(memory_of(states["er whole"])[0]) == rows(memory_of(states["er shared"])[0])
    whole, shared = (result(folders[name])["metrics"] for name in ("er whole", "er shared"))
    assert shared == pytest.approx(whole, abs=1e-4)

    assert not (dies / "state" / "versions").exists(), "a process died: nothing is published"
    kept = sorted(dies.glob("checkpoint-*.pt"))
    shares = [torch.load(file, weights_only=True)["model"] for file in kept if "-1-" in file.name]
    assert shares, said
    sizes = {name: tuple(share.shape) for name, share in shares[-1].items()}
    assert set(sizes.values()) == {(8, 64), (8,), (5, 16), (5,)}, "half of each tensor"

    Path("die").unlink()
    run([dies])
    assert result(dies)["status"] == "completed"
    assert distance(states["derpp shared"], states["derpp that dies"]) == 0
    two = [memory_of(states[name])[0].columns() for name in ("derpp shared", "derpp that dies")]
    assert all(torch.equal(two[0][name], two[1][name]) for name in two[0])
