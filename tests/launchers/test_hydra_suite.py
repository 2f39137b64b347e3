"""What Hydra promises of a multirun, on our local launcher: its own suite, and the same asked with
renate's jobs.

Also sweepers that know nothing of renate drive the launcher: Hydra's basic one, a plugin of
Hydra's, and hydra-optuna-sweeper where it is installed.
"""

import copy
import functools
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.test_utils import launcher_common_tests
from omegaconf import OmegaConf

from renate.errors import ConfigError
from renate.jobs.directory import JobDirectory
from renate.launchers.composing.launcher import JobFailedError
from renate.launchers.composing.session import register_plugins
from renate.launchers.local.launcher import LocalLauncher
from tests.command import renate
from tests.conftest import write_table
from tests.launchers.hydra_suite_skips import SKIPPED

QUICK = ["trainer.max_epochs=1", "data.limit=100", "model.hidden_sizes=[8]"]
FIXED = "trainer.max_epochs,data.limit,model.hidden_sizes,run_dir"
SUITES = [
    launcher_common_tests.LauncherTestSuite,
    launcher_common_tests.BatchedSweeperTestSuite,
    launcher_common_tests.IntegrationTestSuite,
]
OURS = {"launcher_name": "renate_local", "overrides": ["hydra.searchpath=[pkg://renate.conf]"]}


def names_in(suite: type) -> list[str]:
    return [name for name in vars(suite) if name.startswith("test_")]


def with_skips(suite: type) -> type:
    """Mark copies of the suite's tests, not the library's own functions."""
    # In one order: xdist collects in two processes
    for name in sorted(set(dir(suite)) & set(SKIPPED)):

        def copied(original: Callable[..., None]) -> Callable[..., None]:
            @functools.wraps(original)
            def test(*args: Any, **kwargs: Any) -> None:
                original(*args, **kwargs)

            return test

        setattr(
            suite, name, pytest.mark.skip(reason=SKIPPED[name][0])(copied(getattr(suite, name)))
        )
    return suite


@pytest.fixture(autouse=True)
def plugins(hydra_restore_singletons: None) -> None:
    register_plugins()


@with_skips
@pytest.mark.parametrize(tuple(OURS), [tuple(OURS.values())])
class TestLauncher(launcher_common_tests.LauncherTestSuite):
    pass


@with_skips
@pytest.mark.parametrize(tuple(OURS), [tuple(OURS.values())])
class TestBatchedSweeper(launcher_common_tests.BatchedSweeperTestSuite):
    pass


@with_skips
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=renate_local"])]
)
class TestIntegration(launcher_common_tests.IntegrationTestSuite):
    pass


def test_the_list_of_skips_is_true() -> None:
    there = [name for suite in SUITES for name in names_in(suite)]
    assert sorted(there) == sorted(set(there)), "a name alone says which test is meant"
    assert set(SKIPPED) <= set(there)
    assert set(there) - set(SKIPPED) == {"test_not_sweeping_hydra_overrides"}
    for name, (reason, instead) in SKIPPED.items():
        assert len(reason) > 40, name
        assert instead, name
        assert all(callable(globals()[test]) for test in instead)


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    """Each launcher hands its workers to the next, as `renate.run` does."""
    made: list[LocalLauncher] = []
    setup = LocalLauncher.setup

    def noted(self: LocalLauncher, **arguments: Any) -> None:
        setup(self, **arguments)
        while made:
            made.pop().release()
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalLauncher, "setup", noted)
        yield
    while made:
        made.pop().close()


def sweep(folder: Path, *overrides: str, sweeper: str = "basic", apart: bool = True) -> Any:
    """Hydra's own multirun of renate's config, in this process; what its sweeper returns."""
    state = copy.deepcopy(Singleton.get_state())
    register_plugins()
    GlobalHydra.instance().clear()
    given = [*QUICK, f"run_dir={folder / 'runs'}", f"hydra/sweeper={sweeper}", *overrides]
    given += [f"hydra.sweep.dir={folder / 'sweep'}"] if apart else []
    try:
        hydra = Hydra.create_main_hydra2("renate", create_config_search_path("pkg://renate.conf"))
        return hydra.multirun("config", lambda _: None, given, with_log_configuration=False)
    finally:
        Singleton.set_state(state)


def flat(batches: Sequence[Sequence[JobReturn]]) -> list[JobReturn]:
    return [job for batch in batches for job in batch]


def done(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*/result.json"))
    ]


