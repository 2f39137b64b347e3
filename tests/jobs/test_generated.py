"""Drift, gates and exports of texts that are generated: told, or refused in a line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

import renate
from renate.errors import StateError
from renate.export.export import FORMATS, export
from renate.problems.next_token import NO_TOKEN, NextToken
from renate.state.aliases.verdict import verdict_of
from renate.state.versions import State
from tests.command import renate as command

SETTINGS: dict[str, Any] = {
    "data": "prompts",
    "data.prompt": "question",
    "data.target": "answer",
    "data.vocab_size": 300,
    "data.max_length": 32,
    "data.max_answer": 8,
    "data.val_size": 0.5,
    "data.test_size": 0.1,
    "model": "causal_lm",
    "model.architecture.hidden_size": 16,
    "model.architecture.num_hidden_layers": 1,
    "model.architecture.num_attention_heads": 2,
    "model.architecture.num_key_value_heads": 2,
    "model.architecture.intermediate_size": 16,
    "optimizer": "adam",
    "optimizer.lr": 0.01,
    "trainer.max_epochs": 3,
    "state.url": "./state",
}


def week(path: Path, first: int, colour: str) -> str:
    """160 questions about every other box, and one answer to all of them."""
    rows = [{"question": f"box {n}?", "answer": colour} for n in range(first, first + 320, 2)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_what_drift_compares_is_how_surprising_each_answer_is() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 7, 4)
    targets = torch.tensor([[1, 2, 3, 4], [5, NO_TOKEN, NO_TOKEN, NO_TOKEN], [0, 6, 2, NO_TOKEN]])
    found = NextToken().compared(logits, targets)
    assert found.shape == (3, 1)
    for row, (outputs, ids) in enumerate(zip(logits, targets, strict=True)):
        known = ids[ids >= 0]
        expected = cross_entropy(outputs[:, : len(known)].T, known)
        assert float(found[row]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.slow
def test_drift_gates_and_exports_of_generated_texts(workdir: Path) -> None:
    pytest.importorskip("transformers")
    guarded = SETTINGS | {"shift": "reference", "gate": "accuracy"}
    first = week(workdir / "a.jsonl", 0, "red")
    renate.run(guarded | {"data.train": first, "state.first": True})

    asking = [f"{key}={value}" for key, value in SETTINGS.items()]
    asking += ["job=detect", "policy=drift", "output=found.json"]
    same = week(workdir / "b.jsonl", 1, "red")
    command(*asking, f"data.train={same}", cwd=workdir, code=10)
    other = week(workdir / "c.jsonl", 400, "blue and white")
    command(*asking, f"data.train={other}", cwd=workdir, code=0)
    assert json.loads(Path("found.json").read_text())["drift"]["moved"] == ["the model's answers"]

    renate.run(guarded | {"data.train": other})
    state = State("./state")
    verdict = verdict_of(state.manifest(2), state.url)
    assert verdict is not None
    assert verdict.against == 1
    assert any("gain on" in name for name in verdict.measured)
    assert any("forgetting on" in name for name in verdict.measured)

    for form in FORMATS:
        if form == "safetensors":
            assert export("./state", form, form, 2).difference <= 1e-5
            shutil.rmtree(form)
            continue
        with pytest.raises(StateError, match="generates texts .* --format safetensors keeps"):
            export("./state", form, form, 2)
        assert not Path(form).exists()
