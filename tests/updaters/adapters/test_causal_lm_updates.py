"""A causal language model goes through three updates, with random weights, offline."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import renate
from renate.state.versions import State

pytest.importorskip("transformers")
pytest.importorskip("peft")

COLOURS = ["red", "green", "blue"]
SETTINGS: dict[str, Any] = {
    "data": "prompts",
    "data.prompt": "question",
    "data.target": "answer",
    "data.vocab_size": 300,
    "data.max_length": 48,
    "data.max_answer": 16,
    "data.batch_size": 16,
    "model": "causal_lm",
    "model.architecture.hidden_size": 32,
    "model.architecture.num_hidden_layers": 1,
    "model.architecture.num_attention_heads": 2,
    "model.architecture.num_key_value_heads": 2,
    "model.architecture.intermediate_size": 32,
    "memory.capacity": 30,
    "optimizer": "adam",
    "optimizer.lr": 0.01,
    "trainer.max_epochs": 2,
    "state.url": "./state",
}
UPDATERS: dict[str, dict[str, Any]] = {
    "er": {},
    "lora": {"updater.rank": 2, "updater.replay_batch_size": 8},
    "o_lora": {"updater.rank": 2, "updater.replay_batch_size": 8},
    "joint": {},
}


def week(number: int, folder: Path) -> None:
    """Questions of several lengths about boxes, each week's of another colour."""
    lines = []
    for box in range(60):
        question = f"week {number} box {box}" + " please" * (box % 3)
        lines.append({"question": question, "answer": f"{COLOURS[number]} {box % 2}"})
    (folder / f"week{number}.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.mark.slow
@pytest.mark.parametrize("updater", UPDATERS)
def test_three_updates(updater: str, workdir: Path) -> None:
    settings = SETTINGS | {"updater": updater} | UPDATERS[updater]
    if updater == "joint":
        settings.pop("memory.capacity")

    losses = []
    for number in range(3):
        week(number, workdir)
        own = {"data.train": f"week{number}.jsonl", "state.first": number == 0}
        result = renate.run(settings | own)
        assert result.version == number + 1
        found = result.metrics
        assert found["test_perplexity"] == pytest.approx(math.exp(found["test_loss"]), rel=1e-4)
        assert 1 < found["test_perplexity"] < 300
        assert 0 <= found["test_exact_match"] <= 1
        losses.append(found["test_loss"])

    model = renate.load_model("./state")
    questions = ["week 0 box 5", "week 2 box 7 please please"]
    said = model.predict(questions)
    assert all(isinstance(text, str) for text in said)
    assert model.predict(questions[1]) == said[1]
    asked = [{"question": each, "answer": "unknown"} for each in questions]
    assert model.predict(asked) == said, "an answer that is known has no say"
    assert not hasattr(model.model.network.get_output_embeddings(), "lora_A")

    # What is measured is what is generated
    rows = [json.loads(line) for line in (workdir / "week2.jsonl").read_text().splitlines()]
    own = {"job": "evaluate", "data.test": "week2.jsonl", "data.train": "week2.jsonl"}
    measured = renate.run(settings | own | {"data.seen": "again"}).metrics["test_exact_match"]
    right = [a == row["answer"] for a, row in zip(model.predict(rows), rows, strict=True)]
    assert measured == pytest.approx(sum(right) / len(right))
    if updater in ("er", "joint"):
        files = State("./state").manifest(3).files
        assert "memory/meta.json" in files


@pytest.mark.slow
def test_a_stream_has_a_matrix_of_perplexities(workdir: Path) -> None:
    for number in range(3):
        week(number, workdir)
    files = [f"week{number}.jsonl" for number in range(3)]
    settings = {key: value for key, value in SETTINGS.items() if key != "state.url"}
    stream = {"job": "stream", "scenario": "iid", "scenario.chunks": 2, "data.train": files}
    result = renate.run(settings | {"updater": "er"} | stream)
    matrix = torch.tensor(result.matrix)
    assert matrix.shape == (2, 2)
    assert bool((matrix > 1).all())
    assert result.metrics["average_perplexity"] == pytest.approx(float(matrix[1].mean()))
