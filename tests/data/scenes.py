"""Small files of every kind, and sources that read them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from PIL import Image

from renate.data.base import Data, Known
from renate.data.files import Files
from renate.data.kept.inputs import Inputs
from renate.data.kept.split import Split
from renate.data.text.source import Texts
from renate.problems.classification import Classification

TABLE = {"x": [0.5, 1.5, -1.0, 2.0], "flag": [True, False, True, True], "label": [7, 3, 7, 3]}
SHARED = {"batch_size": 4, "val_size": 0, "limit": None}


def texts(**settings: Any) -> Texts:
    """A source of texts by a tokenizer of its own; `train`, `test`, `text` and `target` are
    given.
    """
    plain: dict[str, Any] = {
        "test_size": 0.25,
        "tokenizer": None,
        "vocab_size": 300,
        "lowercase": True,
        "max_length": 8,
        **SHARED,
    }
    return Texts(**plain | settings)


def files(train: Any = "a.parquet", **changes: Any) -> Files:
    plain: dict[str, Any] = {
        "train": train,
        "test": train,
        "test_size": 0.25,
        "target": "label",
        "inputs": None,
        "image_size": None,
        "cache_dir": "cache",
        "batch_size": 32,
        "val_size": 0,
        "limit": None,
    }
    return Files(**plain | changes)


def write(path: str, table: dict[str, Any] | pa.Table) -> str:
    made = pa.table(table) if isinstance(table, dict) else table
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if path.endswith(".parquet"):
        pq.write_table(made, path)
    elif path.endswith(".csv"):
        pyarrow.csv.write_csv(made, path)
    else:
        Path(path).write_text("\n".join(json.dumps(row) for row in made.to_pylist()))
    return path


def png(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return {"bytes": stream.getvalue(), "path": None}


def as_kept(data: Data) -> Known:
    """What the next version knows, as its model.json carries it."""
    assert data.inputs is not None
    assert data.split is not None
    kept = json.loads(json.dumps([data.inputs.to_json(), data.split.to_json()]))
    return Known(data.problem, Inputs.from_json(kept[0]), Split.from_json(kept[1]))


def load(source: Any, labels: list[Any] | None = None, seed: int = 0) -> Data:
    known = None
    if labels is not None:
        problem = Classification()
        problem.restore(labels, {})
        known = Known(problem)
    data: Data = source.load(seed=seed, known=known)
    return data