SWEPT = ["updater=er,fine_tuning", "optimizer.lr=0.01,0.05,0.1", "seed=${hydra.job.num}"]
BY_HYDRA = "seed=$\\{hydra.job.num\\}"  # how its sweeper writes an override that isn't swept
EXPECTED = [(updater, lr) for updater in ("er", "fine_tuning") for lr in (0.01, 0.05, 0.1)]


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Six jobs in three batches."""
    folder = tmp_path_factory.mktemp("six")
    settings = ["hydra.sweeper.max_batch_size=2", "hydra.sweep.subdir=job_${hydra.job.num}"]
    batches = sweep(folder, *SWEPT, *settings)
    return SimpleNamespace(
        folder=folder, batches=batches, jobs=flat(batches), fixed=[*QUICK, f"run_dir={folder}/runs"]
    )


def test_order_and_overrides(six: SimpleNamespace) -> None:
    assert [len(batch) for batch in six.batches] == [2, 2, 2]
    for job, (updater, lr) in zip(six.jobs, EXPECTED, strict=True):
        assert job.overrides == [*six.fixed, f"updater={updater}", f"optimizer.lr={lr}", BY_HYDRA]
        assert job.status == JobStatus.COMPLETED
        assert job.cfg.optimizer.lr == lr
        assert ("FineTuning" in job.cfg.updater._target_) == (updater == "fine_tuning")


def test_numbers(six: SimpleNamespace) -> None:
    settings = [job.hydra_cfg.hydra.job for job in six.jobs]
    assert [job.num for job in settings] == [0, 1, 2, 3, 4, 5]
    assert [job.id for job in settings] == ["0", "1", "2", "3", "4", "5"]
    assert [job.cfg.seed for job in six.jobs] == [0, 1, 2, 3, 4, 5], (
        "${hydra.job.num} is the job's own"
    )
    trained = [OmegaConf.load(Path(job.working_dir, "config.yaml")).seed for job in six.jobs]
    assert trained == [0, 1, 2, 3, 4, 5], "and what the worker read"


def test_sweep_dir_and_subdirs(six: SimpleNamespace) -> None:
    folder = six.folder / "sweep"
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"job_{i}" for i in range(6)),
        "multirun.yaml",
    ]
    for number, job in enumerate(six.jobs):
        assert (folder / f"job_{number}").resolve() == Path(job.working_dir)
        assert (folder / f"job_{number}" / "result.json").is_file()
    assert len({job.working_dir for job in six.jobs}) == 6
    assert {Path(job.working_dir).parent for job in six.jobs} == {six.folder / "runs"}, (
        "where the next run finds them"
    )


def test_what_is_saved(six: SimpleNamespace) -> None:
    multirun = OmegaConf.load(six.folder / "sweep" / "multirun.yaml")
    given = OmegaConf.to_container(multirun.hydra.overrides.task, resolve=False)
    assert given == [*six.fixed, *SWEPT]
    for job in six.jobs:
        directory = JobDirectory(Path(job.working_dir))
        assert directory.record.overrides == job.overrides
        assert OmegaConf.load(directory.path / "config.yaml") == job.cfg
        assert [row.epoch for row in directory.reports()] == [1]
        assert (directory.path / "log.txt").is_file()


def test_values_belong_to_their_jobs(six: SimpleNamespace) -> None:
    values = [job.return_value for job in six.jobs]
    results = [JobDirectory(Path(job.working_dir)).result for job in six.jobs]
    assert values == [result and result.value for result in results]
    assert all(isinstance(value, float) for value in values)
    assert len({result and result.metrics["test_loss"] for result in results}) == 6, (
        "six jobs, none in another's place"
    )


def test_one_job(tmp_path: Path) -> None:
    batches = sweep(tmp_path)
    ((job,),) = batches
    assert job.overrides == [*QUICK, f"run_dir={tmp_path}/runs"]
    assert (job.hydra_cfg.hydra.job.num, job.hydra_cfg.hydra.job.id) == (0, "0")
    assert job.return_value == done(tmp_path)[0]["value"]
    assert (tmp_path / "sweep" / "0").resolve() == Path(job.working_dir)
    assert len(done(tmp_path)) == 1


def test_job_name(tmp_path: Path) -> None:
    batches = sweep(
        tmp_path, "hydra.job.name=another", "hydra.sweep.subdir=${hydra.job.name}_${hydra.job.num}"
    )
    assert batches[0][0].task_name == "another"
    assert (tmp_path / "sweep" / "another_0").is_dir()
    batches = sweep(tmp_path)
    assert batches[0][0].task_name == "renate"
    assert len(done(tmp_path)) == 1, "the name isn't a part of what a job is: the second was known"


def test_a_bad_key_stops_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(HydraException, match="boo"):
        sweep(tmp_path, "boo=1,2")
    # one that only the second job lacks: no job is started
    grid = ["optimizer=sgd,adam", "optimizer.momentum=0.5"]
    with pytest.raises(HydraException, match="optimizer.momentum"):
        sweep(tmp_path, *grid)
    assert done(tmp_path) == []


def test_a_key_that_comes_with_an_option(tmp_path: Path) -> None:
    """Hydra composes the sweep's own config without what is swept, so with the group's default,
    which lacks `eps`.
    """
    batches = sweep(tmp_path, "optimizer=adam,adamw", "++optimizer.eps=0.001")
    assert [job.overrides[-2:] for job in batches[0]] == [
        ["optimizer=adam", "++optimizer.eps=0.001"],
        ["optimizer=adamw", "++optimizer.eps=0.001"],
    ]
    assert [(job.cfg.optimizer.weight_decay, job.cfg.optimizer.eps) for job in batches[0]] == [
        (0, 0.001),
        (0.01, 0.001),
    ]
    assert [job.status for job in batches[0]] == [JobStatus.COMPLETED] * 2


@pytest.mark.slow
def test_sweep_over_a_mandatory_value(tmp_path: Path) -> None:
    one, two = (str(write_table(tmp_path / f"{seed}.parquet", seed=seed)) for seed in (1, 2))
    files = ["data=files", "data.target=label", "data.limit=null"]
    with pytest.raises(ConfigError, match="data.train is mandatory"):
        sweep(tmp_path, *files, "seed=0,1")
    batches = sweep(tmp_path, *files, f"data.train={one},{two}")
    assert [job.cfg.data.train for job in batches[0]] == [one, two]
    assert [job.status for job in batches[0]] == [JobStatus.COMPLETED] * 2


def test_a_resolver_of_the_callers(tmp_path: Path) -> None:
    OmegaConf.register_new_resolver("seventeen", lambda: 17)
    try:
        batches = sweep(tmp_path, "seed=${seventeen:}")
        assert batches[0][0].status == JobStatus.COMPLETED
        saved = OmegaConf.load(Path(batches[0][0].working_dir, "config.yaml"))
        assert saved.seed == 17, "a worker knows nothing of the resolver"
    finally:
        OmegaConf.clear_resolver("seventeen")


def test_a_failed_job_raises_its_error(tmp_path: Path) -> None:
    """As with Hydra's own launcher: the batch is finished, then its first error is raised, the
    next isn't started.
    """
    grid = ["optimizer.lr=1e30,0.1", "seed=1,2"]
    with pytest.raises(JobFailedError, match="optimizer.lr=1e\\+30.*the loss is nan at step"):
        sweep(tmp_path, "hydra.sweeper.max_batch_size=3", *grid)
    assert sorted(result["status"] for result in done(tmp_path)) == [
        "completed",
        "failed",
        "failed",
    ]


def test_renates_own_sweeper_lays_out_the_same(tmp_path: Path) -> None:
    outcome = sweep(tmp_path, "seed=3,4", "hydra.sweep.subdir=s_${seed}", sweeper="renate")
    folder = tmp_path / "sweep"
    assert sorted(path.name for path in folder.iterdir()) == ["multirun.yaml", "s_3", "s_4"]
    for job, seed in zip([job for job, _ in outcome], (3, 4), strict=True):
        assert job.number == seed - 3
        assert (folder / f"s_{seed}").resolve() == job.directory.path
        assert job.directory.record.overrides[-1] == f"seed={seed}"


def test_a_folder_in_a_links_place_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "sweep" / "0" / "kept"
    kept.mkdir(parents=True)
    with pytest.raises(ConfigError, match="sweep/0 is there already, and isn't a link"):
        sweep(tmp_path)
    assert kept.is_dir()
    assert done(tmp_path) == []


def test_no_chdir(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hydra.job.chdir=true"):
        sweep(tmp_path, "hydra.job.chdir=true")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            [f"exclude_keys=[{FIXED}]"],
            ["optimizer.lr=0.01,seed=3,updater=er", "optimizer.lr=0.01,seed=4,updater=er"],
        ),
        (
            [f"exclude_keys=[{FIXED},updater]", "kv_sep=_", "item_sep=+"],
            ["optimizer.lr_0.01+seed_3", "optimizer.lr_0.01+seed_4"],
        ),
    ],
)
def test_override_dirname(settings: list[str], expected: list[str], tmp_path: Path) -> None:
    options = [f"hydra.job.config.override_dirname.{setting}" for setting in settings]
    grid = ["updater=er", "optimizer.lr=0.01", "seed=3,4"]
    sweep(tmp_path, *grid, *options, "hydra.sweep.subdir=${hydra.job.override_dirname}")
    assert (
        sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_symlink())
        == expected
    )


@pytest.mark.slow
def test_sweep_dir_of_an_experiment(workdir: Path) -> None:
    file = workdir / "conf" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\nhydra: {sweep: {dir: 'of_file/${now:%f}', subdir: "
        "'job_${hydra.job.num}'}}\nseed: 8\n"
    )
    # group by group, as Hydra merges them: the jobs agree on what ${now:…} was
    grid = ["experiment=mine", "optimizer=sgd,adam", "optimizer.lr=0.01,0.1"]
    sweep(workdir, *grid, apart=False)
    (folder,) = (workdir / "of_file").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "job_0",
        "job_1",
        "job_2",
        "job_3",
        "multirun.yaml",
    ]
    assert OmegaConf.load(folder / "job_1" / "config.yaml").optimizer.lr == 0.1
    assert OmegaConf.load(folder / "job_2" / "config.yaml").seed == 8
    assert len(sweep(workdir, *grid, "hydra.sweep.dir=given", apart=False)[0]) == 4, (
        "the command line wins"
    )
    assert (workdir / "given" / "job_3" / "result.json").is_file()
    sweep(workdir, "seed=8", apart=False)
    assert not (workdir / "runs" / "0").exists(), "none where the jobs themselves are"


# A sweeper as a third party would publish it: found by Hydra in the namespace package
# hydra_plugins.
BY_TWOS = """
import json
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

