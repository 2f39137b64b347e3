"""A vision transformer and a text classifier go through three updates, with random weights, offline."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

import renate

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")
pytest.importorskip("peft")

ENCODER = {
    "model.architecture.hidden_size": 32,
    "model.architecture.num_hidden_layers": 2,
    "model.architecture.num_attention_heads": 2,
    "model.architecture.intermediate_size": 32,
}
QUICK = {
    "trainer.max_epochs": 2,
    "data.batch_size": 16,
    "optimizer": "adam",
    "optimizer.lr": 0.01,
    "state.url": "./state",
}
UPDATERS: dict[str, dict[str, Any]] = {
    "er": {},
    "l2p": {},
    "s_prompts": {},
    "lora": {"updater.rank": 2},
    "o_lora": {"updater.rank": 2, "updater.replay_batch_size": 8},
    "dualprompt": {"updater.general_layers": [0], "updater.expert_layers": [1]},
    "coda_prompt": {"updater.layers": [0, 1]},
    "slda": {},
}


def updates(settings: dict[str, Any], data: list[dict[str, Any]]) -> list[Any]:
    """Versions 1, 2 and 3, each from the one before; the last is served by itself."""
    results = []
    for number, own in enumerate(data, 1):
        first = {"state.first": number == 1}
        result = renate.run(settings | first | own)
        assert result.version == number
        assert 0 <= result.metrics["test_accuracy"] <= 1
        results.append(result)
    return results


@pytest.mark.parametrize("updater", UPDATERS)
def test_images(updater: str, workdir: Path) -> None:
    """Digits of two, four and six classes: the head grows."""
    import numpy as np
    import pyarrow as pa
    from sklearn.datasets import load_digits

    found = load_digits()
    data = []
    for number in range(3):
        rows = np.isin(found.target, [2 * number, 2 * number + 1]).nonzero()[0][:80]
        images = [png(found.images[row]) for row in rows]
        table = pa.table({"image": images, "label": [f"digit {found.target[r]}" for r in rows]})
        pq.write_table(table, workdir / f"week{number}.parquet")
        data.append({"data.train": f"week{number}.parquet"})

    settings = QUICK | ENCODER | UPDATERS[updater]
    settings |= {"updater": updater, "model": "vit", "model.grow": True, "model.pooling": "mean"}
    settings |= {"data": "image_table", "data.image": "image", "data.target": "label"}
    updates(settings, data)
    model = renate.load_model("./state")
    assert model.labels == [f"digit {n}" for n in range(6)]
    outputs = model(torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    assert outputs.shape == (3, 6)
    assert outputs.isfinite().all()


def png(pixels: Any) -> dict[str, Any]:
    import io

    import numpy as np
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray((pixels * 15).astype(np.uint8)).convert("RGB").save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


@pytest.mark.parametrize("updater", UPDATERS)
def test_texts(updater: str, workdir: Path, data_dir: Path) -> None:
    table = pq.read_table(data_dir / "ag_news" / "train.parquet")
    data = []
    for number in range(3):
        pq.write_table(table.slice(1000 * number, 90), workdir / f"week{number}.parquet")
        data.append({"data.train": f"week{number}.parquet"})

    settings = QUICK | ENCODER | UPDATERS[updater]
    settings |= {"updater": updater, "model": "text_transformer", "data": "text"}
    settings |= {"data.text": "text", "data.target": "label", "data.max_length": 24}
    settings |= {"data.vocab_size": 300, "model.grow": True}
    updates(settings, data)
    model = renate.load_model("./state")
    outputs = model(["Stocks fall as oil rises", "Team wins the final"])
    assert outputs.isfinite().all()
    assert len(outputs) == 2
    alone = model(["Team wins the final"])
    torch.testing.assert_close(alone[0], outputs[1], atol=1e-4, rtol=1e-3)
