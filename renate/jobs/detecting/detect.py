"""The job `detect`: have new data drifted, and is an update due? Trains and publishes nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renate.build import build
from renate.data.base import Data
from renate.errors import ConfigError, DataError, NothingNewError, StateError
from renate.files import replacing
from renate.jobs.chunks import load_new
from renate.jobs.context import Job
from renate.jobs.detecting.looks import effects_here
from renate.jobs.detecting.reference import FILE
from renate.jobs.detecting.situation import JobSituation, detector_of
from renate.jobs.directory import strict
from renate.jobs.saved.published import trusted
from renate.jobs.saved.restore import Saved
from renate.policy.base import Decision, Policy
from renate.policy.simple import Always
from renate.shift.detector import Drift
from renate.state.aliases.standing import manifest_of
from renate.state.manifest import Manifest
from renate.state.versions import State

PRINTED = "detected.json"  # in the job's directory, of output=-
STDOUT = "-"


def run(job: Job) -> dict[str, Any]:
    """The job `detect`."""
    url = job.config["state"]["url"]
    state = job.state(url)
    manifest = manifest_of(state, job.config["job"]["version"])
    saved = Saved.read(state, manifest, trust=trusted(job))
    policy = policy_of(job)
    detector = detector_of(job)
    job.config["model"]["grow"] = True  # new labels are an answer here, and no error

    answer: dict[str, Any] = {"url": url, "detected": manifest.version}
    try:
        data = load_new(job, saved, cut=False)
    except NothingNewError as error:
        answer |= {"decision": Decision(False, [str(error)]).to_json()}
        return answer | _written(job, answer)

    situation = JobSituation(job, data, saved, detector)
    # Told in any case where it can be; a policy that goes by it ends with the reason why not
    if FILE in manifest.files:
        try:
            answer["drift"] = strict(situation.drift().to_json())
        except DataError as error:
            job.emit({"event": "report", "text": f"drift can't be told: {error}", "always": True})

    answer["decision"] = policy.decide(situation).to_json()
    return answer | _written(job, answer)


def policy_of(job: Job) -> Policy:
    """The policy that the config describes.

    Raises:
        ConfigError: It is none.
    """
    node = job.config.get("policy") or {}
    if "_target_" not in node:
        return Always()

    policy = build(node, "policy", trust=job.config["trust"])
    if not isinstance(policy, Policy):
        raise ConfigError(f"policy._target_={node['_target_']}: expected a class of Policy")
    return policy


@dataclass(frozen=True)
class Asked:
    """What came of asking the policy of an update.

    Attributes:
        decision: What it says; None where no policy was asked, or there is no version yet.
        drift: What it was told of drift; None where it didn't ask.
        looks: Effects of the looks for drift since the version was made, this one's among them.
    """

    decision: Decision | None = None
    drift: Drift | None = None
    looks: Sequence[float] = ()


def asked(job: Job, data: Data, saved: Saved | None) -> Asked:
    """Ask the policy of an update.

    All of several processes must call this: the first one decides.
    """
    if saved is None or "_target_" not in (job.config.get("policy") or {}):
        looks = []
        if saved is not None and FILE in saved.manifest.files and job.record.publish:
            looks = job.ranks.broadcast(lambda: effects_here(job, saved))
        return Asked(looks=looks)

    policy = policy_of(job)
    if job.record.trial is not None:
        raise StateError("policy: a tuner's trials don't ask: renate job=detect, then the sweep")
    if not job.ranks.alone:
        raise StateError(
            "policy: of several processes none can ask: renate job=detect, then the update"
        )
    situation = JobSituation(job, data, saved, detector_of(job))
    decision = policy.decide(situation)
    looks = [] if FILE not in saved.manifest.files else effects_here(job, saved)
    found = situation.found
    if found is not None:
        looks.append(found.effect)
    return Asked(decision, found, looks)


def waited(
    job: Job, at: State, parent: Manifest, decision: Decision, drift: Drift | None
) -> dict[str, Any]:
    """What an update answers that isn't due: nothing was trained."""
    for reason in decision.reasons:
        job.emit({"event": "report", "text": f"policy: {reason}", "always": True})

    answer = {"url": at.url, "decision": decision.to_json(), "detected": parent.version}
    if drift is not None:
        answer["drift"] = strict(drift.to_json())
    return answer


def _written(job: Job, answer: dict[str, Any]) -> dict[str, Any]:
    """Write the answer as JSON where the command says so."""
    output = job.config["output"]
    if output is None:
        return {}

    path = job.directory.path / PRINTED if output == STDOUT else Path(str(output))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(answer, indent=1, allow_nan=False) + "\n")
    return {"output": str(path)}
