"""Each argument of Renate's calls, and each key of a config_space, in the config that it makes."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from renate.api import Result
from renate.benchmark.experimentation import execute_experiment_job
from renate.compat.calls import running, training
from renate.compat.space.keys import COMMON, REPLAY, SPECIAL
from renate.compat.space.methods import METHODS
from renate.errors import ConfigError, NoVersionError
from renate.launchers.composing.conf import options_of
from renate.launchers.sweeps.from_python import composed
from renate.launchers.sweeps.tuned_update import Tuning
from renate.training import run_training_job
from renate.tuning.config_spaces import config_space
from renate.tuning.tuning import execute_tuning_job
from tests.compat.scripts import HERE, bring

syne_tune = pytest.importorskip("syne_tune.config_space")
ROLE = "arn:aws:iam::123456789012:role/renate"


@pytest.fixture
def asked(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What calls compose, instead of running it."""
    bring("renate_config", workdir)
    bring("full", workdir, origin=HERE / "files")
    found: list[Any] = []

    def compose(overrides: Sequence[str]) -> Result:
        launcher, job = composed(overrides)
        launcher.close()
        found.append(job)
        return Result({}, "", None, workdir)

    monkeypatch.setattr(training, "run", compose)
    monkeypatch.setattr(running, "_said", set())
    return found


def config_of(asked: list[Any], space: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """The config of one call; of a tuned one, that of a trial."""
    given = {
        "mode": "max",
        "metric": "val_accuracy",
        "backend": "local",
        "config_file": "renate_config.py",
    }
    run_training_job(config_space=space or {}, **(given | arguments))
    job = asked[-1]
    return job.base.config if isinstance(job, Tuning) else job.config


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        ({"max_epochs": 7}, "trainer.max_epochs", 7),
        ({}, "trainer.max_epochs", 50),
        ({"task_id": "other"}, "model.task_id", "other"),
        ({"chunk_id": 1}, "data.chunk_id", 1),
        ({}, "run_dir", "renate_working_dir"),
        ({"working_directory": "elsewhere"}, "run_dir", "elsewhere"),
        ({"working_directory": "elsewhere"}, "data.data_path", "elsewhere/data"),
        ({"seed": 3}, "seed", 3),
        ({"seed": 3}, "data.module_seed", 3),
        ({"accelerator": "cpu"}, "trainer.accelerator", "cpu"),
        ({"devices": 2}, "trainer.devices", 2),
        ({"devices": 2}, "trainer.strategy", "ddp"),
        ({"devices": 1, "strategy": "ddp"}, "trainer.strategy", None),
        ({"precision": "bf16"}, "trainer.precision", "bf16-mixed"),
        ({"precision": 64}, "trainer.precision", "64-true"),
        ({}, "trainer.precision", "32-true"),
        ({"deterministic_trainer": True}, "trainer.deterministic", True),
        ({}, "trainer.deterministic", None),
        ({"gradient_clip_val": 0.5}, "trainer.gradient_clip_val", 0.5),
        ({"gradient_clip_algorithm": "value"}, "trainer.gradient_clip_algorithm", "value"),
        ({"mode": "min", "metric": "val_loss"}, "objective.metric", "val_loss"),
        ({"mode": "min", "metric": "val_loss"}, "objective.mode", "min"),
        ({"output_state_url": "out/"}, "state.url", "out"),
        ({"output_state_url": "out/"}, "state.first", True),
        ({}, "state.url", None),
        ({}, "backend._target_", "renate.launchers.local.launcher.LocalLauncher"),
    ],
)
def test_arguments(asked: list[Any], arguments: Any, key: str, expected: Any) -> None:
    assert OmegaConf.select(config_of(asked, **arguments), key) == expected


