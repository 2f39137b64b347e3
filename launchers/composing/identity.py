"""What a job is: the recipe that is asked for, the version it starts from, and the id that both
give.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.build import is_own, targets
from renate.data.contract.rules import FIX
from renate.data.fingerprint import Hashes, fingerprint
from renate.errors import ConfigError, within
from renate.jobs.identity.already import came_from, counts, goes_on, nothing_new
from renate.jobs.identity.data_files import files_of, labels_of
from renate.jobs.identity.sources import Sources
from renate.jobs.passed_objects import FILE
from renate.jobs.records import JobRecord, ParentVersion
from renate.state.aliases.standing import Standing, standing
from renate.state.manifest import Manifest
from renate.state.versions import State

from .starting import check_first, start_of

# Where a job runs and what watches it doesn't change its result.
ELSEWHERE = ("backend", "tuner", "search_space", "logger", "run_dir", "resume", "state", "hydra")
SEEN = ("report", "terminal")  # what people get to see of it
NO_IDENTITY = (*ELSEWHERE, *SEEN, "publish", "tags", "notes")  # and what a user says of a job
PLACES = ("data.cache_dir", "data.data_path")  # folders that change no result
# Of the data, what changes no result, and wasn't a key of every release
WHERE_ROWS_LIE = "device"
CONFIG_FILE = "config_file"
# Sources of renate's own of which a config doesn't say all that they read
TELL_LATER = ("renate.data.images.sources.table.ImageTable", "renate.data.hub.HubData")
OUTPUT = "output"
CONTRACT = "contract"
# Groups that came later: where none of their options is chosen, a recipe is what it was
LATER = ("gate", "policy", "shift")
MOST_FILES = 10_000  # of a folder that an argument names
# An object of the caller's (`renate.run(model=…)`): what it is counts, not where it lies and how it
# was pickled.
PASSED = re.compile(rf"[^\"]*/{FILE.pattern}")


def identify(config: DictConfig) -> JobRecord:
    """Return the recipe (what is asked for, and of which data) and the id (the recipe on one
    parent).

    Where only reading the data tells what they hold, as with a data set of the user's own, the
    record says so (`unread`): then nobody but the job, which reads them, may take an earlier result
    for this one's. So it does of predictions, which may have been taken away since.
    """
    plain: Any = OmegaConf.to_container(config, resolve=False)
    resolved: Any = OmegaConf.to_container(config, resolve=True) if "${" in str(plain) else plain
    recipe = _recipe(plain, resolved, config.trust)
    state = resolved["state"]
    job = resolved["job"]["name"]
    newest: Manifest | None = None
    now = Standing(None, None, 0, 0)
    if state["url"]:
        found = State(state["url"])
        newest = found.newest()
        now = standing(found)

    if state["version"] is not None and newest is None:
        raise ConfigError(
            f"state.version={state['version']}: state.url={state['url']} holds no version"
        )

    if state["url"]:
        again = came_from(newest, recipe) and bool(config.resume)
        check_first(state, job, newest, again=again)

    parent: ParentVersion | None = None
    if newest is not None and job != "stream":
        parent = start_of(state, job, newest, now)

    where = f"{recipe}/{parent and parent.sha256}/{state['url']}/{state['next_url']}"
    asks = job == "update" and bool(resolved.get("policy"))  # each time anew: time passes
    unread = job in ("predict", "detect") or asks or not _is_known(resolved["data"])
    already: int | None = None
    if not unread and newest is not None and counts(newest, recipe, state):
        already = newest.version

    nothing: str | None = None
    used = now.current
    if already is None and not unread and used is not None and _is_next(job, state):
        # What a version was trained on that isn't in use is as new as ever
        nothing = nothing_new(used, state["url"], resolved["data"], resolved["scenario"])
        already = used.version if nothing else None

    return JobRecord(
        id=hashlib.sha256(where.encode()).hexdigest()[:10],
        recipe=recipe,
        overrides=[],
        cwd=str(Path.cwd()),
        created=time.time(),
        parent=parent,
        unread=unread,
        already=already,
        nothing_new=nothing,
    )


def _is_next(job: str, state: dict[str, Any]) -> bool:
    """Whether what comes of a job is the successor of its state's newest version."""
    return job == "update" and goes_on(state)


