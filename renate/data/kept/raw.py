"""Inputs as a source has them, before they are columns: rows, hashes, and what may be stored."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.kept.hashing import Hashes, hash_rows, mixed
from renate.data.mapped.rows import take_rows
from renate.data.model_inputs import LENGTHS
from renate.data.ragged import Ragged
from renate.errors import DataError
from renate.state.tensors import DTYPES


def rows_in(inputs: Any, where: str) -> int:
    """Return how many examples there are in inputs, whatever they are.

    Raises:
        DataError: They are nothing that has rows, or a mapping of unequally many.
    """
    if isinstance(inputs, Mapping):
        counts = {name: rows_in(column, f"{where}: '{name}'") for name, column in inputs.items()}
        if len(set(counts.values())) != 1:
            raise DataError(f"{where}: its inputs have unequally many rows: {counts}")
        return next(iter(counts.values()))

    # Those of other kinds may not mean places by their numbers, as a pandas Series doesn't
    if not isinstance(inputs, list | tuple | np.ndarray | Tensor | Ragged):
        raise DataError(
            f"{where}: inputs are {type(inputs).__name__}, expected a list, array, tensor or "
            "Ragged with a row per example, or a mapping of such: list(…) may make one"
        )
    return len(inputs)


def take(inputs: Any, rows: Tensor) -> Any:
    """Return some rows, int64 [k], of inputs: a tensor, `Ragged`, array, list, or a mapping of
    such.
    """
    if isinstance(inputs, Mapping):
        return {name: take(column, rows) for name, column in inputs.items()}
    if isinstance(inputs, Tensor | Ragged):
        return take_rows(inputs, rows)
    if isinstance(inputs, np.ndarray):
        return inputs[rows.numpy()]
    return [inputs[row] for row in rows.tolist()]


def hash_inputs(inputs: Any, where: str, names: Sequence[str] = ()) -> Hashes:
    """Return a 64-bit hash of each example's content, as the source has it.

    Args:
        inputs: A tensor, `Ragged`, array, list of texts, numbers or lists, or a mapping of such.
        where: What they are, for messages.
        names: See `hash_rows`.

    Raises:
        DataError: Rows of another kind.
    """
    if isinstance(inputs, Tensor):
        return hash_rows(inputs, names)
    if isinstance(inputs, Mapping):
        total = np.zeros(rows_in(inputs, where), np.uint64)
        for name, column in inputs.items():
            key = np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], "<u8")
            total += mixed(hash_inputs(column, f"{where}: '{name}'") ^ key)
        return total

    if isinstance(inputs, Ragged):
        return _hash_each([np.array(row).tobytes() for row in inputs.list()])
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind == "M":
        inputs = inputs.view(np.int64)
    if isinstance(inputs, np.ndarray) and inputs.dtype != object and inputs.dtype.kind not in "US":
        return hash_rows(torch.from_numpy(np.ascontiguousarray(inputs)))

    if all(type(row) is str or row is None for row in inputs):
        # Of texts that come often each is hashed once
        known = {row: place for place, row in enumerate(dict.fromkeys(inputs))}
        hashes = _hash_each([_bytes_of(row, number, where) for row, number in known.items()])
        return hashes[np.fromiter((known[row] for row in inputs), np.int64, len(inputs))]

    return _hash_each([_bytes_of(row, number, where) for number, row in enumerate(inputs)])


def _hash_each(rows: Sequence[bytes]) -> Hashes:
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, "<u8").copy()


def _bytes_of(row: Any, number: int, where: str) -> bytes:
    if isinstance(row, str):
        return row.encode(errors="surrogatepass")
    if isinstance(row, bytes):
        return row
    if isinstance(row, Tensor | np.ndarray | np.generic):
        row = row.tolist()

    try:
        return json.dumps(row, sort_keys=True).encode()
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: item {number} is {type(row).__name__}, expected text, numbers, or lists and "
            "mappings of such, whose content says on which side of the split it is"
        ) from error


def check_storable(inputs: Any, rows: int, where: str) -> Any:
    """Return inputs that can be stored: a tensor [N, ...], or name -> tensor or `Ragged`.

    Args:
        inputs: What a source, or its encoder, gives.
        rows: How many examples there are.
        where: What gave them, for messages.

    Raises:
        DataError: They are something else, or not as many.
    """
    if isinstance(inputs, Mapping):
        if not inputs:
            raise DataError(f"{where}: its inputs are an empty mapping")
        return {
            _name(name, where): _column(c, rows, f"{where}: '{name}'") for name, c in inputs.items()
        }
    if isinstance(inputs, Ragged):
        raise DataError(
            f"{where}: inputs of different lengths need a name, {{'ids': Ragged…}}: the model is "
            f"called with ids and ids{LENGTHS}"
        )

    return _column(inputs, rows, where)


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not name.isidentifier() or len(name) > 100:
        raise DataError(f"{where}: an input is called {name!r}, expected a name like 'ids'")
    if name.endswith(LENGTHS):
        raise DataError(f"{where}: '{name}': names that end with {LENGTHS} are those of lengths")
    return name


def _column(column: Any, rows: int, where: str) -> Tensor | Ragged:
    if not isinstance(column, Tensor | Ragged):
        kind = type(column).__name__
        raise DataError(
            f"{where}: inputs are a {kind}, expected a tensor, or name -> tensor or Ragged; "
            "what is neither, an encoder turns into it (Source.encoder)"
        )
    if len(column) != rows:
        raise DataError(f"{where}: {len(column)} inputs for {rows} targets")
    if str(column.dtype).removeprefix("torch.") not in DTYPES:
        raise DataError(f"{where}: inputs are {column.dtype}, which a version can't keep")

    if isinstance(column, Ragged):
        _check_ragged(column, where)
        return column

    return column.detach().cpu()


def _check_ragged(column: Ragged, where: str) -> None:
    ends = column.starts + column.lengths
    fits = len(column.starts) == len(column.lengths)
    if not fits or bool((column.lengths < 0).any() | (column.starts < 0).any()):
        raise DataError(f"{where}: starts and lengths of a Ragged are no places of rows")
    if len(column) and int(ends.max()) > len(column.values):
        raise DataError(f"{where}: a row of a Ragged ends behind its {len(column.values)} values")
    if torch.tensor(column.padding, dtype=column.dtype).item() != column.padding:
        raise DataError(f"{where}: padding={column.padding} is no {column.dtype}")
