"""The chain that a user sees, by its commands alone: on loopback, and by `pytest -m aws` on an
account.

An account needs RENATE_AWS_ROLE and RENATE_AWS_BUCKET beside credentials; RENATE_AWS_SPOT=1 runs
one update on spare machines, RENATE_AWS_INSTANCE chooses others than ml.m5.xlarge. It costs some
cents and a quarter of an hour.
"""

import os
import re
from pathlib import Path

import pytest

from renate.state.versions import State

from .account import Account

QUICK = ["trainer.max_epochs=2", "model.hidden_sizes=[8]", "data.limit=200"]
# An epoch takes long enough to be stopped: a callback of the user's own sleeps after each.
SLOW = """import time
import pytorch_lightning as pl

class Sleep(pl.Callback):
    def on_train_epoch_end(self, *_):
        time.sleep(0.5)
"""
NAPS = ["+trainer.callbacks={nap:{_target_:my_naps.Sleep}}", "trainer.max_epochs=2000"]
FIRST = "state.first=true"


def epochs(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r"epoch \d+ step", line)]


@pytest.mark.slow
def test_an_update_and_the_next(account: Account, tmp_path: Path) -> None:
    url = f"state.url={account.state}"
    first = account.renate(*account.on(*QUICK, url, FIRST))
    assert f"version     1 of {account.state}\n" in first.stdout
    assert len(epochs(first.stderr)) == 2
    spot = not account.real or os.environ.get("RENATE_AWS_SPOT") == "1"
    second = account.submit(*QUICK, "seed=1", url, f"backend.spot={str(spot).lower()}")
    elsewhere = tmp_path / "another machine"
    elsewhere.mkdir()
    waited = account.jobs("wait", second, cwd=elsewhere)
    assert f"version     2 of {account.state}\n" in waited.stdout
    assert len(epochs(waited.stderr)) == 2
    parent = State(account.state).manifest(2).parent
    assert parent is not None
    assert parent.version == 1
    State(account.state).verify(2)
    said = account.jobs("logs", second, cwd=elsewhere).stdout
    assert epochs(said) == epochs(waited.stderr)
    job = str(State(account.state).manifest(2).job)
    assert (elsewhere / "runs" / job / "result.json").exists()
    assert account.ended(second) == "Completed"
    assert account.service.job(second).enable_managed_spot_training is spot
    rows: list[list[str]] = []

    def listed() -> bool:
        table = account.jobs("ls", cwd=elsewhere).stdout.splitlines()[1:]
        rows[:] = [line.split() for line in table if account.state in line]
        return [row[2] for row in rows] == ["Completed"] * 2

    account.eventually(listed)
    assert rows[0][:2] == [second, job], "the newest is the first"
    assert all(re.fullmatch(r"\d+ s", " ".join(row[4:6])) for row in rows), "what is billed"
    assert account.jobs("stop", job).stdout == f"{second} is Completed already\n"
    wrong = account.jobs("wait", f"{second[:-1]}x", code=1).stderr
    assert re.fullmatch(
        rf"renate: \S+: no training job '\S+' of ours, did you mean '{second}'\?\n", wrong
    )


@pytest.mark.slow
def test_stopped_by_another(account: Account) -> None:
    (account.folder / "my_naps.py").write_text(SLOW)
    name = account.submit(*QUICK, *NAPS, f"state.url={account.state}", FIRST)
    with account.following(name) as lines:
        assert any(line.startswith("epoch 2 step") for line in lines)
        assert len(epochs(account.jobs("logs", name).stdout)) >= 2, "so far"
        assert (
            account.jobs("stop", name).stdout
            == f"{name} is stopping; the same command goes on from its last checkpoint\n"
        )
        rest = list(lines)
    stopped = (
        f"renate: it was stopped; the same command goes on from its last checkpoint ({name})\n"
    )
    assert rest[-1] == stopped
    assert account.ended(name) == "Stopped"
    assert account.jobs("wait", name, code=1).stderr.endswith(stopped)


@pytest.mark.slow
def test_a_failure_has_its_words(account: Account) -> None:
    done = account.renate(
        *account.on(*QUICK, "optimizer.lr=1e30", f"state.url={account.state}", FIRST), code=1
    )
    last = done.stderr.splitlines()[-1]
    assert re.match(
        r"renate: the loss is .* with learning rate 1e\+30: nothing is published; try", last
    )
    (name,) = re.findall(r"submitted as (\S+)", done.stderr)
    assert account.ended(name) == "Failed"
    assert last in account.service.job(name).failure_reason
    assert account.jobs("logs", name).stdout.splitlines()[-1] == last
    assert account.jobs("wait", name, code=1).stderr.splitlines()[-1] == last
