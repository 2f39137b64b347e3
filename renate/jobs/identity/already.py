"""When a published version answers for a job: decided here, asked before the job runs and within
it.

Before it runs, its recipe says what it is; where only reading the data tells what they hold, the
job compares those too (`renate.jobs.identity.content`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renate.data.fingerprint import contents, expand
from renate.data.kept.trained import NEW, Trained, key_of
from renate.data.kept.trained import nothing_new as in_short
from renate.data.named.once import read_once
from renate.jobs.directory import JobDirectory
from renate.jobs.identity.data_files import files_of
from renate.jobs.records import JobResult
from renate.state.manifest import Manifest
from renate.state.pins import NAME
from renate.state.versions import State

UNCUT = "renate.data.scenarios.NoScenario"  # the scenario in which a chunk is all of the data
TAKEN_AGAIN = "data.seen=again trains on all again"


def counts(version: Manifest | None, recipe: str, state: Mapping[str, Any]) -> bool:
    """Whether a state's newest version is what a job would publish there as the next one.

    Args:
        version: The newest version of `state.url`; None where there is none.
        recipe: What the job is asked for, and of which data.
        state: The group `state` of its config.
    """
    return came_from(version, recipe) and _ends_its_stream(version) and goes_on(state)


def came_from(version: Manifest | None, recipe: str) -> bool:
    """Whether a version was made by this recipe."""
    return version is not None and version.lineage.get("recipe") == recipe


def goes_on(state: Mapping[str, Any]) -> bool:
    """Whether an outcome is the newest version's successor.

    Elsewhere nothing of it is published yet.
    """
    return state["version"] is None and state["next_url"] in (None, state["url"])


def _ends_its_stream(version: Manifest | None) -> bool:
    """Whether a version is the last of its stream ("update 2/5" isn't), or of none."""
    if version is None:
        return False
    number, _, total = (version.lineage.get("stream") or "").removeprefix("update ").partition("/")
    return number == total or not total


def maker_of(version: Manifest, run_dir: Path) -> JobDirectory | None:
    """The directory of the job that made a version, if it is still in this run directory."""
    name = str(version.job)  # may come from a state of somebody else's: no path is made of anything
    folder = run_dir / name
    if NAME.fullmatch(name) is None or not folder.is_dir():
        return None
    return JobDirectory(folder)


def is_gone(result: JobResult, job: str) -> bool:
    """Whether what a job published has vanished: with its state, or because another state took
    its place. What gc has removed was there.

    Args:
        result: What the job answered.
        job: Its id, that of a stream's updates begins with.
    """
    if result.version is None or result.url is None:
        return False

    found = State(result.url).find(result.version)
    if found is None:
        return True
    if not isinstance(found, Manifest) or result.already is not None:
        return False
    return not str(found.job).startswith(job)


def nothing_new(
    version: Manifest, url: str, data: Mapping[str, Any], scenario: Mapping[str, Any]
) -> str | None:
    """Say that a state has trained on all files of an update's training data; None where it
    hasn't, or where only reading them tells.

    Args:
        version: The state's newest.
        url: The state.
        data: The group `data` of the job's config, resolved; its source is one of renate's own.
        scenario: The group `scenario`.

    Raises:
        DataError: A pattern that matches nothing.
        CorruptError: What the version keeps isn't what an update writes.
    """
    if data.get("seen") != NEW or scenario.get("_target_") != UNCUT:
        return None

    trained = Trained.read(State(url), version)
    if not trained.parts or not _asks_alike(State(url), version, data):
        return None

    cache = data.get("cache_dir")
    files, _ = read_once(expand(files_of(data, ())["train"], "data.train"), "data.train")
    held = contents(files, Path(cache) if cache else None)
    versions = [trained.version_of([key_of(content)]) for content in held]
    known = [number for number in versions if number is not None]
    if len(known) < len(files):
        return None

    return in_short(known)


def _asks_alike(state: State, version: Manifest, data: Mapping[str, Any]) -> bool:
    """Whether a config predicts and holds out what a version does; where it may not, the job says
    what is wrong.

    Args:
        state: Where the version is.
        version: Keeps what it predicts, and what it holds out.
        data: The group `data`, resolved; its source is one of renate's own.
    """
    kept = json.loads(bytes(state.read(version, "model.json")))
    if not isinstance(kept, dict):
        return False

    inputs = kept.get("inputs")
    known = inputs.get("target") if isinstance(inputs, dict) else None
    if known is not None and data.get("target") is not None and known != _target_of(data["target"]):
        return False

    split = kept.get("split")
    if not isinstance(split, dict):
        return split is None

    asked: list[str] = []
    for key in ("key", "group", "time"):
        names = data.get(key)
        if names is not None:
            listed = names if isinstance(names, list) else [names]
            asked = [key, *map(str, listed)]

    by = split.get("by", [])
    if asked[:1] == ["time"]:
        by = by[:2]  # then comes of which kind its times are
    if asked != by or data.get("val_size") != split.get("asked"):
        return False

    return bool(files_of(data, ()).get("test")) or data.get("test_size") == split.get("test")


def _target_of(target: Any) -> str:
    """What a version calls the target, or several, that a config names."""
    if isinstance(target, list):
        return ", ".join(map(str, target))
    return str(target)


def in_words(version: int, url: str, nothing: str | None = None) -> str:
    """What a person is told in place of a training.

    Args:
        version: The newest one of the state.
        url: The state.
        nothing: Where all files had been trained on, that in words.
    """
    said = f"already published as version {version} of {url}"
    if nothing is not None:
        return f"{said}: {nothing}; {TAKEN_AGAIN}"
    return f"{said}, from this config and data; resume=false trains again"


def tuned_in_words(version: int, url: str) -> str:
    """The same of a tuner's sweep."""
    said = f"already published as version {version} of {url}"
    return f"{said}, tuned by this very sweep; resume=false tunes again"
