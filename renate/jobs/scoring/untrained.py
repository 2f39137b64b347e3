"""What models are worth that nobody has trained yet."""

from collections.abc import Mapping
from statistics import fmean

from renate.build import build
from renate.fitting.measure import Measure
from renate.generators import generators, seed_everything, set_generators
from renate.jobs.chunks import Test
from renate.jobs.context import Job
from renate.jobs.scoring.measured import score
from renate.seeds import derive
from renate.updaters.base import Updater

Scores = dict[str, dict[str, float]]
PLAIN = {"_target_": "renate.updaters.fine_tuning.FineTuning"}  # predicts as the network does


def with_more_models(
    job: Job, measure: Measure, updater: Updater, tests: Mapping[str, Test], first: Scores
) -> Scores:
    """Return the mean scores of `job.untrained_models` models, each initialised by itself.

    All generators are left as they are.

    Args:
        job: Its config says how many models.
        measure: On the test transform.
        updater: Knows how the model is built.
        tests: What is measured on.
        first: Scores of the model that is going to be trained, which is one of them.
    """
    count = int(job.config["job"].get("untrained_models", 1))
    if count == 1 or updater.rebuild is None:
        return first

    plain: Updater = build(PLAIN, "updater")
    found = [first]
    kept = generators()
    try:
        for number in range(1, count):
            seed = derive(job.config["seed"], f"untrained model {number}")
            seed_everything(seed, job.config["trainer"])
            found.append(score(measure, updater.rebuild(), plain, tests, job.ranks))
    finally:
        set_generators(kept)

    return {
        test: {name: fmean(one[test][name] for one in found) for name in scores}
        for test, scores in first.items()
    }
