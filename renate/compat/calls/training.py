"""`run_training_job`, and `execute_tuning_job`, its name before: one update, tuned or not."""

from collections.abc import Mapping, Sequence
from typing import Any

from renate.api import Result
from renate.compat.calls import lines
from renate.compat.calls.arguments import by_name
from renate.compat.calls.outputs import write_outputs
from renate.compat.calls.running import run, tell_once
from renate.compat.calls.schedulers import limits_of, tuner_of
from renate.compat.names.defaults import TASK_ID, WORKING_DIRECTORY
from renate.compat.space.keys import Translation
from renate.compat.space.methods import Method, method_named
from renate.errors import ConfigError


@by_name(renamed={"state_url": "input_state_url", "next_state_url": "output_state_url"})
def run_training_job(  # noqa: PLR0913 (Renate's signature)
    mode: str | None = None,
    config_space: Mapping[str, Any] | None = None,
    metric: str | None = None,
    backend: str = "local",
    updater: str | None = None,
    max_epochs: int | None = None,
    task_id: str = TASK_ID,
    chunk_id: int | None = None,
    input_state_url: str | None = None,
    output_state_url: str | None = None,
    working_directory: str | None = WORKING_DIRECTORY,
    dependencies: Sequence[str] | None = None,
    config_file: str | None = None,
    requirements_file: str | None = None,
    role: str | None = None,
    instance_type: str = "ml.c5.xlarge",
    instance_count: int = 1,
    instance_max_time: float = 3 * 24 * 60 * 60,
    max_time: float | None = None,
    max_num_trials_started: int | None = None,
    max_num_trials_completed: int | None = None,
    max_num_trials_finished: int | None = None,
    max_cost: float | None = None,
    n_workers: int = 1,
    scheduler: Any = None,
    scheduler_kwargs: Mapping[str, Any] | None = None,
    seed: int = 0,
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str = "ddp",
    precision: str = "32",
    deterministic_trainer: bool = False,
    gradient_clip_val: float | None = None,
    gradient_clip_algorithm: str | None = None,
    job_name: str = "renate",
    source_dir: str | None = None,
) -> Result:
    """Update a model, or train a first one; tune what has a domain.

    Args:
        mode: `max` or `min`: which way the metric is better; None where there is no metric.
        config_space: Renate's keys, and arguments of the config file's functions -> values, or
            domains of Syne Tune's; what it lacks is as Renate had it.
        metric: `val_…` or `train_…`: by which the best epoch and the best trial are known. None
            keeps the last epoch's weights.
        backend: `local` or `sagemaker`.
        updater: One of Renate's, however it is spelled; None takes that of the config_space, else
            `ER`.
        max_epochs: Of the fit; the config_space may say so too.
        task_id: Passed on to the model.
        chunk_id: Passed on to `data_module_fn`.
        input_state_url: The state that the update starts from; None trains a first model.
        output_state_url: Where the new state goes; None leaves it in the job's own directory.
        working_directory: Where jobs, and what data modules download, are kept.
        dependencies: Further modules, or folders of such, on SageMaker.
        config_file: Defines `model_fn` and `data_module_fn`.
        requirements_file: Packages to install, on SageMaker.
        role: On SageMaker; None is that of this environment.
        instance_type: On SageMaker.
        instance_count: On SageMaker.
        instance_max_time: Seconds, on SageMaker.
        max_time: Seconds after which no trial is started any more.
        max_num_trials_started: Ends tuning.
        max_num_trials_completed: Ends tuning.
        max_num_trials_finished: Ends tuning.
        max_cost: Ends tuning; needs `price_per_hour` of the backend.
        n_workers: Trials at a time.
        scheduler: `random`, `bo`, `asha`, `rush`, or a class of Syne Tune's.
        scheduler_kwargs: Its arguments.
        seed: Of everything random.
        accelerator: Lightning's.
        devices: Processes that train together.
        strategy: Lightning's; with one device it doesn't matter.
        precision: `16`, `32`, `64` or `bf16`.
        deterministic_trainer: Whether only deterministic algorithms may be used.
        gradient_clip_val: None doesn't clip.
        gradient_clip_algorithm: `norm` or `value`.
        job_name: How names of training jobs on SageMaker begin.
        source_dir: A folder of further modules, on SageMaker, as it was called before
            `dependencies`; the config file may be named as it lies in there.

    Returns:
        What the job came to.

    Raises:
        ConfigError: An argument or a key that can't be right.
        JobError: The job failed.
    """
    method, space = method_and_space(updater, config_space)
    description = lines.description_of(config_file, source_dir)
    if "updater" in description.arguments:
        space["updater"] = method.name  # functions may ask for it

    translation = Translation(space, method, description, max_epochs, tell_once)
    tell_of_differences(translation, input_state_url)

    settings = {
        "updater": translation.method.name,
        "config_file": config_file,
        "task_id": task_id,
        "chunk_id": chunk_id,
        "working_directory": working_directory or WORKING_DIRECTORY,
        "seed": seed,
        "metric": metric,
        "mode": mode,
    }
    overrides = [
        *lines.of_file(description, space, metric),
        *translation.overrides(),
        *lines.of_settings(settings),
        *lines.of_state(input_state_url, output_state_url),
        *lines.of_trainer(
            accelerator=accelerator,
            devices=devices,
            strategy=strategy,
            precision=precision,
            deterministic=deterministic_trainer,
            gradient_clip_val=gradient_clip_val,
            gradient_clip_algorithm=gradient_clip_algorithm,
        ),
        *lines.of_backend(
            backend,
            role=role,
            instance_type=instance_type,
            instance_count=instance_count,
            max_run=instance_max_time,
            requirements=requirements_file,
            job_name=job_name,
            source_dirs=[*([source_dir] if source_dir else []), *(dependencies or [])],
        ),
    ]

    limits = {
        "max_time": max_time,
        "max_num_trials_started": max_num_trials_started,
        "max_num_trials_completed": max_num_trials_completed,
        "max_num_trials_finished": max_num_trials_finished,
        "max_cost": max_cost,
    }
    of_tuner = [
        *tuner_of(scheduler, scheduler_kwargs),
        *limits_of(**limits),
        *lines.of_workers(n_workers),
    ]
    if translation.tuned:
        overrides += of_tuner
    else:
        tell_of_no_tuning(limits | {"scheduler": scheduler, "scheduler_kwargs": scheduler_kwargs})

    result = run(overrides)
    write_outputs(result, translation, settings, input_state_url)

    return result