def _recipe(plain: dict[str, Any], resolved: dict[str, Any], trust: Sequence[str]) -> str:
    """A hash of all that a result depends on, but for the version that the job starts from."""
    counting = {
        key: value
        for key, value in plain.items()
        if key not in NO_IDENTITY and (value or key not in LATER)
    }
    counting["data"] = {k: v for k, v in plain["data"].items() if k != WHERE_ROWS_LIE}
    # Of the rules those that change values change a result
    rules = dict(counting.pop(CONTRACT, None) or {})
    if fixes := sorted(check for check, action in rules.items() if action == FIX):
        counting[CONTRACT] = fixes
    asked = _by_name(counting)
    predicts = resolved["job"]["name"] == "predict"
    named = files_of(resolved["data"], trust, labelled=not predicts)
    files = {f"data.{key}": patterns for key, patterns in sorted(named.items())}
    parts = [
        PASSED.sub(r"\1", json.dumps(asked, sort_keys=True, default=str)),
        _release(),
        _own_sources({k: v for k, v in resolved.items() if k != "backend"}, trust),
        _fingerprint(resolved["data"], files),
        *_environment(asked, resolved, files),
        *_named_files(asked, resolved, files),
        *labels_of(files),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _by_name(node: Any) -> Any:
    """A config in which a config file is called by its name: what it holds counts, wherever it
    lies.

    Without one the key is left out, as it was before there were any; so is that of an output.
    """
    if isinstance(node, list):
        return [_by_name(value) for value in node]
    if not isinstance(node, dict):
        return node

    found = {key: _by_name(value) for key, value in node.items()}
    file = found.get(CONFIG_FILE)
    if isinstance(file, dict):
        name = Path(str(file.get("path"))).name
        passed = FILE.fullmatch(name)
        found[CONFIG_FILE] = {**file, "path": passed[1] if passed else name}
    elif file is None:
        found.pop(CONFIG_FILE, None)
    for later in (OUTPUT, CONTRACT):
        if found.get(later, later) is None:
            found.pop(later)

    return found


@cache
def _release() -> str:
    """Ours; finding it out anew for each job of a grid takes longer than much of the rest."""
    return importlib.metadata.version("renate-cl")


def _is_known(node: dict[str, Any]) -> bool:
    """Whether files and config say all that there is to know of the data: those of renate's own
    sources do, but for a few.
    """
    target = str(node.get("_target_", ""))
    own = target.startswith("renate.data.") and target not in TELL_LATER
    return own and not any(
        isinstance(part, dict) and "_target_" in str(part) for part in node.values()
    )


def _fingerprint(node: dict[str, Any], files: dict[str, Any]) -> str:
    if not files:
        return ""
    cache = node.get("cache_dir")
    return fingerprint(files, Path(cache) if cache else None)


def _environment(asked: Any, resolved: Any, files: dict[str, Any]) -> Iterator[str]:
    """What the config takes from the environment, each value behind a hash that is slow to try
    values on.

    A recipe is kept in a state, which others may read. Where files lie is no part of it, only what
    they hold.
    """
    for key, text in leaves(asked):
        if isinstance(text, str) and "${" in text and not _is_below(key, files):
            value = repr(OmegaConf.select(OmegaConf.create(resolved), key)).encode()
            yield hashlib.scrypt(value, salt=key.encode(), n=2**12, r=8, p=1, dklen=16).hex()


def _named_files(asked: Any, resolved: Any, files: dict[str, Any]) -> Iterator[str]:
    """Contents of further files that arguments name: pre-trained weights, a vocabulary."""
    found: list[tuple[str, Path]] = []
    for key, text in leaves({key: resolved[key] for key in asked}):
        if (
            isinstance(text, str)
            and not _is_below(key, [*files, *PLACES])
            and not PASSED.search(text)
        ):
            found += [(key, path) for path in _files_at(text)]

    if not found:
        return

    known = Hashes(Path("~/.cache/renate").expanduser() / "hashes.json")
    for key, path in found:
        yield f"{key} {path.name} {known.of(path)}"

    known.save()


def _files_at(text: str) -> list[Path]:
    """The file that a value names, or those of the folder that it names.

    A word without a slash is no folder.
    """
    with suppress(OSError, ValueError):
        path = Path(text).expanduser()
        if path.is_file():
            return [path]
        if os.sep in text and path.is_dir():
            return sorted(file for file in path.rglob("*") if file.is_file())[:MOST_FILES]
    return []


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of everything in a plain config that is neither a mapping nor a list."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, within(key, name))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, f"{key}[{index}]")
    else:
        yield key, node


def _is_below(key: str, places: Iterable[str]) -> bool:
    return any(key == place or key.startswith((f"{place}.", f"{place}[")) for place in places)


def _own_sources(config: dict[str, Any], trust: Sequence[str]) -> str:
    """A hash of the user's modules that the config names, and of all own ones that these may
    import.
    """
    modules = {target.rpartition(".")[0] for _, target in targets(config)}
    own = [module for module in sorted(modules) if is_own(module, trust)]
    folders = [Path.cwd()]
    file = config_file_of(config)
    if file is not None:
        own.append(file.stem)
        folders.insert(0, file.parent)

    if own:
        return Sources(folders, trust).digest(own)
    return ""


def config_file_of(config: dict[str, Any]) -> Path | None:
    """Where the config file of a config lies, if it has one."""
    node = config.get(CONFIG_FILE)
    if not isinstance(node, dict) or not node.get("path"):
        return None
    return Path(str(node["path"])).expanduser().resolve()
