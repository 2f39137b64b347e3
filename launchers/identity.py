"""What a job is: the recipe that is asked for, the version it starts from, and the id that both give."""

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.build import is_own, targets
from renate.data.fingerprint import fingerprint
from renate.errors import ConfigError, NoVersionError
from renate.state.manifest import Manifest
from renate.state.versions import State

# Where a job runs and what watches it doesn't change its result.
NO_IDENTITY = ("backend", "tuner", "search_space", "logger", "run_dir", "resume", "state", "hydra")


def identify(config: DictConfig) -> dict[str, Any]:
    """Return the recipe (what is asked for, and of which data) and the id (the recipe on one parent) of a job."""
    plain: Any = OmegaConf.to_container(config, resolve=False)
    asked = {k: v for k, v in plain.items() if k not in NO_IDENTITY}
    resolved: Any = OmegaConf.to_container(config, resolve=True) if "${" in str(plain) else plain
    parts = [
        json.dumps(asked, sort_keys=True, default=str),
        importlib.metadata.version("renate-cl"),
        _own_sources(resolved, config.trust),
        _data(resolved["data"]),
    ]
    recipe = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    state, job, parent = resolved["state"], resolved["job"]["name"], None
    newest = State(state["url"]).newest() if state["url"] else None
    ours = newest is not None and newest.lineage.get("recipe") == recipe
    if state["url"]:
        _check_first(state, job, newest, again=ours and bool(config.resume))
    if newest is not None and job != "stream":
        parent = {"url": state["url"], "version": newest.version, "sha256": newest.sha256}
    where = f"{recipe}/{parent and parent['sha256']}/{state['url']}/{state['next_url']}"
    record: dict[str, Any] = {"id": hashlib.sha256(where.encode()).hexdigest()[:10], "recipe": recipe, "parent": parent}
    if newest is not None and ours and _is_whole(newest.lineage.get("stream")):
        record["already"] = newest.version
    return record | {"created": time.time(), "cwd": str(Path.cwd())}


class NotFirstError(ConfigError):
    """`state.first=true`, and the state has versions."""


def _check_first(state: dict[str, Any], job: str, newest: Manifest | None, *, again: bool) -> None:
    """`again`: the newest version is this very job's, which was interrupted, or is asked for once more."""
    if newest is None and not state["first"] and job == "update":
        raise NoVersionError(
            f"state.url={state['url']} holds no version yet: if this is the first update, add state.first=true, "
            "else correct the URL"
        )
    if newest is not None and state["first"] and not again:
        raise NotFirstError(
            f"state.first=true, but {state['url']} holds version {newest.version} already: leave state.first out"
        )


def _is_whole(stream: str | None) -> bool:
    """Whether a version is the last of its stream ("update 2/5" isn't), or of none."""
    number, _, total = (stream or "").removeprefix("update ").partition("/")
    return number == total or not total


def _data(node: dict[str, Any]) -> str:
    """Fingerprint the files that a data node names; data without files is identified by its config."""
    paths = {f"data.{part}": node.get(part) for part in ("train", "test")}
    named = {k: p for k, p in paths.items() if p is not None and not (isinstance(p, dict) and "_target_" in p)}
    cache = node.get("cache_dir")
    return fingerprint(named, Path(cache) if cache else None) if named else ""


def _own_sources(config: dict[str, Any], trust: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for module in sorted({target.rpartition(".")[0] for _, target in targets(config)}):
        if not is_own(module, trust):
            continue
        top = module.partition(".")[0]
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        spec = importlib.util.find_spec(top)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        for file in sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
