"""Shared fixtures: the data folder, an empty working directory, small files of data."""

import copy
import gc
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import omegaconf.omegaconf
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

ROOT = Path(__file__).parents[1]

# A shell that runs the tests in the background has them ignore Ctrl-C, and each command that they
# start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was made so far stays until the end: collections of garbage needn't look through all of
    it again and again.

    A config is composed hundreds of times, each from hundred thousands of short-lived objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


class RememberingYaml(ModuleType):
    """The module, as OmegaConf uses it, but a text that was read before isn't read again."""

    def __init__(self) -> None:
        super().__init__("yaml")
        self.known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(yaml, name)

    def load(self, stream: Any, Loader: Any) -> Any:  # noqa: N803 (its name)
        text = stream if isinstance(stream, str) else stream.read()
        if text not in self.known:
            self.known[text] = yaml.load(text, Loader=Loader)
        return copy.deepcopy(self.known[text])


@pytest.fixture(scope="session", autouse=True)
def _yaml_is_read_once() -> Iterator[None]:
    """The same fifty files make every config."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omegaconf.omegaconf, "yaml", RememberingYaml())
        yield


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    """A test draws what it draws, whatever ran before it in the same process: a network that began
    otherwise missed its accuracy in one run of twelve.
    """
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (libraries draw from it)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data sets; skips where there are none."""
    folder = Path(os.environ.get("RENATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"RENATE_DATA: no data sets at {folder}")
    return folder


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_table(
    path: Path, *, seed: int, rows: int = 120, classes: int = 3, shift: float = 0.0
) -> Path:
    """A parquet file of two numeric columns whose class is easy to tell, and `label`."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, rows)
    noise = rng.normal(0, 0.1, (rows, 2))
    angle = 2 * np.pi * label / classes + shift
    table = pa.table(
        {"x": np.cos(angle) + noise[:, 0], "y": np.sin(angle) + noise[:, 1], "label": label}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path
