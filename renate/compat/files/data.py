"""A config file's data module as a source."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from renate.build import build
from renate.compat.data.data_module import RenateDataModule
from renate.compat.data.items import table_of
from renate.compat.files.module import ConfigFile, Node
from renate.compat.files.parts import ModelFn, Transform
from renate.compat.names.defaults import TASK_ID
from renate.data.base import Data, Known, Source
from renate.data.kept.raw import take
from renate.data.kept.reading import check_test_size
from renate.data.kept.split import Split
from renate.data.model_inputs import ModelInputs, mapping_of, named_columns
from renate.data.table import Readable, Table, check, targets_of
from renate.errors import ConfigError, DataError
from renate.problems.base import Problem
from renate.seeds import derive

CLASSIFICATION = {"_target_": "renate.problems.classification.Classification"}
LOOKED_AT = 20  # items that are read twice, to see whether they are the same each time
MODEL = f"{ModelFn.__module__}.{ModelFn.__qualname__}"


@dataclass(kw_only=True)
class DataModuleFn(Source):
    """The data sets of what `data_module_fn` returns, read once into columns.

    Args:
        config_file: See `ConfigFile`.
        data_path: Passed on to the function.
        chunk_id: Passed on, where the function takes it.
        module_seed: Passed on as `seed`.
        model: The class of the model. Where it is the file's own, targets are the numbers of its
            outputs, and there are as many labels as it has.
        test_size: The fraction that is held out where the module has no test data.
    """

    config_file: Node | None
    data_path: str
    chunk_id: int | None
    module_seed: int
    model: str | None
    test_size: float
    val_size: float | None  # type: ignore[assignment]
    parts: dict[str, Table] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.val_size is not None:
            raise ConfigError(
                f"data.val_size={self.val_size}: the data module says what it holds out, by the "
                "val_size that data_module_fn gives it"
            )
        self.val_size = 0.0
        super().__post_init__()
        self.file = ConfigFile(self.config_file)
        takes = self.file.description.functions["data_module_fn"]
        # 0 is what scripts pass whether or not there are chunks
        if self.chunk_id and "chunk_id" not in takes:
            raise ConfigError(
                f"data.chunk_id={self.chunk_id}: data_module_fn of "
                f"{self.file.description.path} takes no chunk_id, so every chunk would be the same"
            )

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read training, validation and test data, once.

        Validation data are measured on where there are no test data.

        Raises:
            DataError: Items that `table` refuses, or that differ each time they are read.
        """
        if self.parts is None:
            self.parts = self._parts()

        tests = {name: part for name, part in self.parts.items() if name not in ("train", "val")}
        if not tests and "val" in self.parts:
            tests = {"test": self.parts["val"]}
        if tests:
            return self.parts["train"], tests

        check_test_size(None, self.test_size)
        return self.parts["train"], self.test_size

    def _parts(self) -> dict[str, Table]:
        module = self._module()
        found = {"train": module.train_data(), "val": module.val_data()}
        test: Any = module.test_data()
        if isinstance(test, list | tuple):  # a scenario's, of each chunk
            found |= {f"chunk_{number}": items for number, items in enumerate(test)}
        else:
            found["test"] = test

        return {
            name: _read(items, f"data.{name}") for name, items in found.items() if items is not None
        }

    def _module(self) -> RenateDataModule:
        made = self.file.call(
            "data_module_fn",
            data_path=self.data_path,
            chunk_id=self.chunk_id,
            seed=self.module_seed,
        )
        if not isinstance(made, RenateDataModule):
            raise ConfigError(
                f"config_file={self.file.description.path}: data_module_fn returned a "
                f"{type(made).__name__}, expected a RenateDataModule"
            )

        made.prepare_data()
        made.setup()

        return made

    def load(
        self,
        *,
        seed: int,
        known: Known | None = None,
        problem: Problem | None = None,
        training: bool = True,
    ) -> Data:
        """Read, check and encode; validation data are the module's own.

        Raises:
            DataError: See `Source.load`.
        """
        if known is None and self.model == MODEL:
            problem = self._problem_of_the_model(problem)

        _, tests = self.read()
        if known is not None and known.split is None and not isinstance(tests, float):
            # Renate kept none: its data modules say themselves what is held out
            known = replace(known, split=Split(0.0, 0.0, 0.0, derive(seed, "validation")))

        data = super().load(seed=seed, known=known, problem=problem, training=training)
        assert self.parts is not None
        if "val" in self.parts:
            held = self.parts["val"]
            check(held, "data.val")
            encoded = data.problem.encode(targets_of(held, "data.val"))
            data.val = named_columns(held.inputs) | {"targets": torch.from_numpy(encoded)}

        if self.parts.keys() <= {"train", "val"}:
            where = "held-out training data"
            if "val" in self.parts:
                where = "the validation data"

            data.notes.append(f"the data module has no test data: test_… is measured on {where}")

        return data

    def _problem_of_the_model(self, problem: Problem | None) -> Problem | None:
        """Classes that are the numbers of the model's outputs, where targets are whole numbers."""
        train = Table(*self.read()[0])
        targets = train.targets
        whole = targets.ndim == 1 and targets.dtype.kind in "iu"
        if not whole or (problem is not None and problem.name != "classification"):
            return problem

        outputs = self._outputs(take(train.inputs, torch.arange(min(2, len(targets)))))
        least = int(targets.min())
        most = int(targets.max())
        if least < 0 or most >= outputs:
            raise DataError(
                f"data.train: targets from {least} to {most}, the model of model_fn has {outputs} "
                f"outputs: expected numbers from 0 to {outputs - 1}"
            )

        made: Problem = build(CLASSIFICATION, "problem") if problem is None else problem
        made.labels = list(range(outputs))

        return made

    def _outputs(self, inputs: Any) -> int:
        columns = named_columns(inputs)
        batch: ModelInputs
        if "inputs" in columns:
            batch = columns["inputs"]
        else:
            batch = mapping_of(columns, torch.device("cpu"))

        transform = Transform(self.config_file, part="test", targets=False)
        model = ModelFn(self.config_file, TASK_ID).eval()
        with torch.no_grad():
            outputs = model(transform(batch))

        if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2:
            found = list(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs)
            raise ConfigError(f"model_fn: its model gives {found}, expected outputs [B, K]")

        return int(outputs.shape[1])


def _read(items: Any, key: str) -> Table:
    """Read a data set.

    Raises:
        DataError: Its items are random.
    """
    for row in range(min(LOOKED_AT, len(items) if hasattr(items, "__len__") else 0)):
        first = items[row]
        second = items[row]
        same = isinstance(first, tuple | list) and _equal(first[0], second[0])
        if isinstance(first, tuple | list) and not same:
            raise DataError(
                f"{key}: item {row} is another one each time it is read: what is random belongs "
                "into train_transform, which is applied anew in each epoch"
            )

    return table_of(items, key)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))
    try:
        return bool(torch.equal(torch.as_tensor(one), torch.as_tensor(other)))
    except (TypeError, ValueError, RuntimeError):
        return True  # an image, say: `table` reads it once more and says what is wrong with it
