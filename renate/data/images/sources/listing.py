"""Which images folders hold, and of which class; knows neither torch nor pyarrow."""

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from renate.data.fingerprint import check_named, expand
from renate.data.images.image_files import SUFFIXES, is_image_file
from renate.data.named.once import read_once
from renate.errors import DataError

# label -> its images
Classes = Mapping[str, Sequence[str]]
# What data sets call the folders of their parts, where these are all that there is.
TRAIN = "train"
HELD_OUT = ("val", "valid", "validation", "test")


def files_below(train: Any, test: Any) -> dict[str, Any]:
    """Return `train`: label -> images; and `test`: the same, or name -> such, if there are tests.

    Args:
        train: A folder with one for each class, a glob of such or a list; one that holds `train`
            and others of `HELD_OUT` alone has the tests too. Or label -> images.
        test: The same, or name -> such; None takes those that `train` has.

    Raises:
        ConfigError: What should name folders is something else.
        DataError: A folder that isn't there, or holds no classes.
    """
    check_named(train, "data.train")
    if test is not None:
        check_named(test, "data.test")

    found: dict[str, Any] = {}
    parts = _parts_of(train)
    if parts:
        found["train"] = parts.pop(TRAIN)
        if test is None:
            found["test"] = parts
    else:
        found["train"] = _classes(train, "data.train")

    if test is not None:
        if isinstance(test, Mapping) and not _are_classes(test):
            found["test"] = {str(name): _classes(part, "data.test") for name, part in test.items()}
        else:
            found["test"] = _classes(test, "data.test")

    return found


def image_files(patterns: Any, key: str) -> tuple[list[str], list[str]]:
    """Return the images that paths, folders, URLs and globs mean, each once, and what to say.

    Args:
        patterns: One or a list; of a folder all images below it, whatever folders they lie in.
        key: The config key that names them.

    Raises:
        DataError: There is no such file, or it holds no images.
    """
    named = [patterns] if isinstance(patterns, str) else list(patterns)
    return read_once([file for pattern in named for file in _images_of(str(pattern), key)], key)


def _images_of(pattern: str, key: str) -> list[str]:
    if is_image_file(pattern):
        return expand(pattern, key)
    if "://" in pattern and not pattern.startswith("file://"):
        places = [pattern.rstrip("/")]
    else:
        path = str(Path(pattern.removeprefix("file://")).expanduser())
        places = [path] if Path(path).exists() else sorted(glob.glob(path))  # noqa: PTH207

    found = []
    for place in places:
        if "://" not in place and not Path(place).is_dir():
            found += [place] if is_image_file(place) else []
        else:
            found += [f"{place}/{name}" for name in images_below(place, key)]

    if not found:
        raise DataError(
            f"{key}={pattern}: no such folder or image, or no images in it (files that end in "
            f"{', '.join(SUFFIXES)}; from {Path.cwd()})"
        )
    return found


def tests_of(files: Mapping[str, Any]) -> dict[str, Classes]:
    """Name -> classes of the test sets that `files_below` found."""
    test = files.get("test")
    if test is None:
        return {}
    return {"test": test} if _are_classes(test) else dict(test)


def _are_classes(found: Mapping[str, Any]) -> bool:
    """Whether a mapping is label -> files, as it is where the files were moved, and not name ->
    folder, or name -> classes.
    """
    values = list(found.values())
    return all(isinstance(value, list | tuple) or is_image_file(str(value)) for value in values)


def _classes(folders: Any, key: str) -> Classes:
    if isinstance(folders, Mapping):
        return {
            str(label): [files] if isinstance(files, str) else [str(file) for file in files]
            for label, files in folders.items()
        }

    found: dict[str, list[str]] = {}
    for folder in _folders(folders, key):
        for label, files in _by_first(folder, images_below(folder, key), key).items():
            found.setdefault(label, []).extend(files)

    return dict(sorted(found.items()))


def _folders(patterns: Any, key: str) -> list[str]:
    """The folders that paths, URLs and globs mean."""
    if not isinstance(patterns, str):
        return [folder for pattern in patterns for folder in _folders(pattern, key)]
    if "://" in patterns and not patterns.startswith("file://"):
        return [patterns.rstrip("/")]

    path = str(Path(patterns.removeprefix("file://")).expanduser())
    if Path(path).is_dir():
        return [path]

    found = sorted(match for match in glob.glob(path) if Path(match).is_dir())  # noqa: PTH207
    if not found:
        raise DataError(f"{key}={patterns}: no such folder (from {Path.cwd()})")
    return found


def images_below(folder: str, key: str) -> list[str]:
    """Return the paths of all images below a folder, relative to it, with slashes, sorted."""
    if "://" in folder:
        objects = expand(f"{folder}/**/*", key)
        return sorted(file.removeprefix(f"{folder}/") for file in objects if is_image_file(file))

    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        inside = Path(place).relative_to(folder)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not _leads_back(folder, inside / name)
        ]
        found += [(inside / name).as_posix() for name in files if is_image_file(name)]

    return sorted(found)


def _leads_back(folder: str, inside: Path) -> bool:
    """Whether a folder below another is a link to one of those on the way to it: two such links
    would be followed without end.
    """
    if not (folder / inside).is_symlink():
        return False

    target = os.path.realpath(folder / inside)
    return any(os.path.realpath(folder / above) == target for above in inside.parents)


def _by_first(folder: str, images: Iterable[str], key: str) -> dict[str, list[str]]:
    """The images by the first folder of their paths.

    Raises:
        DataError: One lies in no folder, or there is none.
    """
    found: dict[str, list[str]] = {}
    for image in images:
        first, *rest = PurePosixPath(image).parts
        if not rest:
            raise DataError(
                f"{key}={folder}: '{image}' lies in no folder of a class: move it into one, as in "
                f"{folder}/cat/{image}"
            )
        found.setdefault(first, []).append(f"{folder}/{image}")

    if not found:
        raise DataError(
            f"{key}={folder}: no images in it, expected a folder for each class with files "
            f"that end in {', '.join(SUFFIXES)}"
        )

    return found


def _parts_of(train: Any) -> dict[str, Classes]:
    """Name -> classes of a folder that holds `train` and tests, and nothing else; else empty."""
    if not isinstance(train, str):
        return {}

    folders = _folders(train, "data.train")
    if len(folders) != 1:
        return {}

    folder = folders[0]
    names = _by_first(folder, images_below(folder, "data.train"), "data.train").keys()
    if TRAIN not in names or len(names) == 1 or not names <= {TRAIN, *HELD_OUT}:
        return {}

    return {name: _classes(f"{folder}/{name}", f"data.train={train}: {name}") for name in names}
