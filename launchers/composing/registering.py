"""After a version is published: take it to the registry that the config names."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.errors import JobError, RenateError
from renate.export.registries.base import Registry, registry_of, take_to
from renate.jobs.records import JobResult

UPDATE = "update"


def registry_for(config: DictConfig) -> Registry | None:
    """The registry that a job's outcome goes to; None where it goes to none.

    Raises:
        ConfigError: It can't be right: told before anything is trained.
    """
    node = config.get("publish")
    if not node or config.job.name != UPDATE:
        return None
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return registry_of(plain, list(config.trust))


def registered(config: DictConfig, result: JobResult) -> JobResult:
    """Register what a job published, if it published something; returns its result, which says
    where it is, or why not. The version stays published in any case.
    """
    if result.version is None or not result.completed or result.url is None:
        return result
    registry = registry_for(config)
    if registry is None:
        return result

    try:
        where = take_to(registry, result.url, result.version, list(config.trust))
    except RenateError as error:
        return replace(result, registered={"error": str(error)})
    return replace(result, registered={"where": where})


def check_registered(results: Sequence[JobResult]) -> None:
    """Raises JobError where a version that was published couldn't be registered."""
    for result in results:
        error = (result.registered or {}).get("error")
        if error is not None:
            line = f"renate export {shlex.quote(str(result.url))} --version {result.version}"
            raise JobError(
                f"version {result.version} of {result.url} is published, but isn't registered: "
                f"{error}; the same command, or {line} publish=… tries again"
            )
