"""What a data contract costs, beside reading the data: `python benchmarks/contract.py`.

CPU time of one thread, the least of three.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from machine import write

from renate.data.contract.checking import violations_of
from renate.data.contract.document import Contract
from renate.data.contract.fitting import fitted_columns
from renate.data.contract.inspection import Inspection
from renate.data.contract.rules import Rules
from renate.data.contract.views import View, views_of

ROWS = 1_000_000
COLUMNS = tuple((f"c{place}", "number") for place in range(10))
RULES = Path(__file__).parents[1] / "conf" / "contract" / "default.yaml"


def milliseconds(call: Callable[[], Any]) -> float:
    """The least CPU time of three calls."""
    found = []
    for _ in range(3):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found) * 1000


def of_numbers(rules: Rules, folder: Path) -> list[str]:
    values = torch.randn(ROWS, len(COLUMNS))
    file = folder / "numbers.parquet"
    pq.write_table(pa.table({n: values[:, p].numpy() for p, (n, _) in enumerate(COLUMNS)}), file)

    def read() -> Any:
        table = pq.read_table(file, use_threads=False)
        return torch.from_numpy(np.stack([c.to_numpy() for c in table.columns], 1))

    def fit() -> Contract:
        return Contract(fitted_columns(views_of(values, COLUMNS, None), rules))

    contract = fit()
    return [row("10 columns of numbers", read, fit, lambda: look(values, COLUMNS, contract, rules))]


def of_texts(rules: Rules, folder: Path) -> list[str]:
    texts = [f"text number {place % 1000}" for place in range(ROWS)]
    file = folder / "texts.parquet"
    pq.write_table(pa.table({"t": texts}), file)
    columns = (("t", "text"),)

    def read() -> Any:
        return pq.read_table(file, use_threads=False).column("t").to_pylist()

    def fit() -> Contract:
        return Contract(fitted_columns(views_of(texts, columns, None), rules))

    contract = fit()
    rows = [row("a column of texts", read, fit, lambda: look(texts, columns, contract, rules))]

    cells = np.array([f"c{place % 50}" for place in range(ROWS)], object)
    pq.write_table(pa.table({"t": cells.tolist()}), file)
    wanted = fitted_columns({"t": View("category", cells)}, rules)["t"]

    def check() -> Any:
        view = View("category", cells)
        return list(violations_of(view, wanted)), view.missing

    fitting = lambda: fitted_columns({"t": View("category", cells)}, rules)  # noqa: E731
    return [*rows, row("a column of categories", read, fitting, check)]


def look(values: Any, columns: Any, contract: Contract, rules: Rules) -> list[str]:
    inspection = Inspection(contract, rules, "data.train")
    inspection.look(values, columns, None, str)
    return inspection.conclude()


def row(
    name: str, read: Callable[[], Any], fit: Callable[[], Any], check: Callable[[], Any]
) -> str:
    times = [milliseconds(call) for call in (read, fit, check)]
    return f"| {name} | " + " | ".join(f"{each:.0f} ms" for each in times) + " |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    rules = Rules.of(yaml.safe_load(RULES.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        lines = [*of_numbers(rules, Path(folder)), *of_texts(rules, Path(folder))]
    text = f"{ROWS:,} rows, CPU time of one thread, the least of three."
    head = ["| | reading parquet | fitting | checking |", "| --- | --- | --- | --- |"]
    write("contract", "What a data contract costs", text, [*head, *lines])
