"""numpy's global generator: a user's code may draw from it, and Syne Tune's domains do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def seed_generator(seed: int | None) -> None:
    """Seed the global generator; None takes the system's entropy."""
    import numpy as np

    np.random.seed(seed)  # noqa: NPY002


def generator_state() -> list[Any]:
    """The global generator's state as text, a tensor and numbers, which a checkpoint can hold."""
    import numpy as np
    import torch

    name, key, *rest = np.random.get_state()  # noqa: NPY002
    return [name, torch.from_numpy(np.asarray(key).astype(np.int64)), *rest]


def set_generator_state(state: list[Any]) -> None:
    """Put the global generator into a state of `generator_state`."""
    import numpy as np

    name, key, *rest = state
    np.random.set_state((name, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002


class OwnState:
    """A state of the global generator that others, who draw from it as well, don't disturb.

    Args:
        seed: Below 2**32.
    """

    def __init__(self, seed: int) -> None:
        import numpy as np

        self._state = np.random.RandomState(seed).get_state()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Within the block the global generator goes on from this state."""
        import numpy as np

        outside = np.random.get_state()  # noqa: NPY002
        np.random.set_state(self._state)  # noqa: NPY002

        try:
            yield
        finally:
            self._state = np.random.get_state()  # noqa: NPY002
            np.random.set_state(outside)  # noqa: NPY002


def legacy_generator(seed: int) -> Any:
    """Return a generator whose draws never change from release to release.

    Args:
        seed: Below 2**32.
    """
    import numpy as np

    return np.random.RandomState(seed)
