"""The global generators, which serve weights, dropout, random transforms, and a user's own code."""

import random
from collections.abc import Mapping
from typing import Any

import torch

from renate.libraries.numpy import generator_state, seed_generator, set_generator_state


def seed_everything(seed: int, trainer: Mapping[str, Any]) -> None:
    """Seed the global generators, and let operations be deterministic where a trainer asks for it.

    Args:
        seed: Of any size.
        trainer: Settings of the config's group `trainer`.
    """
    random.seed(seed)
    seed_generator(seed % 2**32)
    torch.manual_seed(seed)
    if trainer["deterministic"]:
        torch.use_deterministic_algorithms(True)


def generators() -> dict[str, Any]:
    """The state of every global generator, as tensors, numbers, text and lists of them."""
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": generator_state(),
        "python": [*random.getstate()],
    }


def set_generators(saved: Mapping[str, Any]) -> None:
    """Put every global generator into the state that `generators` returned."""
    torch.set_rng_state(saved["torch"])
    if saved["cuda"]:
        torch.cuda.set_rng_state_all(saved["cuda"])

    set_generator_state(saved["numpy"])

    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
