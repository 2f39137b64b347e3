"""Images in folders, one for each class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from renate.data.base import Source
from renate.data.fingerprint import contents
from renate.data.images.image_files import ImageFiles
from renate.data.images.rules import ImageRules
from renate.data.images.sources.listing import Classes, files_below, tests_of
from renate.data.images.sources.reading import ImageReader, placeholder
from renate.data.kept.fresh import unread
from renate.data.kept.reading import check_test_size, key_of
from renate.data.kept.trained import AGAIN, NEW
from renate.data.named.once import copies_among, place_of, told_of
from renate.data.table import File, Readable, Table


@dataclass(kw_only=True)
class ImageFolder(Source):
    """Images as files, `photos/cat/1.jpg`: the first folder below `train` is the label.

    Each becomes uint8 [C, H, W] as a viewer shows it, decoded once by all processors and kept.

    Args:
        train: A folder, a glob of such or a list; also URLs such as s3://bucket/photos. One that
            holds `train` and `val` or `test`, and nothing else, has the tests too.
        test: The same, or name -> such, each a column of the accuracy matrix; null takes those
            that `train` has, else holds `test_size` of it out.
        test_size: The fraction that is held out where there is no test.
        image_size: [height, width]; null takes images as they are, all of one size.
        image_fit: How an image of another shape gets there: `stretch`, `crop` or `pad`.
        corrupt: What becomes of images that can't be decoded: `error`, or `skip` leaves them out
            and says how many.
        cache_dir: Where decoded images are kept; null is ~/.cache/renate.
        seen: `new` trains on files that no earlier version has trained on, `again` on all.
        max_ram: Bytes of images that still lie in memory once some are held out; more lie in mapped
            files in `cache_dir`. Null is no bound.
    """

    train: Any
    test: Any
    test_size: float
    image_size: Sequence[int] | None
    image_fit: str
    corrupt: str
    cache_dir: str | None
    seen: str = AGAIN
    max_ram: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rules = ImageRules(self.image_size, self.image_fit, self.corrupt)

    def files(self) -> dict[str, Any]:
        """Return the images of each class, by the key that names their folder.

        Raises:
            DataError: A folder that isn't there, or holds no classes.
        """
        return files_below(self.train, self.test)

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Decode the images of all classes.

        Raises:
            DataError: A folder without classes, or an image that is refused.
        """
        files = self.files()
        tests = tests_of(files)
        check_test_size(tests or None, self.test_size)
        table = self._table(files["train"], "data.train", None, only_new=bool(tests))
        if not tests:
            return table, self.test_size

        return table, {
            name: self._table(part, key_of(name), table.inputs) for name, part in tests.items()
        }

    def _table(self, classes: Classes, role: str, like: Any, *, only_new: bool = False) -> Table:
        """The images of all classes.

        Args:
            classes: label -> images.
            role: The config key that names them.
            like: The training images, for a test table; else None.
            only_new: Whether those that the state has trained on needn't be looked at.
        """
        reader = ImageReader(self.rules, self.cache_dir, self.known, self.show)
        listed, notes = images_once(classes, role)
        content = dict(zip(paths_of(listed), contents(paths_of(listed), reader.cache), strict=True))
        skipped = {}
        if like is None:
            if self.seen == NEW:
                listed, said = _without_copies(listed, content)
                notes += said
            content = {path: content[path] for path in paths_of(listed)}
            skipped = unread(content, self.trained, needed=not only_new)

        # In a list: copies of one image in two classes may lie in one place
        listed = [(path, label) for path, label in listed if path not in skipped]
        paths = paths_of(listed)
        hashes = [content[path] for path in paths]
        targets = np.empty(len(listed), object)
        targets[:] = [label for _, label in listed]
        whole = Table(
            placeholder(len(paths)),
            targets,
            columns=(("image", "image"),),
            files=tuple(
                File(path, 1, content) for path, content in zip(paths, hashes, strict=True)
            ),
            target="label",
            target_kind="text",
            notes=tuple(notes),
            where="the folders' names",
            skipped=tuple(skipped.values()),
        )
        return reader.table(whole, [("image", ImageFiles(paths))], hashes, like)


def images_once(classes: Classes, key: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return (path, label) of each image, each once in its class, and what to say.

    Args:
        classes: label -> images.
        key: The config key that names them.
    """
    found: dict[tuple[str, str], tuple[str, str]] = {}
    count = 0
    folders: dict[str, str] = {}
    for label, files in classes.items():
        for path in files:
            # Links among folders are followed here; one to an image is a copy
            folder, _, name = path.rpartition("/")
            if folder not in folders:
                folders[folder] = place_of(folder)
            found.setdefault((f"{folders[folder]}/{name}", label), (path, label))
            count += 1

    listed = list(found.values())
    if len(listed) == count:
        return listed, []

    return listed, [
        f"{key}: {count - len(listed)} of {count} images are named more than once: each is read "
        "once"
    ]


def _without_copies(
    listed: list[tuple[str, str]], content: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """The images without those that are as another of their class, and what to say."""
    by_label: dict[str, list[str]] = {}
    for path, label in listed:
        by_label.setdefault(label, []).append(path)

    copies = {label: copies_among(paths, content) for label, paths in by_label.items()}
    together = {copy: first for found in copies.values() for copy, first in found.items()}
    return [(path, label) for path, label in listed if path not in copies[label]], told_of(together)


def paths_of(listed: Sequence[tuple[str, str]]) -> list[str]:
    """Return the paths of (path, label)."""
    return [path for path, _ in listed]
