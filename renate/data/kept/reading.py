"""What a source has read, on its way to columns: checked, its targets learned and encoded."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.batch import WEIGHTS, Columns, length
from renate.data.kept.encoders import Encoder, target_of
from renate.data.kept.hashing import Hashes
from renate.data.kept.inputs import Inputs, compare, scales
from renate.data.kept.raw import check_storable, hash_inputs, rows_in
from renate.data.mapped.rows import Scratch, select_rows
from renate.data.model_inputs import TASK, named_columns
from renate.data.table import (
    File,
    Readable,
    Table,
    check,
    described,
    order_of,
    place_of,
    targets_of,
)
from renate.data.tables.encoding.cells import CellError
from renate.data.tables.targets import as_column, as_target
from renate.errors import ConfigError, DataError, and_more
from renate.problems.auto import doubt_about, problem_for
from renate.problems.base import Label, Problem, Targets
from renate.seeds import derive


def problem_of(
    targets: Targets, known: Problem | None, asked: Problem | None
) -> tuple[Problem, list[Label], list[str]]:
    """The problem with all that the targets teach it, its labels that are new, and what to say."""
    notes = []
    if known is not None:
        problem = copy(known)
    elif asked is not None:
        problem = asked
    else:
        problem = problem_for(targets)
        if problem.name != "classification":
            notes.append(
                f"{targets.where}: problem={problem.name}, read off the target; "
                "problem=… says otherwise"
            )
        elif doubt := doubt_about(targets):
            notes.append(doubt)

    return problem, problem.fit(targets), notes


def table_of(raw: Readable, key: str) -> Table:
    """What `read` returned, its targets an array, of as many as there are inputs.

    Raises:
        DataError: They can't be, or aren't as many.
    """
    table = Table(*raw)
    targets = table.targets
    if not isinstance(targets, np.ndarray):
        listed = [as_target(each, f"{key}: item {row}") for row, each in enumerate(targets)]
        if not listed:
            raise DataError(f"{key} has no examples")
        targets = as_column(listed, key)

    count = rows_in(table.inputs, key)
    if count != len(targets):
        raise DataError(f"{key}: {count} inputs for {len(targets)} targets")

    return table._replace(targets=targets)


def storable(table: Table, encoder: Encoder | None, key: str) -> Table:
    """A table whose inputs are tensors, encoded where the source says how."""
    inputs = table.inputs
    who = key
    columns = table.columns
    if encoder is not None:
        try:
            inputs = encoder.encode(inputs)
        except CellError as error:
            place = place_of(table, error.row)
            if place is None:
                raise
            raise error.at(*place) from error

        who = f"{key}: {target_of(encoder)}.encode"
        columns = encoder.vector_columns or columns

    stored = check_storable(inputs, len(table.targets), who)
    return table._replace(inputs=stored, columns=columns)


def tests_of(raw: Mapping[str, Readable] | float | None) -> tuple[float, dict[str, Table]]:
    """The share to hold out, or name -> test table, the other one empty; None gives neither.

    Raises:
        DataError: Neither.
    """
    if raw is None:
        return 0.0, {}
    if isinstance(raw, int | float):
        if not raw:
            raise DataError("data.test names nothing to measure on: give a test set, or null")
        return float(raw), {}

    tests = {name: table_of(table, key_of(name)) for name, table in raw.items()}
    if not tests:
        raise DataError("data.test names nothing to measure on: give a test set, or null")

    return 0.0, tests


def columns_of(table: Table, problem: Problem, key: str) -> Columns:
    """Return what is trained or measured on: inputs, and targets as the problem encodes them."""
    columns = named_columns(table.inputs) | {
        "targets": torch.from_numpy(problem.encode(targets_of(table, key))),
    }
    if table.weights is not None:
        columns[WEIGHTS] = torch.from_numpy(table.weights)
    if table.tasks is not None:
        columns[TASK] = torch.from_numpy(table.tasks)

    return columns


def part_of(columns: Columns, rows: Tensor, scratch: Scratch | None) -> Columns:
    """The rows; all of them without a copy, as they may be mapped from a file.

    Args:
        columns: Of all rows.
        rows: int64 [n].
        scratch: Where rows go that are too large for memory; None has no bound.
    """
    if len(rows) == length(columns):
        return columns
    return select_rows(columns, rows, scratch)


def key_of(name: str) -> str:
    """Return the config key of a test set of that name."""
    return "data.test" if name == "test" else f"data.test.{name}"


def role_of(name: str) -> str:
    """Return how a lineage names a test set."""
    return "test" if name == "test" else f"test {name}"


def shared(tests: Mapping[str, Table], train: Table, hashes: Hashes, rows: Tensor) -> list[str]:
    """A line for each test set that holds examples which are trained on.

    Args:
        tests: name -> test set.
        train: All training examples.
        hashes: Theirs, [N].
        rows: Which of them are trained on.
    """
    notes = []
    if tests and train.identity is not None:  # test data may lack its columns
        hashes = hash_inputs(train.inputs, "data.train", order_of(train))

    trained = hashes[rows.numpy()]
    for name, table in tests.items():
        hashes = hash_inputs(table.inputs, key_of(name), order_of(table))
        count = int(np.isin(hashes, trained).sum())
        if count:
            notes.append(
                f"{key_of(name)}: {count} of its {len(hashes)} examples are also trained on"
            )

    return notes


def checked(
    train: Table,
    tests: Mapping[str, Table],
    encoder: Encoder | None,
    known: Inputs | None,
) -> tuple[Table, dict[str, Table], Inputs, list[str]]:
    """Return the tables with their inputs encoded, as they can be stored; what those are, held
    against the state's; and what to say.

    Args:
        train: The training table.
        tests: name -> test table.
        encoder: The source's; None where inputs are tensors already.
        known: The state's inputs; None at a first update.

    Raises:
        DataError: Inputs that can't be stored, aren't finite, or are of another kind.
    """
    stored_train = storable(train, encoder, "data.train")
    inputs, notes = _inputs(stored_train, known)
    if encoder is not None:
        notes += [f"data.train: {encoder.shortened}"] if encoder.shortened else []
        notes += encoder.summary() if known is None else _remarks(encoder, train, "data.train")

    stored: dict[str, Table] = {}
    for name, table in tests.items():
        key = key_of(name)
        stored[name] = storable(table, encoder, key)
        notes += _check_test(stored[name], inputs, key)
        if encoder is not None:
            notes += _remarks(encoder, table, key)

    return stored_train, stored, inputs, notes


def _remarks(encoder: Encoder, table: Table, key: str) -> list[str]:
    """A line of what wasn't there when the encoder was fitted, if there is anything."""
    found = encoder.remarks(table.inputs)
    if not found:
        return []

    more = and_more(len(found) - 1, "columns")
    return [f"{key}: {found[0]}{more}"]


