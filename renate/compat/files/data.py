"""A config file's data module as a source."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from renate.build import build
from renate.compat.data.data_module import RenateDataModule
from renate.compat.data.items import refuse_collate, table_of
from renate.compat.files.load_served import load_served
from renate.compat.files.module import ConfigFile, Node
from renate.compat.files.parts import ModelFn, Transform
from renate.compat.files.served import ServedPart, is_random, served
from renate.compat.names.defaults import TASK_ID
from renate.data.base import Data, Known, Source
from renate.data.items.tensors import UnlikeError
from renate.data.kept.raw import take
from renate.data.kept.reading import check_test_size
from renate.data.kept.split import Split
from renate.data.model_inputs import ModelInputs, mapping_of, named_columns
from renate.data.table import Readable, Table, check, targets_of
from renate.errors import ConfigError, DataError
from renate.problems.base import Problem
from renate.seeds import derive

CLASSIFICATION = {"_target_": "renate.problems.classification.Classification"}
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
        workers: Processes that read items which can't be columns: of several shapes, or random.
        chunks: How many there must be, each with test data; None is any number.
    """

    config_file: Node | None
    data_path: str
    chunk_id: int | None
    module_seed: int
    model: str | None
    test_size: float
    val_size: float | None  # type: ignore[assignment]
    workers: int = 0  # not given by configs of before
    chunks: int | None = None  # nor this
    parts: dict[str, Table | ServedPart] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.val_size is not None:
            raise ConfigError(
                f"data.val_size={self.val_size}: the data module says what it holds out, by the "
                "val_size that data_module_fn gives it"
            )
        if self.workers < 0:
            raise ConfigError(f"data.workers={self.workers}: expected 0 or more")

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
            DataError: Items that `table` refuses.
        """
        parts = self._read_parts()
        tables = {name: part for name, part in parts.items() if isinstance(part, Table)}
        assert len(tables) == len(parts), "parts that are served have a `load` of their own"
        tests = {name: part for name, part in tables.items() if name not in ("train", "val")}
        if not tests and "val" in tables:
            tests = {"test": tables["val"]}
        if tests:
            return tables["train"], tests

        check_test_size(None, self.test_size)
        return tables["train"], self.test_size

    def _read_parts(self) -> dict[str, Table | ServedPart]:
        if self.parts is None:
            self.parts = self._parts()
        return self.parts

    def _parts(self) -> dict[str, Table | ServedPart]:
        module = self._module()
        found = {"train": module.train_data(), "val": module.val_data()}
        test: Any = module.test_data()
        self._check_chunks(test)
        if isinstance(test, list | tuple):  # a scenario's, of each chunk
            found |= {f"chunk_{number}": items for number, items in enumerate(test)}
        else:
            found["test"] = test

        asked = {name: items for name, items in found.items() if items is not None}
        random = [name for name, items in asked.items() if is_random(items)]
        try:
            if not random:
                return {name: table_of(items, f"data.{name}") for name, items in asked.items()}
        except UnlikeError:
            pass

        return {
            name: served(items, f"data.{name}", workers=self.workers, random=name in random)
            for name, items in asked.items()
        }

    def _check_chunks(self, test: Any) -> None:
        """Raise where an experiment would find, after some updates, that there are no more."""
        there = 0
        if isinstance(test, list | tuple):
            there = len(test)
        if self.chunks is not None and there < self.chunks:
            raise ConfigError(
                f"num_updates={self.chunks}: the data module has no test data of chunk_{there}: "
                "data_module_fn must return a scenario of at least as many chunks"
            )

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
        for part in ("train", "val", "test"):
            name = f"{part}_collate_fn"
            refuse_collate(f"{type(made).__name__}.{name}", getattr(made, name)())

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
        parts = self._read_parts()
        if known is None and self.model == MODEL:
            problem = self._problem_of_the_model(problem)
        if isinstance(parts["train"], ServedPart):
            check_test_size(None, self.test_size)
            return load_served(
                parts,
                test_size=self.test_size,
                seed=seed,
                known=known,
                problem=problem,
                training=training,
            )

        _, tests = self.read()
        if known is not None and known.split is None and not isinstance(tests, float):
            # Renate kept none: its data modules say themselves what is held out
            known = replace(known, split=Split(0.0, 0.0, 0.0, derive(seed, "validation")))

        data = super().load(seed=seed, known=known, problem=problem, training=training)
        held = parts.get("val")
        if isinstance(held, Table):
            check(held, "data.val")
            encoded = data.problem.encode(targets_of(held, "data.val"))
            data.val = named_columns(held.inputs) | {"targets": torch.from_numpy(encoded)}

        if parts.keys() <= {"train", "val"}:
            where = "held-out training data"
            if "val" in parts:
                where = "the validation data"

            data.notes.append(f"the data module has no test data: test_… is measured on {where}")

        return data

    def _problem_of_the_model(self, problem: Problem | None) -> Problem | None:
        """Classes that are the numbers of the model's outputs, where targets are whole numbers."""
        train = self._read_parts()["train"]
        targets = train.targets
        whole = targets.ndim == 1 and targets.dtype.kind in "iu"
        if not whole or (problem is not None and problem.name != "classification"):
            return problem

        rows = train.sample if isinstance(train, ServedPart) else train
        outputs = self._outputs(take(rows.inputs, torch.arange(min(2, len(targets)))))
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
