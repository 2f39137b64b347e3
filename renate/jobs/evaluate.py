"""Measure a version on test data; trains and publishes nothing."""

from typing import Any

from renate.build import build
from renate.data.scenarios import Scenario
from renate.jobs.fit import device_of
from renate.jobs.parts import Job, dtype_of, flat, load_data, measure_of, model_node, score, sizes, updater_of
from renate.jobs.restore import Saved, load_model, load_updater
from renate.jobs.stream import tests_of


def run(job: Job) -> dict[str, Any]:
    """The job `evaluate`."""
    url, wanted = job.config["state"]["url"], job.config["job"]["version"]
    state = job.state(url)
    manifest = state.manifest(state.resolve(str(wanted)) if wanted is not None else None)
    saved = Saved.read(state, manifest)
    data = load_data(job, saved.known, training=False)
    scenario: Scenario = job.build("scenario")
    facts = sizes(data)
    updater = updater_of(job, build({"_target_": "renate.memory.none.NoMemory"}, "memory"))
    model = load_model(job, model_node(job, facts | saved.sizes), facts, saved)
    if (dtype := dtype_of(job.config["trainer"])) is not None:
        model.to(dtype)
        updater.to(dtype)
    updater.setup(model)
    load_updater(job, updater, saved, model, facts["num_classes"])
    measure = measure_of(job, device_of(job.config["trainer"]), facts["num_classes"], updater.criterion)
    metrics = flat(score(measure, model, updater, tests_of(job, scenario, data)))
    objective = str(job.config["objective"]["metric"]).removeprefix("val_")
    return {
        "value": metrics.get(f"test_{objective}", metrics["test_loss"]),
        "metrics": metrics,
        "url": url,
        "evaluated": manifest.version,
    }
