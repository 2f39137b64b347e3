"""`renate state promote` and the versions that names stand for."""

from pathlib import Path

import pytest

import renate
from renate.state.publish import publish, stage
from renate.state.versions import State
from tests.command import renate as command

QUICK = ["trainer.max_epochs=1", "data.limit=40", "model.hidden_sizes=[4]"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("promote")
    command(*QUICK, "state.url=./s", "state.first=true", cwd=folder)
    command(*QUICK, "state.url=./s", "seed=1", cwd=folder)
    return folder


def test_what_is_promoted_is_loaded_and_goes_on(workdir: Path) -> None:
    url = str(workdir / "s")
    before = command("state", "ls", "./s", cwd=workdir).stdout
    assert "current" not in before
    assert renate.load_model(url).version == 2
    assert renate.load_model(url, "current").version == 2
    refused = command("state", "promote", "./s", cwd=workdir, code=1)
    assert "'current' is version 2 already" in refused.stderr

    done = command("state", "promote", "./s", "1", "--note", "2 is late", cwd=workdir)
    assert done.stdout == "current is version 1, it was version 2\n"
    assert renate.load_model(url).version == 1
    assert renate.load_model(url, "latest").version == 2
    shown = command("state", "show", "./s", "1", cwd=workdir).stdout
    assert "aliases    current" in shown
    assert ": 2 is late" in shown
    evaluated = command("job=evaluate", "state.url=./s", cwd=workdir).stdout
    assert "measured    version 1" in evaluated

    command("state", "promote", "./s", "2", "--alias", "eu", cwd=workdir)
    assert renate.load_model(url, "eu").version == 2
    assert command("state", "unpin", "./s", "eu", cwd=workdir).stdout == "eu is gone\n"

    # The next update starts from the version in use, and comes after the newest
    command(*QUICK, "state.url=./s", "seed=2", cwd=workdir)
    state = State(url)
    assert state.manifest().version == 3
    assert state.manifest().parent.version == 1  # type: ignore[union-attr]
    assert renate.load_model(url).version == 3


def test_a_rejected_version_is_promoted_by_its_number_alone(workdir: Path) -> None:
    state = State(str(workdir / "r"))
    verdict = {"outcome": "reject", "against": 1, "move": 0, "reasons": ["it is worse"]}
    content = [("metrics.json", b'{"after": {}}'), ("model.json", b"{}")]
    stage(state, content, job="a", parent=None, lineage={})
    publish(state, "a")
    parent = (state, state.manifest())
    stage(state, content, job="b", parent=parent, lineage={"gate": verdict})
    publish(state, "b")
    refused = command("state", "promote", "./r", cwd=workdir, code=1).stderr
    assert "version 2 was rejected by its gate: name it" in refused
    command("state", "promote", "./r", "2", cwd=workdir)
    assert "gate       reject, compared with version 1" in _shown(workdir)
    assert "it is worse" in _shown(workdir)


def _shown(workdir: Path) -> str:
    return command("state", "show", "./r", "2", cwd=workdir, code=None).stdout