def method_and_space(
    updater: str | None, config_space: Mapping[str, Any] | None
) -> tuple[Method, dict[str, Any]]:
    """Return one of Renate's updaters, and what else the config_space says.

    Args:
        updater: Its name; None leaves it to the config_space, else it is `ER`.
        config_space: Renate's keys; the updater may be one of them.

    Raises:
        ConfigError: No mapping, no updater of that name, or another one in each place.
    """
    if config_space is not None and not isinstance(config_space, Mapping):
        raise ConfigError(f"config_space={config_space!r}: expected a mapping of keys to values")

    space = dict(config_space or {})
    inside = space.pop("updater", None)
    method = method_named("ER" if updater is None and inside is None else updater or inside)
    if inside is not None and method_named(inside) is not method:
        raise ConfigError(
            f"updater={updater!r} and config_space['updater']={inside!r}: give one of them, or the "
            "same"
        )

    return method, space


def tell_of_no_tuning(given: Mapping[str, Any]) -> None:
    """Say which arguments have no effect, as Renate said, where no key has a domain."""
    without = [name for name, value in given.items() if value is not None]
    if without:
        tell_once(
            f"{', '.join(without)}: without effect, as no key of the config_space has a domain, "
            "and nothing is tuned"
        )


def tell_of_differences(translation: Translation, input_state_url: str | None) -> None:
    """Say in what the method differs from Renate's, and what can't be tuned from a state."""
    if note := translation.method.note:
        tell_once(note)
    if input_state_url is not None:
        tell_of_fixed_arguments(translation)


def tell_of_fixed_arguments(translation: Translation) -> None:
    """Say which tuned arguments of `model_fn` may change nothing: with a state's weights at hand,
    most make the network as these have it.
    """
    known = translation.description.arguments
    for name in translation.tuned:
        if name in known and known[name].functions == ("model_fn",):
            tell_once(
                f"{name} is tuned, and model_fn begins from a state's weights: where it makes the "
                "network as these have it, all trials have the same"
            )


@by_name(
    renamed={"input_state_url": "state_url", "output_state_url": "next_state_url"},
    others=run_training_job,
)
def execute_tuning_job(  # noqa: PLR0913 (Renate's signature)
    mode: str | None = None,
    config_space: Mapping[str, Any] | None = None,
    metric: str | None = None,
    backend: str = "local",
    updater: str | None = None,
    max_epochs: int | None = None,
    task_id: str = TASK_ID,
    chunk_id: int | None = None,
    state_url: str | None = None,
    next_state_url: str | None = None,
    **others: Any,
) -> Result:
    """Do the same as `run_training_job`, under the names that its arguments had before.

    Args:
        mode: See there, as what isn't named here.
        config_space: See there.
        metric: See there.
        backend: See there.
        updater: See there.
        max_epochs: See there.
        task_id: See there.
        chunk_id: See there.
        state_url: Its `input_state_url`.
        next_state_url: Its `output_state_url`.
        **others: Its further arguments, by name.
    """
    return run_training_job(
        mode=mode,
        config_space=config_space,
        metric=metric,
        backend=backend,
        updater=updater,
        max_epochs=max_epochs,
        task_id=task_id,
        chunk_id=chunk_id,
        input_state_url=state_url,
        output_state_url=next_state_url,
        **others,
    )