@pytest.mark.parametrize(
    ("space", "key", "expected"),
    [
        ({}, "optimizer._target_", "torch.optim.Adam"),
        ({}, "optimizer.lr", 3e-4),
        ({}, "optimizer.weight_decay", 0.0),
        ({"optimizer": "SGD", "momentum": 0.9}, "optimizer.momentum", 0.9),
        ({"optimizer": "SGD"}, "optimizer._target_", "torch.optim.SGD"),
        ({"optimizer": "Adam", "momentum": 0.0}, "optimizer._target_", "torch.optim.Adam"),
        ({"weight_decay": 1e-2}, "optimizer.weight_decay", 0.01),
        ({"learning_rate": 0.05}, "optimizer.lr", 0.05),
        ({"batch_size": 64}, "data.batch_size", 64),
        ({}, "data.batch_size", 32),
        ({"max_epochs": 3}, "trainer.max_epochs", 3),
        ({"memory_size": 500}, "memory.capacity", 500),
        ({}, "memory.capacity", 32),
        ({"memory_batch_size": 16}, "updater.replay_batch_size", 16),
        ({"batch_memory_frac": 0.25}, "updater.replay_batch_size", 0.25),
        ({}, "updater.replay_batch_size", 0.5),
        ({"alpha": 0.5}, "updater.alpha", 0.5),
        ({"updater": "DER", "beta": 0.25}, "updater.beta", 0.25),
        ({"updater": "Joint", "reset": False}, "updater.reset", False),
        (
            {"updater": "Offline-ER", "loss_weight_new_data": 0.25},
            "updater.loss_weight_new_data",
            0.25,
        ),
        ({"loss_weight": 2.0}, "updater.loss_weight", 2.0),
        ({"loss_normalization": 0}, "updater.loss_normalization", 0),
        ({"early_stopping": True}, "trainer.patience", 3),
        ({}, "trainer.patience", None),
        (
            {"learning_rate_scheduler": "StepLR", "learning_rate_scheduler_step_size": 5},
            "lr_scheduler.step_size",
            5,
        ),
        (
            {"learning_rate_scheduler": "StepLR", "learning_rate_scheduler_gamma": 0.3},
            "lr_scheduler.gamma",
            0.3,
        ),
        (
            {"learning_rate_scheduler": "StepLR", "learning_rate_scheduler_interval": "step"},
            "lr_scheduler.interval",
            "step",
        ),
        ({"learning_rate_scheduler": "ExponentialLR"}, "lr_scheduler.gamma", 0.1),
        (
            {"learning_rate_scheduler": "CosineAnnealingLR"},
            "lr_scheduler._target_",
            "torch.optim.lr_scheduler.CosineAnnealingLR",
        ),
        (
            {
                "learning_rate_scheduler": "CosineAnnealingLR",
                "learning_rate_scheduler_t_max": 7,
                "learning_rate_scheduler_interval": "step",
            },
            "lr_scheduler.T_max",
            7,
        ),
        (
            {
                "learning_rate_scheduler": "CosineAnnealingLR",
                "learning_rate_scheduler_eta_min": 0.0001,
            },
            "lr_scheduler.eta_min",
            0.0001,
        ),
        ({"learning_rate_scheduler": "CosineAnnealingLR"}, "lr_scheduler.T_max", None),
        ({"learning_rate_scheduler": None}, "lr_scheduler", {}),
        ({"mask_unused_classes": False}, "trainer.mask_unused_classes", False),
        ({"mask_unused_classes": True}, "trainer.mask_unused_classes", True),
        ({"ema_memory_update_gamma": 1.0}, "updater.alpha", 1.0),
        ({"early_stopping": "False"}, "trainer.patience", None),
        ({"mask_unused_classes": "True"}, "trainer.mask_unused_classes", True),
        ({"batch_size": np.int32(8)}, "data.batch_size", 8),
        ({"learning_rate": torch.tensor(0.5)}, "optimizer.lr", 0.5),
        ({"learning_rate": syne_tune.choice([0.5])}, "optimizer.lr", 0.5),
        ({"batch_size": syne_tune.randint(8, 8)}, "data.batch_size", 8),
    ],
)
def test_keys(asked: list[Any], space: Any, key: str, expected: Any) -> None:
    given = dict(space)
    updater = given.pop("updater", "ER")
    assert OmegaConf.select(config_of(asked, given, updater=updater), key) == expected


def test_the_updater_may_stand_in_the_space(asked: list[Any]) -> None:
    for given in ({}, {"updater": "Der"}):
        config = config_of(asked, {"updater": "DER"}, **given)
        assert config.updater._target_.endswith("WeightedDERpp")

    config_of(asked, config_space("RD"))
    assert asked[-1].base.config.updater._target_.endswith("RepeatedDistillation")
    with pytest.raises(ConfigError, match=r"updater='ER' and config_space\['updater'\]='DER'"):
        config_of(asked, {"updater": "DER"}, updater="ER")