ConfigStore.instance().store(
    group="hydra/sweeper", name="by_twos", node={"_target_": "hydra_plugins.by_twos.ByTwos", "values": None}
)


class ByTwos(Sweeper):
    def __init__(self, values):
        self.values = list(values)

    def setup(self, *, hydra_context, task_function, config):
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        told = []
        for first in range(0, len(self.values), 2):
            batch = [(*arguments, f"optimizer.lr={value}") for value in self.values[first : first + 2]]
            for job in self.launcher.launch(batch, initial_job_idx=first):
                told.append([job.overrides[-1], job.hydra_cfg.hydra.job.num, job.return_value, job.working_dir])
        with open(f"{self.config.hydra.sweep.dir}/told.json", "w") as file:
            json.dump(told, file)
"""


@pytest.mark.slow
def test_a_third_partys_sweeper(workdir: Path) -> None:
    """Also: two jobs in two batches on one warm worker."""
    plugin = workdir / "site" / "hydra_plugins" / "by_twos.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(BY_TWOS)
    (workdir / "my_witness.py").write_text(
        "import os\nfrom torch import nn\n\n"
        "class Net(nn.Sequential):\n    def __init__(self, out):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, out))\n"
        "        print('pid', os.getpid(), 'in', os.getcwd())\n"
    )
    net = ["model=torch_module", "model._target_=my_witness.Net", "+model.out=10", *QUICK[:2]]
    values = "hydra.sweeper.values=[0.01,0.05,0.1]"
    renate(
        *net,
        "hydra/sweeper=by_twos",
        values,
        "hydra.sweep.dir=out",
        cwd=workdir,
        own_process=True,
        PYTHONPATH=os.pathsep.join(["site", *filter(None, [os.environ.get("PYTHONPATH")])]),
    )
    told = json.loads((workdir / "out" / "told.json").read_text())
    assert [(lr, number) for lr, number, _, _ in told] == [
        ("optimizer.lr=0.01", 0),
        ("optimizer.lr=0.05", 1),
        ("optimizer.lr=0.1", 2),
    ]
    for lr, number, value, folder in told:
        directory = JobDirectory(Path(folder))
        assert directory.record.overrides[-1] == lr
        assert directory.result is not None
        assert directory.result.value == value
        assert (workdir / "out" / str(number)).resolve() == directory.path
    witnesses = {(Path(folder) / "log.txt").read_text().splitlines()[0] for *_, folder in told}
    assert len(witnesses) == 1, "one warm worker served both batches"
    assert next(iter(witnesses)).endswith(f" in {workdir.resolve()}")


def has_optuna_sweeper() -> bool:
    try:
        return bool(importlib.metadata.version("hydra-optuna-sweeper"))
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.skipif(
    not has_optuna_sweeper(),
    # By hand, beside optuna 2.10.1 in an environment of its own, it passes.
    reason="hydra-optuna-sweeper isn't installed: 1.2.0 and 1.3.0 need optuna<3, renate-cl[optuna] has optuna 5",
)
def test_hydra_optuna_sweeper(workdir: Path) -> None:
    study = [
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.direction=maximize",
    ]
    space = ["hydra.sweeper.sampler.seed=1", "optimizer.lr=tag(log,interval(0.001,0.3))"]
    renate(*QUICK, *study, *space, "hydra.sweep.dir=out", "backend.workers=2", cwd=workdir)
    results = [
        json.loads((workdir / "out" / str(number) / "result.json").read_text())
        for number in range(4)
    ]
    best = OmegaConf.load(workdir / "out" / "optimization_results.yaml")
    assert best.best_value == max(result["value"] for result in results)
    winner = [result["value"] for result in results].index(best.best_value)
    assert (
        OmegaConf.load(workdir / "out" / str(winner) / "config.yaml").optimizer.lr
        == best.best_params["optimizer.lr"]
    )
