"""Answers by an exported version: the four functions that a container of SageMaker calls, and what
MLflow calls. Needs torch and numpy; of texts tokenizers, of tables with categories, dates or
missing values renate-cl.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

CSV = "text/csv"
JSON = "application/json"
NPY = "application/x-npy"
LENGTHS = "_lengths"


def model_fn(model_dir: str | Path) -> "Model":
    """Return the version that lies in a folder."""
    return Model(Path(model_dir))


def input_fn(body: Any, content_type: str | None = JSON) -> Any:
    """Return the rows of a request: JSON (a list of rows, or {"instances": …}), CSV with a header,
    or a NumPy array.
    """
    kind = (content_type or JSON).partition(";")[0].strip().lower()
    if kind == NPY:
        raw = body if isinstance(body, bytes | bytearray) else body.encode("latin-1")
        return np.load(io.BytesIO(raw), allow_pickle=False)

    text = body.decode() if isinstance(body, bytes | bytearray) else body
    if kind == CSV:
        return [dict(row) for row in csv.DictReader(io.StringIO(text))]
    if kind == JSON:
        found = json.loads(text)
        return found["instances"] if isinstance(found, dict) and "instances" in found else found

    raise ValueError(f"content type {content_type}: expected {JSON}, {CSV} or {NPY}")


def predict_fn(data: Any, model: "Model") -> list[dict[str, Any]]:
    """Return an answer for each row, see `Model.predict`."""
    return model.predict(data)


def output_fn(prediction: list[dict[str, Any]], accept: str | None = JSON) -> str:
    """Return answers as the client asked for them: JSON, or CSV with a line for each."""
    kind = (accept or JSON).partition(";")[0].strip().lower()
    if kind in (JSON, "*/*", ""):
        return json.dumps({"predictions": prediction})
    if kind == CSV:
        lines = io.StringIO()
        names = list(prediction[0]) if prediction else []
        writer = csv.DictWriter(lines, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in prediction)
        return lines.getvalue()

    raise ValueError(f"accept {accept}: expected {JSON} or {CSV}")


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else json.dumps(value)


class Model:
    """A version, as renate exported it with torch.export.

    Attributes:
        signature: What signature.json says.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.signature: dict[str, Any] = json.loads((self.folder / "signature.json").read_text())
        self.run = torch.export.load(self.folder / "model.pt2").module()
        self.tokenizer: Any = None
        self.feed: Any = None
        self.padding = 0
        self.texts: list[str] = []
        if (self.folder / "tokenizer.json").is_file():
            self.tokenizer = self._tokenizer()
        elif (self.folder / "encoder.json").is_file():
            from renate.export.beside import load_feed  # its encoder is renate's own

            self.feed = load_feed(self.folder)

    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        made = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        kept = json.loads((self.folder / "encoder.json").read_text())
        made.no_padding()
        made.enable_truncation(kept["encoder"]["max_length"])
        made.encode_special_tokens = True
        self.padding = kept["state"]["padding"]
        self.texts = kept["encoder"]["texts"]
        return made

    def answers(self, rows: Any) -> torch.Tensor:
        """Return the numbers that the graph gives for rows: a tensor [N, ...]."""
        inputs = self._tensors(rows)
        with torch.inference_mode():
            found: torch.Tensor = self.run(
                *[inputs[each["name"]] for each in self.signature["inputs"]]
            )
        return found

    def predict(self, rows: Any) -> list[dict[str, Any]]:
        """Return for each row a mapping: `prediction`, and of labels `probabilities`."""
        if not len(rows):
            return []

        found = self.answers(rows)
        labels = self.signature["labels"]
        problem = self.signature["problem"]
        if problem["name"] == "classification":
            shares = found.double().softmax(1).tolist()
            best = found.argmax(1).tolist()
            return [
                {"prediction": labels[index], "probabilities": _named(labels, row)}
                for index, row in zip(best, shares, strict=True)
            ]
        if problem["name"] == "multi_label":
            chosen = (found >= problem["threshold"]).tolist()
            return [
                {
                    "prediction": [name for name, yes in zip(labels, flags, strict=True) if yes],
                    "probabilities": _named(labels, row),
                }
                for flags, row in zip(chosen, found.tolist(), strict=True)
            ]
        return [{"prediction": value} for value in found.tolist()]

    def _tensors(self, rows: Any) -> dict[str, torch.Tensor]:
        if hasattr(rows, "to_dict"):  # a frame of pandas
            rows = rows.to_dict("records")
        if self.tokenizer is not None:
            return self._of_texts(rows)
        if self.feed is not None:
            return _of_stored(self.feed.encoded(list(rows)))

        (wanted,) = self.signature["inputs"]
        columns = self.signature["columns"]
        if columns and isinstance(rows, list) and rows and isinstance(rows[0], dict):
            rows = [[_number(row, name, n) for name in columns] for n, row in enumerate(rows)]

        values = np.asarray(rows)
        shape = tuple(wanted["shape"][1:])
        if values.shape[1:] != shape:
            raise ValueError(f"rows are of shape {values.shape[1:]}, expected {shape}")
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        converted = tensor.to(getattr(torch, wanted["dtype"]))
        if not wanted["dtype"].startswith("float") and not bool((converted == tensor).all()):
            raise ValueError(f"rows hold what isn't {wanted['dtype']}")
        if converted.is_floating_point() and not bool(converted.isfinite().all()):
            raise ValueError("rows hold NaN or infinity")
        return {wanted["name"]: converted}

    def _of_texts(self, rows: Any) -> dict[str, torch.Tensor]:
        texts = [self._text(row, place) for place, row in enumerate(rows)]
        encodings = self.tokenizer.encode_batch_fast(texts)
        lengths = torch.tensor([len(each) for each in encodings], dtype=torch.int64)
        longest = max(1, int(lengths.max()))
        ids = torch.full((len(texts), longest), self.padding, dtype=torch.int64)
        types = torch.zeros((len(texts), longest), dtype=torch.int64)
        for place, each in enumerate(encodings):
            ids[place, : len(each)] = torch.tensor(each.ids)
            types[place, : len(each)] = torch.tensor(each.type_ids)
        return {"ids": ids, f"ids{LENGTHS}": lengths, "types": types, f"types{LENGTHS}": lengths}

    def _text(self, row: Any, place: int) -> Any:
        if isinstance(row, dict):
            missing = [name for name in self.texts if not isinstance(row.get(name), str)]
            if missing:
                raise ValueError(f"row {place}: no text '{missing[0]}'")
            row = [row[name] for name in self.texts]
        if isinstance(row, str):
            row = [row]
        if len(row) != len(self.texts) or not all(isinstance(text, str) for text in row):
            raise ValueError(f"row {place}: expected {len(self.texts)} texts: {self.texts}")
        return row[0] if len(row) == 1 else tuple(row)


def _of_stored(stored: Any) -> dict[str, torch.Tensor]:
    if isinstance(stored, torch.Tensor):
        return {"inputs": stored}

    tensors = {}
    for name, column in stored.items():
        if isinstance(column, torch.Tensor):
            tensors[name] = column
        else:  # rows of any length
            tensors[name] = column.padded()
            tensors[name + LENGTHS] = column.lengths
    return tensors


def _named(labels: list[Any], values: list[float]) -> dict[str, float]:
    return {str(label): value for label, value in zip(labels, values, strict=True)}


def _number(row: dict[str, Any], name: str, place: int) -> float:
    if name not in row:
        raise ValueError(f"row {place}: no column '{name}'")
    try:
        return float(row[name])
    except (TypeError, ValueError):
        raise ValueError(f"row {place}: column '{name}' holds {row[name]!r}, no number") from None
