"""Reading what Renate pickled: as tensors and plain values where that is all there is."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from renate.errors import StateError
from renate.libraries.torch import load_tensors

Say = Callable[[str], None]


def read_file(path: Path, say: Say) -> Any:
    """Read a file that torch wrote.

    Args:
        path: The file.
        say: Is told where its pickle had to be run as code.

    Raises:
        StateError: There is none, or it is damaged or another kind of file.
    """
    if not path.is_file():
        raise StateError(f"{path}: no such file: is this a folder that Renate 0.5 wrote?")

    try:
        return load_tensors(path)
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error):
            raise _damaged(path, error) from error
    except Exception as error:  # torch raises anything at a damaged file
        raise _damaged(path, error) from error

    say(f"{path}: holds more than tensors and plain values: its pickle was run as code")
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever the code in it raises
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StateError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return StateError(f"{path}: damaged, or no file that Renate 0.5 wrote: {reason}")


# Classes that Renate's ResNets were given as arguments: read as their names.
NAMED = {
    ("torchvision.models.resnet", "BasicBlock"),
    ("torchvision.models.resnet", "Bottleneck"),
    ("torch.nn.modules.batchnorm", "BatchNorm2d"),
}


class _Plain(pickle.Unpickler):
    """Knows no classes: whatever isn't built in is refused, or is its name."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the name of a class that is known by it.

        Raises:
            UnpicklingError: Any other.
        """
        if (module, name) in NAMED:
            return name
        raise pickle.UnpicklingError(f"{module}.{name}")


def read_bytes(raw: bytes, where: str, say: Say) -> Any:
    """Read a pickle within a file.

    Args:
        raw: Its bytes.
        where: For messages.
        say: Is told where it had to be run as code.

    Raises:
        StateError: It is damaged.
    """
    try:
        return _Plain(io.BytesIO(raw)).load()
    except pickle.UnpicklingError as error:
        needed = str(error)
    except Exception as error:  # damaged bytes raise anything
        raise StateError(f"{where}: a damaged pickle: {error}") from error

    say(f"{where}: holds {needed}: its pickle was run as code")
    try:
        return pickle.loads(raw)
    except Exception as error:  # whatever the code in it raises
        raise StateError(f"{where}: a damaged pickle: {error}") from error
