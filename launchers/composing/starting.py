"""The version that a job starts from."""

from typing import Any

from renate.errors import ConfigError, NoVersionError
from renate.jobs.records import ParentVersion
from renate.state.aliases.standing import Standing, manifest_of
from renate.state.manifest import Manifest
from renate.state.versions import State


def start_of(state: dict[str, Any], job: str, newest: Manifest, now: Standing) -> ParentVersion:
    """The version that a job starts from: the one in use, where `state.version` names no other.

    Args:
        state: The group `state` of its config.
        job: Its kind.
        newest: The newest version.
        now: Which versions count.

    Raises:
        NoVersionError: No version is in use: what there is, a gate has held back.
        ConfigError: What comes of it would have no place.
        StateError: There is no such version.
    """
    start = now.current
    if state["version"] is not None:
        start = _chosen(state, job, newest, now)
    if start is None and job != "update":
        start = newest
    if start is None:
        raise NoVersionError(
            f"state.url={state['url']}: no version is in use, its gate has promoted none of "
            f"{now.newest}: renate state promote {state['url']} {now.newest}"
        )

    assert start.version is not None  # no candidate
    return ParentVersion(
        state["url"],
        start.version,
        start.sha256,
        newest=now.newest if now.newest != start.version else None,
        move=now.move or None,
    )


def _chosen(state: dict[str, Any], job: str, newest: Manifest, now: Standing) -> Manifest:
    """The version that `state.version` names.

    Raises:
        ConfigError: What comes of it would have no place.
        StateError: There is no such version.
    """
    if job != "update":
        raise ConfigError(
            f"state.version={state['version']}: only an update starts from it; job=evaluate "
            "job.version=…"
        )

    found = State(state["url"])
    start = manifest_of(found, state["version"])
    used = now.current is not None and start.version == now.current.version
    if not used and start.version != newest.version and state["next_url"] is None:
        raise ConfigError(
            f"state.version={state['version']}: {state['url']} has gone on to version "
            f"{newest.version}, so what comes of it must go elsewhere: give state.next_url=…"
        )

    return start


class NotFirstError(ConfigError):
    """`state.first=true`, and the state has versions."""


def check_first(state: dict[str, Any], job: str, newest: Manifest | None, *, again: bool) -> None:
    """`again`: the newest version is this very job's, which was interrupted, or is asked for
    once more.
    """
    if newest is None and not state["first"] and job == "update":
        raise NoVersionError(
            f"state.url={state['url']} holds no version yet: if this is the first update, add "
            "state.first=true, else correct the URL"
        )

    if newest is not None and state["first"] and not again:
        raise NotFirstError(
            f"state.first=true, but {state['url']} holds version {newest.version} already: leave "
            "state.first out"
        )
