"""A config file's data module whose data sets are served item by item."""

from collections.abc import Mapping

import torch

from renate.compat.files.served import ServedPart
from renate.data.base import Data, Known
from renate.data.batch import Columns
from renate.data.kept.inputs import compare, widened
from renate.data.kept.reading import key_of, problem_of
from renate.data.kept.split import Split
from renate.data.table import Table, described
from renate.errors import DataError
from renate.problems.base import Problem, Targets
from renate.seeds import derive


def load_served(
    parts: Mapping[str, ServedPart | Table],
    *,
    seed: int,
    known: Known | None,
    problem: Problem | None,
) -> Data:
    """Return the data of a module whose inputs stay unread; nothing is held out of them.

    Args:
        parts: `train`, perhaps `val`, and the tests by name.
        seed: Of what the next version keeps of the split, which is none.
        known: All that the state knows; None at a first update.
        problem: What is predicted at a first update; None reads it off the targets.

    Raises:
        DataError: There is nothing to measure on, or inputs are of another kind than the state's.
    """
    found = {name: part for name, part in parts.items() if isinstance(part, ServedPart)}
    tests = {name: part for name, part in found.items() if name not in ("train", "val")}
    notes = []
    if not tests and "val" in found:
        tests = {"test": found["val"]}
        notes.append("the data module has no test data: test_… is measured on the validation data")
    if not tests:
        raise DataError(
            f"data.train: {found['train'].why} can't be held out by what they hold: let the data "
            "module give test data, or validation data by its val_size"
        )

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
    val = None
    if "val" in found:
        val = _columns(found["val"], fitted, "data.val")

    split = Split(0.0, 0.0, 0.0, derive(seed, "validation"))
    if known is not None and known.split is not None:
        split = known.split

    return Data(
        train=_columns(train, fitted, "data.train"),
        val=val,
        test={name: _columns(part, fitted, key_of(name)) for name, part in tests.items()},
        problem=fitted,
        new_labels=new,
        inputs=widened(known_inputs, inputs) if known_inputs is not None else inputs,
        split=split,
        notes=notes,
    )


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
