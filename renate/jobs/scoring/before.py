"""What models are worth before an update: the version in use, or ones that nobody has trained."""

from collections.abc import Mapping
from statistics import fmean

from torch import nn

from renate.build import build
from renate.fitting.measure import Measure
from renate.generators import generators, seed_everything, set_generators
from renate.jobs.chunks import Test
from renate.jobs.context import Job
from renate.jobs.saved.published import measure_as_published
from renate.jobs.saved.restore import Saved
from renate.jobs.scoring.answered import Answered
from renate.jobs.scoring.as_published import in_use
from renate.jobs.scoring.judged import Judging
from renate.jobs.scoring.measured import score
from renate.seeds import derive
from renate.updaters.base import Updater

Scores = dict[str, dict[str, float]]
PLAIN = {"_target_": "renate.updaters.fine_tuning.FineTuning"}  # predicts as the network does


def measured_before(
    job: Job,
    measure: Measure,
    model: nn.Module,
    updater: Updater,
    tests: Mapping[str, Test],
    saved: Saved | None,
    judging: Judging | None,
) -> tuple[Scores, Answered]:
    """Return the scores of the version in use, as it was published, and what is noted of its
    answers; at a first update the scores of untrained models.

    Args:
        job: Its config says how many untrained models.
        measure: On this job's test transform.
        model: Not trained yet.
        updater: The model's.
        tests: What is measured on.
        saved: The version in use; None where there is none.
        judging: Looks at that version's answers for the gate; None where there is no gate.
    """
    if saved is None:
        first = score(measure, model, updater, tests, job.ranks)
        return with_more_models(job, measure, updater, tests, first), Answered()

    noted = saved.answered
    are_known = job.ranks.broadcast(lambda: noted is not None and bool(noted.right))
    known = bool(saved.scores) and (are_known or not measure.problem.classes)
    if not known:
        measure = measure_as_published(job, measure, saved)
        model, updater = in_use(job, saved, model, updater)
    if judging and job.ranks.first:
        judging.look_before(measure, model, updater)
    if known:
        return saved.scores, noted or Answered()

    answered = Answered()
    found = score(measure, model, updater, tests, job.ranks, answered)
    return saved.scores or found, answered


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
