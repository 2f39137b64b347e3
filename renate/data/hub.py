"""Data sets of Hugging Face's datasets: a folder that it has saved, or a name of the Hub."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from renate.build import build
from renate.data.base import Source
from renate.data.kept.encoders import KeptEncoder
from renate.data.kept.reading import check_test_size
from renate.data.table import Readable
from renate.errors import ConfigError, DataError, nearest
from renate.extras import load
from renate.files import replacing

# Of what this module writes of a data set; files of another aren't read.
VERSION = 1
OF_TABLES = "renate.data.files.Files"
OF_TEXTS = "renate.data.text.source.Texts"


@dataclass(kw_only=True)
class HubData(Source):
    """A data set of the package datasets, by the types of its columns: a ClassLabel by its names,
    images as `data=files` has them, numbers and texts too.

    Its splits are written as parquet files once, below `cache_dir`, and read as such.

    Args:
        name: A folder that datasets has saved, or a name of the Hub.
        config: Which of the Hub's configurations; null is its only one.
        train_split: The split to train on.
        test_split: The split to measure on; null holds `test_size` of the other out.
        test_size: The fraction that is held out where there is no test split.
        target: The column to predict.
        inputs: The columns to predict from; null takes all others.
        text: In place of `inputs`, a column of texts or several, for a tokenizer: see `Texts`.
        tokens: `Texts`' own settings.
        image_size: [height, width] to resize images to; null: all are of one size.
        image_fit: How an image of another shape gets there: `stretch`, `crop` or `pad`.
        cache_dir: Where files and decoded images are kept; null is ~/.cache/renate.
    """

    name: str
    config: str | None
    train_split: str
    test_split: str | None
    test_size: float
    target: str
    inputs: Sequence[str] | None
    text: str | Sequence[str] | None
    tokens: Mapping[str, Any]
    image_size: Sequence[int] | None
    image_fit: str
    cache_dir: str | None
    _source: Source | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_test_size(self.test_split, self.test_size)
        if self.text is not None and self.inputs is not None:
            raise ConfigError(
                f"data.text={self.text} and data.inputs={self.inputs}: give one of them"
            )

    def files(self) -> dict[str, Any]:
        """Return no files: what the data set holds is known once it is read."""
        return {}

    def take_up(self, known: KeptEncoder | None) -> None:
        """Let the encoder of tables or texts be the state's."""
        source = self._read_by()
        source.take_up(known)
        self.encoder = source.encoder

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read the splits.

        Raises:
            ConfigError: There is no such data set or split, or a package is missing.
            DataError: What isn't possible in a table, see `data=files`.
        """
        source = self._read_by()
        source.known = self.known
        source.first = self.first
        source.show = self.show
        found = source.read()
        self.encoder = source.encoder
        return found

    def _read_by(self) -> Source:
        """The source that reads the files of the splits."""
        if self._source is not None:
            return self._source

        splits = self._loaded()
        asked = [name for name in (self.train_split, self.test_split) if name is not None]
        for name in asked:
            if name not in splits:
                raise ConfigError(
                    f"data={self.name} has no split '{name}'{nearest(name, splits)} "
                    f"({', '.join(splits)})"
                )

        files = {name: str(self._written(splits[name])) for name in asked}
        node: dict[str, Any] = {
            "train": files[self.train_split],
            "test": files[self.test_split] if self.test_split is not None else None,
            "test_size": self.test_size,
            "target": self.target,
            "batch_size": self.batch_size,
            "val_size": self.val_size,
            "limit": self.limit,
        }
        if self.text is not None:
            node |= {"_target_": OF_TEXTS, "text": self.text, **self.tokens}
        else:
            node |= {
                "_target_": OF_TABLES,
                "inputs": self.inputs,
                "image_size": self.image_size,
                "image_fit": self.image_fit,
                "cache_dir": self.cache_dir,
            }

        self._source = build(node, "data")
        return self._source

    def _loaded(self) -> Mapping[str, Any]:
        """Split -> data set.

        Raises:
            ConfigError: There is none.
        """
        package = load("datasets", "hf", "data=hf")
        folder = Path(self.name).expanduser()
        try:
            if folder.is_dir():
                found = package.load_from_disk(str(folder))
            else:
                found = package.load_dataset(self.name, self.config)
        except Exception as error:  # of its network, its files: whatever happens there
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"data.name={self.name}: no folder that datasets has saved, and nothing that the "
                f"Hub gives ({reason})"
            ) from error

        if isinstance(found, Mapping):
            return found
        return {str(found.split or "train"): found}

    def _written(self, split: Any) -> Path:
        """The parquet file of a split, written if it isn't there yet."""
        key = json.dumps([split._fingerprint, repr(split.features), VERSION])
        folder = Path(self.cache_dir or "~/.cache/renate").expanduser()
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.parquet"
        if path.is_file():
            return path

        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                _named(split).to_parquet(str(temporary))
        except OSError as error:
            raise DataError(
                f"{folder}: data.name={self.name} can't be kept there ({error.strerror or error}): "
                "make room, or name another folder by data.cache_dir"
            ) from error

        return path


def _named(split: Any) -> Any:
    """A split whose classes are their names; one that has none is missing."""
    package = load("datasets", "hf", "data=hf")
    for column, feature in split.features.items():
        if not isinstance(feature, package.ClassLabel):
            continue

        names = feature.names
        as_text = package.Features(split.features | {column: package.Value("string")})
        split = split.map(
            lambda rows, column=column, names=names: {
                column: [_name(names, number) for number in rows[column]]
            },
            batched=True,
            features=as_text,
            keep_in_memory=True,
        )

    return split


def _name(names: Sequence[str], number: int | None) -> str | None:
    if number is None or not 0 <= number < len(names):
        return None
    return names[number]