def _inputs(train: Table, known: Inputs | None) -> tuple[Inputs, list[str]]:
    """What the training data's inputs are, checked against the state's, and what to say
    about them.
    """
    check(train, "data.train")
    seen = described(train)
    if known is None:
        return seen, list(train.notes)

    compare(seen, known, "data.train", "the state")
    notes = [*train.notes, *scales(seen, known, "data.train")]
    if known.named != seen.named:
        notes.append(
            "data.train: the inputs of the state have other names than these, "
            f"which are matched by position: {', '.join(known.names[:5])}"
        )

    return seen, notes


def _check_test(table: Table, inputs: Inputs, key: str) -> list[str]:
    check(table, key)
    seen = described(table)
    origin = "data.train"
    compare(seen, inputs, key, origin)
    return [*table.notes, *scales(seen, inputs, key)]


def limited(rows: Tensor, limit: int | None, seed: int) -> Tensor:
    """Return `limit` of the training rows, int64 [n], drawn by the seed."""
    if limit is None or limit >= len(rows):
        return rows
    generator = torch.Generator().manual_seed(derive(seed, "split"))
    order = torch.randperm(len(rows), generator=generator)[:limit]
    return rows[order.sort().values]


def check_test_size(test: object, fraction: float) -> None:
    """Check the fraction to hold out, which counts only where there is no test data.

    Raises:
        ConfigError: A fraction that isn't one.
    """
    if test is None and not 0 < fraction < 1:
        raise ConfigError(
            f"data.test_size={fraction}: expected a fraction between 0 and 1, or give data.test"
        )


def named_tests(test: Any) -> dict[str, Any]:
    """Return what is measured on, name -> data; of one without a name as `test`."""
    if test is None:
        return {}
    if isinstance(test, Mapping):
        return {str(name): part for name, part in test.items()}
    return {"test": test}


def files_of(train: Table, tests: Mapping[str, Table]) -> dict[str, tuple[File, ...]]:
    """What each part was read from, by its role."""
    return {"train": train.files, **{role_of(name): each.files for name, each in tests.items()}}


def check_each(train: Table, tests: Mapping[str, Table]) -> None:
    """Return if all of what was read has examples, and as many targets as inputs.

    Raises:
        DataError: See `renate.data.table.check`.
    """
    check(train, "data.train")
    for name, table in tests.items():
        check(table, key_of(name))