def test_a_files_functions_may_ask_for_the_updater(asked: list[Any], workdir: Path) -> None:
    path = workdir / "full.py"
    path.write_text(path.read_text().replace("def loss_fn(", "def loss_fn(updater: str, "))
    config = config_of(asked, config_file="full.py", updater="der")
    assert config.loss.config_file.updater == "DER"


def test_switches_are_tuned_as_such(asked: list[Any]) -> None:
    config_of(asked, {"normalize": syne_tune.choice([0, 1])}, updater="POD-ER")
    domains = {key: str(domain) for key, domain in asked[-1].request.space.domains.items()}
    assert domains == {"updater.normalize": "choice(False, True)"}


def test_what_needs_a_domain_is_said_without_one(
    asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config_of(asked, scheduler="asha", max_time=60)
    assert "max_time, scheduler: without effect, as no key" in capsys.readouterr().err


def test_a_schedules_other_arguments_are_left_out_and_said(
    asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"learning_rate_scheduler": "StepLR", "learning_rate_scheduler_t_max": 7}
    config = config_of(asked, space)
    assert "T_max" not in config.lr_scheduler
    assert "learning_rate_scheduler_t_max is left out: StepLR" in capsys.readouterr().err


def test_what_the_page_says_may_be_left_out(asked: list[Any]) -> None:
    """`mode` and `metric`, without validation data."""
    run_training_job(config_space={}, config_file="renate_config.py")
    assert asked[-1].config.objective.metric is None


def test_a_budget(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    space = {"learning_rate": syne_tune.loguniform(1e-3, 0.1)}
    with pytest.raises(ConfigError, match="price_per_hour"):
        config_of(asked, space, max_cost=5)
    lines: list[str] = []
    monkeypatch.setattr(training, "run", lines.extend)
    monkeypatch.setattr(training, "write_outputs", lambda *_: None)
    run_training_job("max", space, "val_accuracy", config_file="renate_config.py", max_cost=5)
    assert "tuner.max_cost=5" in lines


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"scheduler": None}, {"proposer._target_": "renate.tuning.proposers.Random"}),
        ({"scheduler": "random"}, {"stopper._target_": "renate.tuning.stoppers.Never"}),
        ({"scheduler": "bo"}, {"proposer.sampler": "optuna.samplers.GPSampler"}),
        ({"scheduler": "asha"}, {"stopper._target_": "renate.tuning.stoppers.Halving"}),
        (
            {"scheduler": "asha", "scheduler_kwargs": {"grace_period": 2, "reduction_factor": 4}},
            {"stopper.grace": 2, "stopper.factor": 4},
        ),
        ({"scheduler": "rush"}, {"transfer": "rush"}),
        ({"max_time": 60}, {"max_time": 60, "max_trials": None}),
        ({"max_num_trials_started": 5}, {"max_trials": 5}),
        ({"max_num_trials_completed": 5}, {"max_trials_completed": 5, "max_trials": None}),
        ({"max_num_trials_finished": 5}, {"max_trials_finished": 5, "max_trials": None}),
        ({}, {"max_trials": 30}),
    ],
)
def test_tuning(asked: list[Any], arguments: Any, expected: Any) -> None:
    space = {"learning_rate": syne_tune.loguniform(1e-3, 0.1)}
    config_of(asked, space, **arguments)
    tuning = asked[-1]
    assert isinstance(tuning, Tuning), "a domain is tuned, and needs nothing else"
    for key, value in expected.items():
        assert OmegaConf.select(OmegaConf.create(tuning.tuner), key) == value


def test_workers_and_schedulers_of_ones_own(asked: list[Any]) -> None:
    from syne_tune.optimizer.baselines import ASHA

    space = {"learning_rate": syne_tune.loguniform(1e-3, 0.1)}
    config_of(
        asked, space, n_workers=3, scheduler=ASHA, scheduler_kwargs={"grace_period": 2}, max_time=9
    )
    tuning = asked[-1]
    assert tuning.settings.backend.workers == 3
    assert tuning.tuner["proposer"]["options"] == {"grace_period": 2}
    path = f"{ASHA.__module__}.{ASHA.__qualname__}"
    assert tuning.tuner["proposer"]["scheduler"] == path
    tuning.check()


