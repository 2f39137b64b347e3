"""A large grid's first jobs begin before the others are composed, and nothing else changes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from renate.errors import ConfigError
from renate.launchers.base import ComposedJob
from renate.launchers.composing import large_grids
from renate.launchers.composing.composer import Composer
from renate.launchers.composing.launcher import HydraLauncher
from renate.launchers.composing.session import opened
from tests.command import renate

QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200", "report=none"]


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A grid of more than six counts as large, more than three numbers as many; the overrides of
    each job that has been composed.
    """
    monkeypatch.setattr(large_grids, "FEW", 6)
    monkeypatch.setattr(large_grids, "LONG", 3)
    done: list[tuple[str, ...]] = []
    whole = Composer.compose_for_hydra

    def noting(self: Composer, number: int, overrides: Sequence[str]) -> object:
        done.append(tuple(overrides))
        return whole(self, number, overrides)

    monkeypatch.setattr(Composer, "compose_for_hydra", noting)
    return done


@pytest.fixture
def launcher(workdir: Path) -> Iterator[HydraLauncher]:
    with opened(["seed=0"]) as (found, _, _):
        yield found


def grid(*keys: tuple[str, Sequence[object]]) -> list[list[str]]:
    lines: list[list[str]] = [[]]
    for key, values in keys:
        lines = [[*line, f"{key}={value}"] for line in lines for value in values]
    return lines


def test_each_choice_is_looked_at_first_and_the_rest_in_its_turn(
    composed: list[tuple[str, ...]], launcher: HydraLauncher
) -> None:
    asked = grid(("updater", ["er", "derpp"]), ("seed", range(1, 6)))
    jobs = large_grids.jobs_of(launcher, asked)
    first = [("updater=er", "seed=1"), ("updater=er", "seed=5")]
    assert composed == [*first, ("updater=derpp", "seed=1"), ("updater=derpp", "seed=5")]
    assert [job.waits for job in jobs].count(True) == 6

    composed.clear()
    assert jobs[2].record.recipe == launcher.batch([asked[2]])[0].record.recipe
    assert jobs[2].config.seed == 3
    assert (jobs[2].number, jobs[2].kind, jobs[2].waits) == (2, "update", False)
    assert jobs[2].directory.path.name == jobs[2].id
    assert len(composed) == 2, "once, and once for the comparison"


@pytest.mark.parametrize(
    "asked",
    [
        grid(("seed", range(9)), ("state.url", ["./mine"]), ("state.first", ["true"])),
        grid(("seed", range(5)), ("run_dir", ["here", "there"])),
        [[f"notes=word-{number}"] for number in range(8)],
        grid(("seed", range(3))),
    ],
    ids=[
        "a state that others may change",
        "elsewhere",
        "more choices than are looked at",
        "few jobs",
    ],
)
def test_what_is_composed_as_a_whole(
    asked: list[list[str]], composed: list[tuple[str, ...]], launcher: HydraLauncher
) -> None:
    jobs = large_grids.jobs_of(launcher, asked)
    assert not any(job.waits for job in jobs)
    assert len(jobs) == len(asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (grid(("seed", range(5)), ("updater", ["er", "none_such"])), "none_such"),
        (grid(("trainer.max_epochs", range(-2, 9))), "trainer.max_epochs=-2: expected"),
        (grid(("seed", [*range(8), "word"])), "seed=word: expected a whole number"),
    ],
)
def test_what_is_wrong_is_found_before_anything_begins(
    asked: list[list[str]],
    said: str,
    composed: list[tuple[str, ...]],
    launcher: HydraLauncher,
    workdir: Path,
) -> None:
    with pytest.raises(Exception, match=said):
        large_grids.jobs_of(launcher, asked)
    assert len(composed) < len(asked)
    assert not (workdir / "runs").exists()


def test_a_job_that_cannot_be_composed_ends_the_sweep(
    composed: list[tuple[str, ...]], launcher: HydraLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun stays; nothing is passed over."""
    jobs = large_grids.jobs_of(launcher, grid(("seed", range(9))))
    begun: list[str] = []
    refused: Callable[..., ComposedJob] = launcher.compose

    def compose(number: int, overrides: Sequence[str]) -> ComposedJob:
        if number == 4:
            raise ConfigError("seed=4: no")
        return refused(number, overrides)

    for job in jobs:
        vars(job)["_compose"] = compose
    monkeypatch.setattr(launcher, "start", lambda job: begun.append(job.id))
    with pytest.raises(ConfigError, match="seed=4: no"):
        launcher.run(jobs)
    assert len(begun) == 4


@pytest.mark.slow
def test_a_large_grid_ends_like_any_other(workdir: Path, composed: list[tuple[str, ...]]) -> None:
    large = renate(*QUICK, "seed=range(8)", cwd=workdir).stdout
    assert len(composed) == 8
    few = renate(*QUICK, "seed=1,6", "run_dir=again", cwd=workdir).stdout
    rows = {
        line.split()[1]: line.split()[2:-1] for line in large.splitlines() if " completed " in line
    }
    assert len(rows) == 8
    for line in few.splitlines():
        if " completed " in line:
            assert rows[line.split()[1]] == line.split()[2:-1]
    again = renate(*QUICK, "seed=range(8)", cwd=workdir)
    assert again.stderr.count("finished earlier") == 8
