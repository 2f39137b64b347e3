"""Objects of the calling process on their way into a job: `renate.run(model=…, data=…)`.

They travel as pickles inside the user's own run directory and never enter a state.
"""

import hashlib
from pathlib import Path
from typing import Any

import cloudpickle
from torch import Tensor, nn
from torch.utils.data import Dataset


def save(thing: Any, folder: Path) -> Path:
    """Write an object under the hash of its content, which thereby is part of the job's identity."""
    data = cloudpickle.dumps(thing)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.pkl"
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
    return path.absolute()


class LiveModel(nn.Module):
    """A module that the caller had in memory.

    Args:
        path: Where `save` put it.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.net: nn.Module = cloudpickle.loads(Path(path).read_bytes())

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.net(inputs)
        return logits


class LiveDataset(Dataset[Any]):
    """A data set that the caller had in memory; items are (input, target).

    Args:
        path: Where `save` put it.
    """

    def __init__(self, path: str) -> None:
        self.items: Any = cloudpickle.loads(Path(path).read_bytes())

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]