def test_the_space_of_the_page(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    config_space = {
        "optimizer": "SGD",
        "momentum": 0.0,
        "weight_decay": 1e-2,
        "learning_rate": syne_tune.uniform(0.001, 0.1),
        "batch_size": syne_tune.choice([32, 64, 128]),
        "max_epochs": 50,
        "memory_batch_size": syne_tune.uniform(1, 32),
        "memory_size": 500,
    }
    for _ in range(2):
        config_of(asked, config_space, max_epochs=50)
    domains = {key: str(domain) for key, domain in asked[-1].request.space.domains.items()}
    assert domains == {
        "optimizer.lr": "interval(0.001, 0.1)",
        "data.batch_size": "choice(32, 64, 128)",
        "updater.replay_batch_size": "int(interval(1, 32))",
    }
    said = capsys.readouterr().err
    assert said.count("memory_batch_size: whole numbers from 1 to 32 are drawn") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [method.name for method in METHODS])
def test_updaters(asked: list[Any], name: str) -> None:
    for spelling in (name, name.replace("-", ""), name.lower()):
        config = config_of(asked, updater=spelling)
        method = next(method for method in METHODS if method.name == name)
        file = options_of("updater")[method.option]
        assert config.updater._target_ in file.read_text()


def test_keys_of_offline_er_and_gdumb(asked: list[Any]) -> None:
    space = {"loss_weight_new_data": 0.3, "memory_batch_size": 7, "memory_size": 90}
    config = config_of(asked, space, updater="Offline-ER")
    assert config.updater.loss_weight_new_data == 0.3
    assert (config.updater.replay_batch_size, config.memory.capacity) == (7, 90)

    config = config_of(asked, {"memory_size": 90, "reset": False}, updater="GDumb")
    assert (config.memory.capacity, config.memory.greedy, config.updater.reset) == (90, True, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("updater", "space", "key", "expected"),
    [
        ("POD-ER", {}, "alpha", 1.0),
        ("POD-ER", {"distillation_type": "gap"}, "pooling", "gap"),
        ("POD-ER", {"normalize": 0}, "normalize", False),
        ("POD-ER", {"loss_weight": 2.0}, "loss_weight", 2.0),
        ("Super-ER", {"der_alpha": 0.2}, "der.alpha", 0.2),
        ("Super-ER", {"der_beta": 0.3}, "der.beta", 0.3),
        ("Super-ER", {"sp_shrink_factor": 0.5}, "shrink.factor", 0.5),
        ("Super-ER", {"sp_sigma": 0.1}, "shrink.sigma", 0.1),
        ("Super-ER", {"cls_alpha": 0.4}, "cls.alpha", 0.4),
        ("Super-ER", {}, "cls.stable_frequency", 0.7),
        ("Super-ER", {"cls_stable_model_update_weight": 0.5}, "cls.stable_decay", 0.5),
        ("Super-ER", {"cls_plastic_model_update_weight": 0.5}, "cls.plastic_decay", 0.5),
        ("Super-ER", {"cls_stable_model_update_probability": 1.0}, "cls.stable_frequency", 1.0),
        ("Super-ER", {"cls_plastic_model_update_probability": 0.3}, "cls.plastic_frequency", 0.3),
        ("Super-ER", {"pod_alpha": 0.6}, "pod.alpha", 0.6),
        ("Super-ER", {"pod_distillation_type": "width"}, "pod.pooling", "width"),
        ("Super-ER", {"pod_normalize": 1}, "pod.normalize", True),
        ("Super-ER", {"memory_batch_size": 9}, "replay_batch_size", 9),
        ("CLS-ER", {}, "consistency", 0.1),
        ("CLS-ER", {"beta": 0.4}, "consistency", 0.4),
        ("CLS-ER", {"stable_model_update_weight": 0.5}, "stable_decay", 0.5),
        ("CLS-ER", {"plastic_model_update_weight": 0.5}, "plastic_decay", 0.5),
        ("CLS-ER", {"stable_model_update_probability": 1.0}, "stable_frequency", 1.0),
        ("CLS-ER", {"plastic_model_update_probability": 0.3}, "plastic_frequency", 0.3),
        ("LearningToPrompt", {"prompt_sim_loss_weight": 0.3}, "match_weight", 0.3),
        ("LearningToPromptReplay", {"memory_batch_size": 6}, "replay_batch_size", 6),
        ("LearningToPromptReplay", {}, "match_weight", 0.5),
        ("Avalanche-EWC", {}, "strength", 0.4),
        ("Avalanche-EWC", {"ewc_lambda": 3.0}, "strength", 3.0),
        ("Avalanche-LwF", {"alpha": 0.5}, "alpha", 0.5),
        ("Avalanche-LwF", {"temperature": 4.0}, "temperature", 4.0),
    ],
)
def test_keys_of_the_other_updaters(
    asked: list[Any], updater: str, space: Any, key: str, expected: Any
) -> None:
    config = config_of(asked, space, updater=updater)
    assert OmegaConf.select(config, f"updater.{key}") == expected


