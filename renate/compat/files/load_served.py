"""A config file's data module whose data sets are served item by item."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from renate.compat.files.served import ServedPart
from renate.data.base import Data, Known
from renate.data.batch import Columns, select
from renate.data.kept.inputs import compare, widened
from renate.data.kept.reading import key_of, problem_of
from renate.data.kept.sides import Shares, split_of
from renate.data.kept.split import TEST, TRAIN, Split
from renate.data.table import Table, described
from renate.errors import DataError
from renate.problems.base import Label, Problem, Targets
from renate.seeds import derive


def load_served(
    parts: Mapping[str, ServedPart | Table],
    *,
    test_size: float,
    seed: int,
    known: Known | None,
    problem: Problem | None,
    training: bool,
) -> Data:
    """Return the data of a module whose inputs stay unread.

    Args:
        parts: `train`, perhaps `val`, and the tests by name.
        test_size: The fraction that is held out where there is neither `val` nor a test.
        seed: Of what the next version keeps of the split.
        known: All that the state knows; None at a first update.
        problem: What is predicted at a first update; None reads it off the targets.
        training: Whether the training data will be trained on.

    Raises:
        DataError: There is nothing to measure on, or inputs are of another kind than the state's.
    """
    found = {name: part for name, part in parts.items() if isinstance(part, ServedPart)}
    tests = {name: part for name, part in found.items() if name not in ("train", "val")}
    notes = []
    if not tests and "val" in found:
        tests = {"test": found["val"]}
        notes.append("the data module has no test data: test_… is measured on the validation data")

    train = found["train"]
    inputs = described(train.sample)
    known_inputs = known.inputs if known is not None else None
    if known_inputs is not None:
        compare(inputs, known_inputs, "data.train", "the state")
    for name, part in tests.items():
        compare(described(part.sample), inputs, key_of(name), "data.train")

    fitted, new, said = problem_of(
        Targets(train.targets, "data.train"), known.problem if known else None, problem
    )
    notes += [*said, *_notes(found)]
    split, rows = _split(
        train,
        (fitted, new),
        Shares(0.0 if tests else test_size, 0.0, derive(seed, "validation"), training),
        known,
        notes,
    )

    columns = _columns(train, fitted, "data.train")
    measured = {name: _columns(part, fitted, key_of(name)) for name, part in tests.items()}
    if not tests:
        measured["test"] = select(columns, rows[TEST])
        notes.append(
            "the data module has no test data: test_… is measured on held-out training data"
        )

    return Data(
        train=select(columns, rows[TRAIN]) if rows else columns,
        val=_columns(found["val"], fitted, "data.val") if "val" in found else None,
        test=measured,
        problem=fitted,
        new_labels=new,
        inputs=widened(known_inputs, inputs) if known_inputs is not None else inputs,
        split=split,
        notes=notes,
    )


def _split(
    train: ServedPart,
    learned: tuple[Problem, Sequence[Label]],
    asked: Shares,
    known: Known | None,
    notes: list[str],
) -> tuple[Split, dict[str, Tensor]]:
    """What is held out, and the rows of each side; none where nothing is, or was.

    Args:
        train: The training data.
        learned: The problem, and its new labels.
        asked: What the config says.
        known: All that the state knows.
        notes: Gets what to say.

    Raises:
        DataError: Random items, which have no content that could say on which side they are; or
            see `split_of`.
    """
    before = known.split if known is not None else None
    if not asked.test and (before is None or not before.test):
        return before or Split(0.0, 0.0, 0.0, asked.key), {}
    if train.contents is None:
        raise DataError(
            f"data.train: {train.why} can't be held out by what they hold: let the data "
            "module give test data, or validation data by its val_size"
        )

    table = Table({}, train.targets, identity={"content": train.contents})
    problem, new = learned
    split, _, rows, said = split_of(table, problem, new, asked, before, None, known is None)
    notes += said

    return split, rows


def _notes(parts: Mapping[str, ServedPart]) -> list[str]:
    """What is read when it is needed, and why."""
    workers = parts["train"].inputs.workers
    reading = f"by {workers} processes" if workers else "by the job's own process"
    return [
        f"{part.inputs.key}: {part.why}: each is read when it is needed, {reading}"
        for part in parts.values()
    ]


def _columns(part: ServedPart, problem: Problem, key: str) -> Columns:
    encoded = problem.encode(Targets(part.targets, key))
    return {"inputs": part.inputs, "targets": torch.from_numpy(encoded)}
