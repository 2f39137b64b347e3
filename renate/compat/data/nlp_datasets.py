"""Renate's data module for Hugging Face's text data sets."""

from typing import Any

import torch
from torch.utils.data import Dataset

from renate.build import shipped
from renate.compat.data.data_module import RenateDataModule
from renate.errors import ConfigError, DataError, nearest
from renate.extras import load

SPLITS = ("train", "test")
FIELDS = ("input_ids", "attention_mask")


class TokenizedTexts(Dataset[Any]):
    """Items of ({'input_ids': …, 'attention_mask': …}, target).

    Args:
        rows: A data set of Hugging Face's, tokenized, that gives tensors.
        target_column: The column to predict.
    """

    def __init__(self, rows: Any, target_column: str) -> None:
        self._rows = rows
        self._target_column = target_column

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        item = self._rows[int(index)]
        return {name: item[name] for name in FIELDS if name in item}, item[self._target_column]


class HuggingFaceTextDataModule(RenateDataModule):
    """A text data set with the parts `train` and `test`, tokenized.

    A part `validation` is the validation data; where there is none, `val_size` of the training
    data are.

    Args:
        data_path: Where what the Hub gives is kept.
        tokenizer: Of the package transformers.
        dataset_name: Of the Hub, or a folder with train and test files.
        input_column: The column with the texts.
        target_column: The column to predict.
        tokenizer_kwargs: What the tokenizer is called with besides; None pads and cuts to the
            length in conf/compat/experiments.yaml.
        val_size: See `RenateDataModule`.
        seed: See `RenateDataModule`.
    """

    def __init__(
        self,
        data_path: str,
        tokenizer: Any,
        dataset_name: str = "ag_news",
        input_column: str = "text",
        target_column: str = "label",
        tokenizer_kwargs: dict[str, Any] | None = None,
        val_size: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(data_path, val_size=val_size, seed=seed)
        if not callable(tokenizer):
            raise ConfigError(
                f"tokenizer: a {type(tokenizer).__name__}, expected one of transformers', as "
                "AutoTokenizer.from_pretrained gives it"
            )

        self._tokenizer = tokenizer
        self._dataset_name = dataset_name
        self._input_column = input_column
        self._target_column = target_column
        self._tokenizer_kwargs = tokenizer_kwargs or shipped("compat", "experiments")["tokenizer"]
        self._parts: Any = None

    def prepare_data(self) -> None:
        """Download, if need be.

        Raises:
            DataError: There is no such data set, or it lacks a part or a column.
        """
        if self._parts is None:
            self._parts = self._loaded()

    def setup(self) -> None:
        """Tokenize the parts.

        Raises:
            DataError: See `prepare_data`.
        """
        self.prepare_data()
        self._test_data = self._tokenized("test")
        train = self._tokenized("train")
        if "validation" in self._parts:
            self._train_data = train
            self._val_data = self._tokenized("validation")
        else:
            self._train_data, self._val_data = self._split_train_val_data(train)

    def _loaded(self) -> Any:
        where = f"dataset_name={self._dataset_name}"
        datasets: Any = load("datasets", "hf", where)
        try:
            parts = datasets.load_dataset(self._dataset_name, cache_dir=str(self._data_path))
        except Exception as error:  # of its network, its files: whatever happens there
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"{where}: neither a folder with data nor what the Hub gives ({reason})"
            ) from error

        for split in SPLITS:
            if split not in parts:
                raise DataError(f"{where}: it has no part '{split}' ({', '.join(parts)})")

        columns = list(parts["train"].features)
        for column in (self._input_column, self._target_column):
            if column not in columns:
                raise DataError(
                    f"{where}: it has no column '{column}'{nearest(column, columns)} "
                    f"({', '.join(columns)})"
                )

        return parts

    def _tokenized(self, part: str) -> Dataset[Any]:
        def tokenize(batch: Any) -> Any:
            return self._tokenizer(batch[self._input_column], **self._tokenizer_kwargs)

        rows = self._parts[part].map(tokenize, batched=True)
        names = [name for name in FIELDS if name in rows.features]
        rows.set_format(type="torch", columns=[*names, self._target_column])
        return TokenizedTexts(rows, self._target_column)
