"""Which files a job's data are read from: what its identity depends on, and what travels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from renate.build import build
from renate.data.fingerprint import expand, is_patterns
from renate.data.images.sources.listing import files_below, image_files
from renate.errors import ConfigError, DataError

CONTRACT = "contract"  # a key of the group that no source takes
OWN = ("renate.data.", "renate.compat.")
# Names folders, whose files are in them now
FOLDERS = "renate.data.images.sources.folder.ImageFolder"


def files_of(
    node: Mapping[str, Any], trust: Sequence[str], *, labelled: bool = True
) -> dict[str, Any]:
    """Return key of the config below `data` -> what it names, see `Source.files`.

    Of the package's own sources these are `train` and `test`, and a tokenizer.json, and nothing is
    imported to tell; a source of the user's is built and asked.

    Args:
        node: The group `data`, resolved.
        trust: See `renate.build.locate`.
        labelled: Whether folders of images are those of classes; else they are images to predict
            for, wherever they lie.

    Raises:
        ConfigError: The source can't be built, or names no files.
    """
    contract = node.get(CONTRACT)
    of_source = {key: value for key, value in node.items() if key != CONTRACT}
    found = _files_of_source(of_source, trust, labelled=labelled)
    return found if contract is None else {**found, CONTRACT: contract}


def _files_of_source(
    node: Mapping[str, Any], trust: Sequence[str], *, labelled: bool
) -> dict[str, Any]:
    if node.get("_target_") == FOLDERS and not labelled:
        return {"train": image_files(node["train"], "data.train")[0]}
    if node.get("_target_") == FOLDERS:
        return files_below(node["train"], node.get("test"))
    if node.get("hub") is not None:
        _check_there(node)
    if str(node.get("_target_", "")).startswith(OWN):
        named = {key: node.get(key) for key in ("train", "test")}
        tokenizer = node.get("tokenizer")
        if isinstance(tokenizer, str) and tokenizer.endswith(".json"):
            named["tokenizer"] = tokenizer
        return {key: value for key, value in named.items() if is_patterns(value)}

    source = build(node, "data", trust=list(trust))
    if not hasattr(source, "files"):
        raise ConfigError(f"data._target_={node['_target_']}: expected a Source")

    found = source.files()
    for key, value in found.items():
        if not is_patterns(value):
            raise ConfigError(
                f"data: files() of {node['_target_']} gives {value!r} for '{key}', expected a "
                "path, glob or URL, a list of such, or name -> either"
            )

    return dict(found)


def _check_there(node: Mapping[str, Any]) -> None:
    """Return if the files of a known data set are there.

    Raises:
        DataError: One isn't; it says where to get them.
    """
    for key in ("train", "test"):
        path = node.get(key)
        if isinstance(path, str) and path.endswith(".parquet") and is_local(path):
            folder = Path(path.removeprefix("file://")).expanduser()
            if not folder.exists() and not set("*?[") & set(path):
                raise DataError(
                    f"data.{key}={path} isn't there: save the splits of the Hub's data set "
                    f"{node['hub']} as parquet files of these names; RENATE_DATA=… names the "
                    f"folder above '{folder.parent.name}'"
                )


def labels_of(files: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many files each class has, where folders are classes: the files' contents, in this
    order, say the rest.
    """
    for key, named in files.items():
        sets = [named]
        if isinstance(named, Mapping) and any(isinstance(part, Mapping) for part in named.values()):
            sets = list(named.values())
        elif not key.endswith("train"):
            sets = []

        for classes in sets:
            if isinstance(classes, Mapping):
                yield repr([(key, label, len(paths)) for label, paths in classes.items()])


def check_all_named(node: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """Return if no argument of a user's source names a local file that wouldn't travel.

    Raises:
        ConfigError: One does.
    """
    if str(node["_target_"]).startswith(OWN):
        return

    for key, value in node.items():
        looks_like_path = isinstance(value, str) and ("." in value or "/" in value)
        if key != "_target_" and key not in files and looks_like_path and Path(value).is_file():
            raise ConfigError(
                f"data.{key}={value} is a file of this machine, and files() of {node['_target_']} "
                f"doesn't name it: let it return '{key}' too"
            )


def moved_to(
    staging: str,
    patterns: Any,
    key: str,
    digest: Callable[[Path], str],
    data: dict[str, Path],
) -> Any:
    """Return what a key of the data is where its local files lie below a URL.

    One file stays one, a glob becomes a list; what is remote already stays as it is.

    Args:
        staging: The URL.
        patterns: A path, glob or URL, a list of such, or name -> either.
        key: The config key, for messages.
        digest: Gives the hash that a file lies below.
        data: Gets the local files, by key below `staging`.

    Raises:
        DataError: A pattern that matches nothing.
    """
    if isinstance(patterns, Mapping):
        return {name: moved_to(staging, part, key, digest, data) for name, part in patterns.items()}
    if isinstance(patterns, list):
        moved = [moved_to(staging, part, key, digest, data) for part in patterns]
        return [url for part in moved for url in (part if isinstance(part, list) else [part])]
    if not is_local(patterns):
        return patterns

    urls = []
    for file in map(Path, expand(patterns, key)):
        place = f"data/{digest(file)}/{file.name}"
        data[place] = file
        urls.append(f"{staging}/{place}")

    if Path(patterns.removeprefix("file://")).expanduser().is_file():
        return urls[0]

    return urls


def is_local(url: str) -> bool:
    """Whether a URL is a folder of this machine."""
    return "://" not in url or url.startswith("file://")


def if_remote(url: str | None) -> str | None:
    """Return a URL if it is one of another machine; else None."""
    if not url or is_local(url):
        return None
    return url
