"""What each updater begins with where `step_time.py` times its steps: as after an update before."""

from typing import Any

import torch
from torch import nn

from renate.data.batch import Columns
from renate.updaters.base import Updater

CAPACITY = 500
# Whose steps have a batch of past examples, as large as that of new ones
REPLAYS = (
    *("er", "er_ace", "der", "derpp", "cls_er", "agem"),
    *("weighted_er", "weighted_derpp", "offline_er", "fdr"),
    *("mir", "gss", "pod_er", "super_er", "x_der", "l2p_replay"),
)
# Whose memory is filled after an update, and so has something from the beginning of the next
FILLED = ("agem", "gem", "offline_er", "fdr", "x_der")
# Whose memory is trained on in place of the new data, and so holds all of it
TRAINED_ON = ("repeated_distillation",)
# What copies skip by chance would be a second thing to record
ARGUMENTS: dict[str, dict[str, float]] = {
    "der": {"alpha": 0.3},
    "derpp": {"alpha": 0.3, "beta": 0.5},
    # With a margin a step is no continuous function of the gradients, and rounding decides
    "gem": {"margin": 0.0},
    "cls_er": {"plastic_frequency": 1.0, "stable_frequency": 1.0},
    "super_er": {"cls.plastic_frequency": 1.0, "cls.stable_frequency": 1.0},
    "repeated_distillation": {"expert_epochs": 1},
}
# Networks that an updater's floor knows, where it doesn't know all
ONLY_ON = {
    **dict.fromkeys(("lora", "o_lora"), ("mlp",)),
    **dict.fromkeys(("l2p", "l2p_replay", "s_prompts", "dualprompt", "coda_prompt"), ("vit",)),
}
# Those whose steps are many times as long take as many fewer of them
SHARE_OF_STEPS = {"ranpac": 0.1, "gss": 0.2}


def candidates(size: int) -> int:
    """Return how many past examples MIR looks at beside a batch: of the paper's 50 for 10 less,
    for a draw shouldn't have most of the memory.
    """
    return 2 * size


def draw_of(updater: str, size: int) -> int:
    """Return how many past examples a draw has, beside batches of a size."""
    return candidates(size) if updater == "mir" else size


def capacity_of(updater: str, rows: int) -> int:
    """Return how many examples a memory keeps, beside so many new ones."""
    return rows if updater in TRAINED_ON else CAPACITY


def options_of(updater: str, size: int, rows: int) -> list[str]:
    """Return the options of an updater and its memory, for batches of a size."""
    arguments = dict(ARGUMENTS.get(updater, {}))
    if updater in REPLAYS:
        arguments["replay_batch_size"] = size
    if updater == "mir":
        arguments["candidates"] = candidates(size)

    options = [f"updater.{key}={value}" for key, value in arguments.items()]
    if updater != "joint":
        options.append(f"memory.capacity={capacity_of(updater, rows)}")
    return options


def targets_of(updater: str, targets: torch.Tensor) -> torch.Tensor:
    """Return the classes of the new data, of 0 to 9, [N]: some updaters tell updates apart."""
    if updater == "icarl":  # its teacher answers for classes that the new data haven't
        return 5 + targets % 5
    if updater == "x_der":  # which needs classes of before, of now, and of later
        return 4 + targets % 3
    return targets


def second_update(name: str, made: Updater, model: nn.Module, columns: Columns) -> Columns:
    """Let an updater begin as where there was an update before: a teacher, past examples.

    Returns:
        What is trained on.
    """
    made.setup(model)
    if hasattr(made, "seen") and made.seen.ndim:
        made.seen[:5] = True
    if name in FILLED:
        made.memory.add_columns(past_of(name, columns))
    if name == "x_der":
        groups: Any = made.groups
        groups.take_over(torch.arange(10) < 4)

    torch.manual_seed(1)
    asked = made.start(model, columns)
    # Others than these would train on fewer rows, or on more: their steps are the same
    if asked is not None and (name in TRAINED_ON or "place" in asked):
        return asked
    return columns


def past_of(name: str, columns: Columns) -> Columns:
    """Return the past examples of an updater that keeps them after a fit."""
    past = {name: column[:CAPACITY] for name, column in columns.items()}
    count = len(past["targets"])
    if name == "gem":
        past["update"] = torch.zeros(count, dtype=torch.int64)
    if name in ("fdr", "x_der"):
        past["logits"] = torch.randn(count, 10, generator=torch.Generator().manual_seed(2))
    if name == "x_der":
        past["targets"] = past["targets"] % 4
    return past