def test_what_repeated_distillation_keeps(asked: list[Any]) -> None:
    assert config_of(asked, {"memory_size": 90}, updater="RD").memory.capacity == 90
    for name in ("Avalanche-iCaRL", "LearningToPromptReplay"):
        assert config_of(asked, {"memory_size": 70}, updater=name).memory.capacity == 70
    assert config_of(asked, updater="Avalanche-EWC").memory._target_.endswith("NoMemory")


def test_avalanches_er_is_ours_and_said_so(
    asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        config_of(asked, updater="Avalanche-ER")
    assert capsys.readouterr().err.count("without Avalanche") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ER", "DER", "er", "FineTuning", "Joint"])
def test_default_spaces_are_tuned_as_they_are(asked: list[Any], name: str) -> None:
    space = config_space(name)
    config_of(asked, space, updater=name)
    tuning = asked[-1]
    assert isinstance(tuning, Tuning)
    low = tuning.request.space.domains["optimizer.lr"]
    assert (low.low, low.high, low.log) == (1e-3, 0.5, True)
    assert tuning.base.config.trainer.max_epochs == 50


def test_a_space_is_a_mapping(asked: list[Any]) -> None:
    with pytest.raises(ConfigError, match=r"config_space=\[1\]: expected a mapping"):
        run_training_job("max", [1], "val_loss", config_file="renate_config.py")  # type: ignore[arg-type]


def test_default_spaces_by_any_spelling() -> None:
    assert config_space("OfflineER") == config_space("Offline-ER") == config_space("offline_er")
    assert config_space("ER") is not config_space("ER"), "a caller may change what it gets"
    with pytest.raises(ConfigError, match="Renate has none for CLS-ER"):
        config_space("CLS-ER")
    with pytest.raises(ConfigError, match="did you mean 'ER'"):
        config_space("ERR")


def test_arguments_of_the_files_functions_are_keys(asked: list[Any]) -> None:
    config = config_of(asked, {"hidden": 16, "betas": [0.8, 0.9]}, config_file="full.py")
    assert config.config_file.hidden == config.model.config_file.hidden == 16
    assert config.data.config_file.rows == 200, "its default, as the file has it"
    assert config.optimizer.config_file.betas == [0.8, 0.9]
    assert "lr" not in config.optimizer, "optimizer_fn says"

    config_of(asked, {"hidden": syne_tune.uniform(4, 64)}, config_file="full.py")
    assert str(asked[-1].request.space.domains["config_file.hidden"]) == "int(interval(4, 64))"


def test_a_network_tuned_on_top_of_a_state_is_told(
    asked: list[Any], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoVersionError):
        config_of(
            asked,
            {"hidden": syne_tune.randint(4, 8)},
            config_file="full.py",
            input_state_url="nowhere",
        )
    assert "hidden is tuned, and model_fn begins from a state's weights" in capsys.readouterr().err


def test_a_file_with_everything_fills_every_group(asked: list[Any]) -> None:
    config = config_of(asked, config_file="full.py", metric="val_f1")
    assert config.loss._target_.endswith("LossFn")
    assert config.optimizer._target_.endswith("OptimizerFn")
    assert config.lr_scheduler._target_.endswith("LRSchedulerFn")
    assert config.transform.inputs.stream[0]._target_.endswith("Transform")
    assert set(config.metrics) == {"accuracy", "f1"}
    assert config.objective.metric == "val_f1"


def test_sagemakers_arguments(asked: list[Any], workdir: Path) -> None:
    (workdir / "requirements.txt").write_text("")
    (workdir / "src").mkdir()
    (workdir / "more").mkdir()
    config = config_of(
        asked,
        backend="sagemaker",
        role=ROLE,
        instance_type="ml.g4dn.xlarge",
        instance_count=2,
        instance_max_time=3600.0,
        requirements_file="requirements.txt",
        job_name="mine",
        source_dir="src",
        dependencies=["more"],
    )
    backend = config.backend
    assert backend._target_ == "renate.launchers.sagemaker.launcher.SageMakerLauncher"
    assert (backend.role, backend.instance_type) == (ROLE, "ml.g4dn.xlarge")
    assert (backend.instance_count, backend.max_run) == (2, 3600)
    assert (backend.requirements, backend.job_name) == ("requirements.txt", "mine")
    assert backend.source_dirs == ["src", "more"]


def test_a_file_may_be_named_as_it_lies_below_source_dir(asked: list[Any], workdir: Path) -> None:
    (workdir / "src").mkdir()
    (workdir / "renate_config.py").rename(workdir / "src" / "my_config.py")
    config = config_of(asked, config_file="my_config.py", source_dir="src")
    assert config.config_file.path == "src/my_config.py"


def test_tuning_jobs_have_the_arguments_of_before(asked: list[Any]) -> None:
    execute_tuning_job(
        mode="max",
        config_space={"learning_rate": 0.5},
        metric="val_accuracy",
        backend="local",
        next_state_url="out",
        config_file="renate_config.py",
        seed=4,
    )
    config = asked[-1].config
    assert (config.state.url, config.state.first, config.seed) == ("out", True, 4)
    with pytest.raises(ConfigError, match="no argument 'sed', did you mean 'seed'"):
        execute_tuning_job("max", {}, "val_loss", "local", sed=4)


@pytest.mark.parametrize(
    ("call", "name", "there"),
    [
        (execute_tuning_job, "input_state_url", "state_url"),
        (execute_tuning_job, "output_state_url", "next_state_url"),
        (run_training_job, "state_url", "input_state_url"),
        (run_training_job, "next_state_url", "output_state_url"),
    ],
)
def test_names_of_the_other_function_are_told(call: Any, name: str, there: str) -> None:
    with pytest.raises(ConfigError) as error:
        call("max", {}, "val_loss", "local", **{name: "x"})
    expected = f"{call.__name__} has no argument '{name}': it is called '{there}' there"
    assert str(error.value) == expected


def test_a_misspelt_argument_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'max_epoch', did you mean 'max_epochs'"):
        run_training_job("max", {}, "val_loss", "local", max_epoch=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="'instance_typ', did you mean 'instance_type'"):
        execute_experiment_job(instance_typ="ml.m5.large")
    with pytest.raises(ConfigError, match="execute_experiment_job needs the argument 'backend'"):
        execute_experiment_job(num_updates=2)


def test_a_state_that_isnt_there_is_an_error(asked: list[Any]) -> None:
    with pytest.raises(NoVersionError, match="holds no version yet"):
        config_of(asked, input_state_url="mistyped", output_state_url="out")


@pytest.mark.parametrize("momentum", [None, 0.9, syne_tune.choice([0.5, 0.9])])
def test_optimizers_are_tuned_too(asked: list[Any], momentum: Any) -> None:
    """Momentum is SGD's alone, whether it is given or tuned."""
    space = {
        "optimizer": syne_tune.choice(["SGD", "Adam"]),
        "learning_rate": syne_tune.loguniform(1e-3, 0.1),
        "weight_decay": 0.01,
    }
    config = config_of(asked, space | ({} if momentum is None else {"momentum": momentum}))
    assert config.optimizer.weight_decay == 0.01
    found = asked[-1].request.space
    assert str(found.domains["optimizer"]) == "choice(sgd, adam)"
    assert str(found.domains["optimizer.lr"]) == "tag(log, interval(0.001, 0.1))"
    assert "optimizer.lr" not in found.conditions
    if momentum is None:
        assert "optimizer.momentum" not in found.domains
    else:
        assert found.conditions["optimizer.momentum"] == ("optimizer", frozenset({"sgd"}))


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        ({"learing_rate": 1}, {}, "'learing_rate']=1: neither a key of updater='ER' nor an"),
        ({"learing_rate": 1}, {}, "did you mean 'learning_rate'?"),
        ({"beta": 1}, {}, "'beta']=1: neither a key of updater='ER'"),
        ({"memory_size": 9}, {"updater": "FineTuning"}, "neither a key of updater='FineTuning'"),
        ({"memory_size": None}, {}, "config_space['memory_size']=None: expected a value"),
        ({"max_epochs": 3}, {"max_epochs": 5}, "max_epochs=5 and config_space['max_epochs']=3"),
        ({"optimizer": "Adagrad"}, {}, "expected one of Adam, SGD, AdamW"),
        ({"optimizer": "Adam", "momentum": 0.9}, {}, "momentum']=0.9: Adam has none"),
        ({"batch_size": 32.5}, {}, "'batch_size']=32.5: expected a whole number"),
        ({"memory_batch_size": 8, "batch_memory_frac": 0.5}, {}, "give one of them"),
        ({"mask_unused_classes": 3}, {}, "'mask_unused_classes']=3: expected True or False"),
        ({"early_stopping": "no"}, {}, "'early_stopping']=no: expected True or False"),
        ({"batch_memory_frac": 1.0}, {}, "'batch_memory_frac']=1.0: expected a fraction"),
        ({"batch_memory_frac": syne_tune.uniform(0, 2)}, {}, "expected a fraction of the batch"),
        ({"batch_memory_frac": syne_tune.choice([0.5, 2.0])}, {}, "=2.0: expected a fraction"),
        ({"loss_normalization": 2}, {}, "'loss_normalization']=2: expected 0 or 1"),
        (
            {"learning_rate_scheduler": syne_tune.choice(["StepLR", "ExponentialLR"])},
            {},
            "expected one of StepLR",
        ),
        (
            {"learning_rate": 0.5},
            {"config_file": "full.py"},
            "'learning_rate']=0.5: optimizer_fn of full.py takes no 'learning_rate'",
        ),
        (
            {"learning_rate_scheduler": "StepLR"},
            {"config_file": "full.py"},
            "lr_scheduler_fn of full.py takes no 'learning_rate_scheduler'",
        ),
        ({}, {"scheduler": "ashe"}, "did you mean 'asha'?"),
        ({}, {"chunk_id": "1"}, "chunk_id='1': expected a whole number of 0 or more"),
        ({}, {"deterministic_trainer": "False"}, "deterministic_trainer='False': expected True"),
        ({}, {"gradient_clip_algorithm": "norms"}, "did you mean 'norm'?"),
        (
            {},
            {"backend": "sagemaker", "role": ROLE, "instance_max_time": None},
            "instance_max_time=None: expected seconds",
        ),
        ({"ema_memory_update_gamma": 0.9}, {}, "this package has only 1.0"),
        ({"learning_rate_scheduler": "step"}, {}, "expected one of StepLR"),
        ({"learning_rate_scheduler_gamma": 1}, {}, "there is no learning_rate_scheduler"),
        ({}, {"updater": "DRE"}, "Renate has none of that name, did you mean 'DER'?"),
        ({}, {"mode": "maximum"}, "mode='maximum': expected max or min"),
        ({}, {"metric": "accuracy"}, "begins with val_ or train_, as val_accuracy"),
        ({}, {"metric": "val_acuracy"}, "not measured, did you mean 'val_accuracy'?"),
        ({}, {"backend": "sagmaker"}, "did you mean 'sagemaker'?"),
        ({}, {"precision": "8"}, "precision='8': expected one of 16, 32, 64, bf16"),
        ({}, {"config_file": None}, "config_file=None: give the file"),
        ({}, {"config_file": "renat_config.py"}, "did you mean 'renate_config.py'?"),
        ({"learning_rate": syne_tune.uniform(0, 1)}, {"scheduler": "ashe"}, "did you mean 'asha'?"),
        (
            {"learning_rate": syne_tune.uniform(0, 1)},
            {"scheduler": "asha", "scheduler_kwargs": {"grace": 1}},
            "scheduler='asha' has no such argument",
        ),
        ({"learning_rate": syne_tune.uniform(0, 1)}, {"n_workers": 0}, "n_workers=0: expected"),
        ({"learning_rate": syne_tune.uniform(0, 1)}, {"max_time": 0}, "max_time=0: expected"),
        ({"learning_rate": syne_tune.uniform(0, 1)}, {"max_cost": 1}, "price_per_hour"),
        ({"optimizer": syne_tune.choice(["SGD", "Adm"])}, {}, "'Adm': expected one of Adam, SGD"),
        ({"optimizer": syne_tune.uniform(0, 1)}, {}, "expected one of Adam, SGD, AdamW"),
        (
            {"optimizer": syne_tune.choice(["AdamW", "Adam"]), "momentum": 0.9},
            {},
            "momentum']=0.9: AdamW and Adam has none",
        ),
    ],
)
def test_what_cant_be_right(asked: list[Any], space: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        config_of(asked, space, **arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# Renate 0.5.1's own order, after which stands what was called otherwise before it.
DOCUMENTED = [
    "mode",
    "config_space",
    "metric",
    "backend",
    "updater",
    "max_epochs",
    "task_id",
    "chunk_id",
    "input_state_url",
    "output_state_url",
    "working_directory",
    "dependencies",
    "config_file",
    "requirements_file",
    "role",
    "instance_type",
    "instance_count",
    "instance_max_time",
    "max_time",
    "max_num_trials_started",
    "max_num_trials_completed",
    "max_num_trials_finished",
    "max_cost",
    "n_workers",
    "scheduler",
    "scheduler_kwargs",
    "seed",
    "accelerator",
    "devices",
    "strategy",
    "precision",
    "deterministic_trainer",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "job_name",
    "source_dir",
]
ON_SAGEMAKER = "test_sagemakers_arguments"
# Argument -> the test here that shows what it does; those that aren't named are in the table of
# `test_arguments`.
SHOWN_BY = {
    "config_space": "test_the_space_of_the_page",
    "backend": ON_SAGEMAKER,
    "updater": "test_updaters",
    "input_state_url": "test_a_state_that_isnt_there_is_an_error",
    "config_file": "test_a_file_with_everything_fills_every_group",
    "dependencies": ON_SAGEMAKER,
    "requirements_file": ON_SAGEMAKER,
    "role": ON_SAGEMAKER,
    "instance_type": ON_SAGEMAKER,
    "instance_count": ON_SAGEMAKER,
    "instance_max_time": ON_SAGEMAKER,
    "job_name": ON_SAGEMAKER,
    "source_dir": ON_SAGEMAKER,
    "max_time": "test_tuning",
    "max_num_trials_started": "test_tuning",
    "max_num_trials_completed": "test_tuning",
    "max_num_trials_finished": "test_tuning",
    "max_cost": "test_a_budget",
    "n_workers": "test_workers_and_schedulers_of_ones_own",
    "scheduler": "test_tuning",
    "scheduler_kwargs": "test_tuning",
}


def parameters_of(test: Any) -> str:
    """What a test is given, and what it says itself."""
    marks = [mark.args[1] for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    return f"{marks}{inspect.getsource(test)}"


def test_every_documented_argument_has_a_test_that_shows_it() -> None:
    assert list(inspect.signature(run_training_job).parameters) == DOCUMENTED
    for argument in DOCUMENTED:
        test = globals()[SHOWN_BY.get(argument, "test_arguments")]
        assert argument in parameters_of(test), f"{test.__name__} doesn't show {argument}"


def test_every_documented_key_has_a_test_that_shows_it() -> None:
    shown = parameters_of(test_keys)
    shown += parameters_of(test_keys_of_the_other_updaters)
    shown += parameters_of(test_keys_of_offline_er_and_gdumb).replace('"', "'")
    keys = {*COMMON, *REPLAY, *SPECIAL}
    for method in METHODS:
        keys |= {*method.keys}
    missing = sorted(key for key in keys if f"'{key}'" not in shown)
    assert not missing
