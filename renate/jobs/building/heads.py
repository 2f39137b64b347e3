"""Models with a head for each task: which head an example is of, and how many there are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from renate.data.batch import Columns, length
from renate.data.model_inputs import PREFIX, TASK
from renate.data.scenarios import Scenario
from renate.errors import ConfigError, DataError, listed
from renate.state.contents import OUTPUTS
from renate.updaters.base import Updater

HEADS = "num_heads"  # the argument of a network that has some
SHOWN = 5


def with_task(
    config: Mapping[str, Any], columns: Columns, scenario: Scenario, index: int
) -> Columns:
    """Return the columns of a chunk with the number of each example's head, `TASK`, where the
    model has heads: that of `data.task_id`, else the chunk's.

    Args:
        config: The job's.
        columns: Of the chunk.
        scenario: That cut them.
        index: The chunk's, from 0.

    Raises:
        ConfigError: Nothing says it, or the model has one head alone.
        DataError: Some data lack the column.
    """
    named = config["data"].get(TASK)
    if HEADS not in config["model"]:
        if named is not None:
            raise ConfigError(
                f"data.task_id={named}: the model has one head for all: model=multi_head has one "
                "for each"
            )
        return columns

    if ids_in(columns) is not None:
        return columns
    if named is not None:
        raise DataError(f"data.task_id={named}: some of the test data have no such column")
    if scenario.chunks > 1:
        return columns | {TASK: torch.full((length(columns),), index)}

    raise ConfigError(
        "model: it has a head for each task, and nothing says which is an example's: data.task_id "
        "names a column of data=files, or the chunks of a scenario are tasks"
    )


def ids_in(columns: Columns) -> Tensor | None:
    """Return which head each example is of, int64 [N], where columns say so."""
    found: Tensor | None = columns.get(TASK, columns.get(f"{PREFIX}{TASK}"))
    return found


def heads_for(
    config: Mapping[str, Any],
    scenario: Scenario,
    new_data: Sequence[Columns],
    tests: Mapping[str, Columns],
    known: int,
) -> dict[str, int]:
    """Return how many heads a model that has some needs, as a fact of the data.

    Args:
        config: The job's.
        scenario: That cut the data.
        new_data: What is trained on, and what is held out of that.
        tests: name -> what is measured on.
        known: Heads that the state has.

    Raises:
        DataError: Ids aren't the numbers of heads, or tests are of others than were trained.
    """
    if config["data"].get(TASK) is None and TASK in new_data[0]:
        return {HEADS: max(known, scenario.chunks)}

    ids = torch.cat([found for part in new_data if (found := ids_in(part)) is not None])
    new = sorted({*numbers_in(ids)} - {*range(known)})
    if new != [*range(known, known + len(new))]:
        raise DataError(
            f"data.task_id: new ids {in_words(new)}: expected {known} for the next task, which "
            f"the {known} heads so far are followed by"
        )

    count = known + len(new)
    check_tasks(tests, count)
    return {HEADS: count}


def check_tasks(tests: Mapping[str, Columns], count: int) -> None:
    """Return if every example that is measured on is of a head that there is: one of no head would
    be answered like any other.

    Args:
        tests: name -> what is measured on.
        count: How many heads there are; 0 for a model without.

    Raises:
        DataError: Some aren't.
    """
    for name, columns in tests.items():
        found = ids_in(columns)
        odd = [] if found is None else [n for n in numbers_in(found) if n >= count]
        if odd:
            raise DataError(
                f"data.test: '{name}' has the ids {in_words(odd)} of tasks, which no head was "
                f"trained for: there are 0 to {count - 1}"
            )


def check_heads(
    config: Mapping[str, Any], node: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Return if a model has as many heads as the data need.

    Raises:
        ConfigError: `model.num_heads` is fewer.
    """
    needed = facts.get(HEADS)
    if needed is not None and node[HEADS] < needed:
        raise ConfigError(
            f"model.num_heads={config['model'][HEADS]}: the tasks are {needed}: give null, or as "
            "many"
        )


def check_trains_heads(config: Mapping[str, Any], updater: Updater) -> None:
    """Return if an updater trains models that have a head for each task, where this is one.

    Raises:
        ConfigError: It doesn't.
    """
    if HEADS in config["model"] and not updater.multi_head:
        raise ConfigError(
            f"model: {type(updater).__name__} doesn't train models with a head for each task; "
            "those that do set `multi_head`, as updater=er, ewc, si, mas, lwf, agem, gem, "
            "fine_tuning and joint"
        )


def sizes_before(
    node: Mapping[str, Any], outputs: int, before: Mapping[str, Any], known: int
) -> dict[str, int]:
    """Return those of a network's sizes that a version had smaller, as they were.

    Args:
        node: The network's config with its sizes.
        outputs: How many the data need.
        before: The config of the version's network.
        known: How many outputs that has.

    Raises:
        ConfigError: There are new labels, and the network doesn't say how many outputs it has.
    """
    smaller = {}
    if known < outputs:
        width = next((name for name in OUTPUTS if name in node), None)
        if width is None:
            raise ConfigError(
                f"model.grow=true: {node['_target_']} has no parameter num_classes, so its head "
                "can't be built larger"
            )
        smaller[width] = known

    heads = heads_of(before)
    if 0 < heads < heads_of(node):
        smaller[HEADS] = heads
    return smaller


def heads_of(node: Mapping[str, Any]) -> int:
    """Return how many heads a version's network has by its config; 0 for one without."""
    found = node.get(HEADS)
    return found if isinstance(found, int) else 0


def numbers_in(ids: Tensor) -> list[int]:
    """Return the ids that there are, each once, in order."""
    return [int(number) for number in torch.unique(ids)]


def in_words(numbers: Iterable[int]) -> str:
    """Return the first of some numbers, for a message."""
    return listed(numbers, SHOWN)
