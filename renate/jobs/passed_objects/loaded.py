"""The job's side: what its caller had in memory, read from the files that hold it."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
from torch import Tensor, nn
from torch.utils.data import Dataset

from renate.errors import ConfigError, JobError
from renate.jobs.passed_objects import ELSEWHERE, FILE, folder_of

_folders: list[Path] = []


@contextmanager
def reading_from(run_dir: str) -> Iterator[None]:
    """Within the block, objects are read from this run directory's own folder, or where the
    launcher put them.
    """
    before = [*_folders]
    _folders[:] = [folder_of(Path(run_dir).resolve())]
    if elsewhere := os.environ.get(ELSEWHERE):
        _folders.append(Path(elsewhere).resolve())

    try:
        yield
    finally:
        _folders[:] = before


def load_object(path: str) -> Any:
    """Read an object; a pickle is code, so only what was saved for this run directory.

    Args:
        path: Where `Held.save` put it.

    Raises:
        ConfigError: Another file.
        JobError: It is gone, or has other bytes than were written.
    """
    file = Path(path).resolve()
    if file.parent not in _folders or FILE.fullmatch(file.name) is None:
        raise ConfigError(
            f"path={path}: no object of this run directory; renate.run(model=…, data=…) puts them "
            "there"
        )

    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise JobError(
            f"{path}: gone; give the object again, renate.run(model=…, data=…)"
        ) from None

    if hashlib.sha256(data).hexdigest()[:16] != file.stem.partition("-")[2]:
        raise JobError(
            f"{path}: its bytes aren't those that were written; remove it and give the object again"
        )

    return cloudpickle.loads(data)


class PassedModel(nn.Module):
    """A module that the caller had in memory.

    Args:
        path: Where `Held.save` put it.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.net: nn.Module = load_object(path)

    def forward(self, inputs: Any) -> Tensor:
        """Return what the caller's module makes of inputs [B, ...], or of a mapping of such."""
        logits: Tensor = self.net(inputs)
        return logits


class PassedDataset(Dataset[Any]):
    """A data set that the caller had in memory; items are (input, target).

    Args:
        path: Where `Held.save` put it.
    """

    def __init__(self, path: str) -> None:
        self.items: Any = load_object(path)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]
