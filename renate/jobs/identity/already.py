"""When a published version answers for a job: decided here, asked before the job runs and within
it.

Before it runs, its recipe says what it is; where only reading the data tells what they hold, the
job compares those too (`renate.jobs.identity.content`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renate.jobs.directory import JobDirectory
from renate.state.manifest import Manifest
from renate.state.pins import NAME


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


def in_words(version: int, url: str) -> str:
    """What a person is told in place of a training."""
    said = f"already published as version {version} of {url}"
    return f"{said}, from this config and data; resume=false trains again"


def tuned_in_words(version: int, url: str) -> str:
    """The same of a tuner's sweep."""
    said = f"already published as version {version} of {url}"
    return f"{said}, tuned by this very sweep; resume=false tunes again"
