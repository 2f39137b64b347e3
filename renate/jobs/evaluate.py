"""Measure a version on test data; trains and publishes nothing."""

from collections.abc import Mapping
from typing import Any

from renate.data.scenarios import Scenario
from renate.errors import ConfigError, DataError
from renate.fitting.trainer import device_of
from renate.jobs.builders import dtype_of
from renate.jobs.building.heads import check_tasks, heads_of
from renate.jobs.building.network import sizes
from renate.jobs.chunks import load_data
from renate.jobs.context import Job
from renate.jobs.saved.published import (
    check_command,
    measure_as_published,
    model_of,
    trusted,
    updater_of,
)
from renate.jobs.saved.restore import Saved
from renate.jobs.scoring.measured import flat, measure_of, score
from renate.jobs.stream import tests_of
from renate.state.aliases.standing import manifest_of


def run(job: Job) -> dict[str, Any]:
    """The job `evaluate`: the version's own model, transform and updater; the command's data,
    loss and metrics.
    """
    url = job.config["state"]["url"]
    wanted = job.config["job"]["version"]
    state = job.state(url)
    manifest = manifest_of(state, wanted)
    saved = Saved.read(state, manifest, trust=trusted(job))
    check_command(job, saved)

    data = load_data(job, saved.known, training=False)

    if data.new_labels:
        raise DataError(
            f"labels {data.new_labels} are new, version {manifest.version} of {url} knows "
            f"{saved.problem.labels}"
        )

    facts = sizes(data)
    saved.sizes_for(facts)
    scenario: Scenario = job.build("scenario")

    model = model_of(job, saved)
    updater = updater_of(job, saved, model, data.problem)
    if (dtype := dtype_of(job.config["trainer"])) is not None:
        model.to(dtype)
        updater.to(dtype)

    measure = measure_of(job, device_of(job.config["trainer"]), data.problem, updater.criterion)
    measure = measure_as_published(job, measure, saved)
    tests = tests_of(job, scenario, data)
    columns = {name: test.columns for name, test in tests.items()}
    check_tasks(columns, heads_of(saved.deploy["model"]))
    metrics = flat(score(measure, model, updater, tests))

    return {
        "value": _value(job.config["objective"]["metric"], metrics),
        "metrics": metrics,
        "metric": data.problem.metric,
        "mode": data.problem.mode,
        "url": url,
        "evaluated": manifest.version,
    }


def _value(asked: str | None, metrics: Mapping[str, float]) -> float | None:
    """The objective's metric on the test data; None where none was asked for.

    Raises:
        ConfigError: It isn't measured on test data.
    """
    if asked is None:
        return None

    name = f"test_{asked.removeprefix('val_')}"
    if name not in metrics:
        raise ConfigError(
            f"objective.metric={asked}: not measured on test data ({', '.join(metrics)})"
        )
    return metrics[name]
