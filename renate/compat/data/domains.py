"""Renate's data modules of several domains, and the scenario that goes through them."""

from abc import ABC
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Dataset

from renate.compat.data.data_module import RenateDataModule
from renate.compat.data.scenarios import Scenario
from renate.errors import ConfigError

DataId = int | str


class DataIncrementalDataModule(RenateDataModule, ABC):
    """A data module whose `setup` reads the domain that `data_id` names.

    Args:
        data_path: Where the data are, or are to be put.
        data_id: The domain; it may be set to another one before `setup`.
        src_bucket: See `RenateDataModule`.
        src_object_name: See `RenateDataModule`.
        val_size: See `RenateDataModule`.
        seed: See `RenateDataModule`.
    """

    def __init__(
        self,
        data_path: Path | str,
        data_id: DataId,
        src_bucket: str | None = None,
        src_object_name: str | None = None,
        val_size: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(data_path, src_bucket, src_object_name, val_size, seed)
        self.data_id = data_id


class DataIncrementalScenario(Scenario):
    """Each chunk is a domain, or several; so are its test data.

    Args:
        data_module: Of the domains.
        chunk_id: Which chunk.
        data_ids: The domain of each chunk.
        groupings: The domains of each chunk.
        seed: Of nothing here; for the sake of those who pass it.
    """

    def __init__(
        self,
        data_module: RenateDataModule,
        chunk_id: int,
        data_ids: Sequence[DataId] | None = None,
        groupings: Sequence[Sequence[DataId]] | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(data_module, DataIncrementalDataModule):
            raise ConfigError(
                f"DataIncrementalScenario: {type(data_module).__name__} has no domains: expected a "
                "DataIncrementalDataModule"
            )
        if (data_ids is None) == (groupings is None):
            raise ConfigError("DataIncrementalScenario: give either data_ids or groupings")

        groups: list[list[DataId]] = [list(group) for group in groupings or []]
        if data_ids is not None:
            groups = [[data_id] for data_id in data_ids]
        if not groups or not all(groups):
            raise ConfigError(f"DataIncrementalScenario: {groups}: expected a domain or more each")

        super().__init__(data_module, len(groups), chunk_id, seed)
        self._domains = data_module
        self._groupings = groups

    def prepare_data(self) -> None:
        """Download every domain, if need be."""
        for data_id in dict.fromkeys(each for group in self._groupings for each in group):
            self._domains.data_id = data_id
            self._domains.prepare_data()

    def setup(self) -> None:
        """Read the chunk's domains, and the test data of all."""
        self._tests = []
        for chunk, group in enumerate(self._groupings):
            parts = [self._of_domain(data_id) for data_id in group]
            if chunk == self._chunk_id:
                self._train_data = _joined([train for train, _, _ in parts])
                held = [val for _, val, _ in parts if val is not None]
                self._val_data = _joined(held) if held else None

            tests = [test for _, _, test in parts if test is not None]
            if tests:
                self._tests.append(_joined(tests))

        if self._tests and len(self._tests) != len(self._groupings):
            raise ConfigError("DataIncrementalScenario: some chunks have test data, others none")

    def _of_domain(self, data_id: DataId) -> tuple[Any, Any, Any]:
        module = self._domains
        module.data_id = data_id
        module.setup()
        return module.train_data(), module.val_data(), module.test_data()

    def cut(self, items: Dataset[Any], chunk: int, part: str) -> Dataset[Any]:
        """Return the items: a domain is read as it is."""
        return items


def _joined(parts: Sequence[Dataset[Any]]) -> Dataset[Any]:
    if len(parts) == 1:
        return parts[0]
    return ConcatDataset(parts)
