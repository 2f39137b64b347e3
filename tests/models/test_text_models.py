"""Models of texts: padding has no say, pairs are told apart, a checkpoint isn't needed again."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from renate.errors import ConfigError
from renate.models.encoders import begun, plain
from renate.models.text_bag import TextBag
from renate.models.text_transformer import TextTransformer

SMALL = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def batch(rows: list[list[int]], padding: int = 0, more: int = 0) -> dict[str, Tensor]:
    longest = max(map(len, rows)) + more
    ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
    return {"ids": ids, "ids_lengths": torch.tensor([len(row) for row in rows])}


def bag(num_texts: int = 1) -> TextBag:
    torch.manual_seed(0)
    return TextBag(
        vocab_size=20, num_texts=num_texts, num_classes=3, width=4, hidden_sizes=[5], dropout=0.0
    ).eval()


def test_a_bag_is_the_mean_of_its_embeddings() -> None:
    model = bag()
    rows = [[1, 5, 5, 2], [1, 2]]
    expected = torch.stack([model.embedding.weight[row].mean(0) for row in rows])
    outputs = model(batch(rows))
    assert torch.allclose(outputs, model.head(model.layers(expected)), atol=1e-6)
    assert torch.allclose(model(batch(rows, padding=7, more=3)), outputs, atol=1e-6)
    assert model(batch([[]], more=1)).isfinite().all(), "a text may be empty"


def test_a_bag_of_pairs_has_a_mean_for_each() -> None:
    model = bag(num_texts=2)
    inputs = batch([[1, 5, 2, 6, 7, 2]], more=2)
    inputs["types"] = torch.tensor([[0, 0, 0, 1, 1, 1, 0, 0]])
    weight = model.embedding.weight
    means = [weight[[1, 5, 2]].mean(0), weight[[6, 7, 2]].mean(0)]
    expected = model.head(model.layers(torch.cat(means)[None]))
    assert torch.allclose(model(inputs), expected, atol=1e-6)


def test_what_is_no_text() -> None:
    with pytest.raises(ValueError, match="takes 'ids' and 'ids_lengths', found one tensor"):
        bag()(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="found pixels"):
        bag()({"pixels": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match="vocab_size is null"):
        TextBag(None, 1, 3, 4, [], 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        {"auto_model": "somebody/code"},
        {"nested": {"path": "../x"}},
        {"Auto": 1},
        {"some": object()},
        {"words": ["a", "b/c"]},
    ],
)
def test_a_config_from_a_state_names_no_code(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected a number, a word, or a list of such"):
        plain(config)


def test_a_state_cannot_ask_for_layers_without_end() -> None:
    with pytest.raises(ConfigError, match="num_hidden_layers=1000000000: expected 1000 or less"):
        plain({"num_hidden_layers": 10**9})


def test_what_is_no_architecture_is_left_out() -> None:
    left_out = {"auto_map": {"AutoModel": "a/b--c.D"}, "_attn": 1, "id2label": {0: "a"}}
    assert plain(left_out | {"hidden_size": 3, "layers": [1, "full_attention"]}) == {
        "hidden_size": 3,
        "layers": [1, "full_attention"],
    }


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"needs transformers: pip install 'renate-cl\[hf\]'"):
        transformer()


def transformer(**others: Any) -> TextTransformer:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "checkpoint": None,
        "architecture": SMALL,
        "vocab_size": 20,
        "max_length": 8,
        "padding_id": 0,
        "num_classes": 3,
        "pooling": "mean",
    }
    return TextTransformer(**settings | others).eval()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra"])
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_padding_has_no_say(kind: str, pooling: str) -> None:
    pytest.importorskip("transformers")
    architecture = SMALL | {"model_type": kind}
    if kind == "distilbert":
        architecture["hidden_dim"] = architecture.pop("intermediate_size")
    model = transformer(architecture=architecture, pooling=pooling)
    rows = [[1, 5, 9, 2, 4, 4, 4, 2], [1, 3, 2]]
    together = model(batch(rows))
    for row, outputs in zip(rows, together, strict=True):
        assert torch.allclose(model(batch([row]))[0], outputs, atol=1e-5)
    assert not torch.allclose(model(batch([[1, 9, 5, 2]])), model(batch([[1, 5, 9, 2]])))


@pytest.mark.slow
def test_types_of_a_pair_have_a_say() -> None:
    pytest.importorskip("transformers")
    inputs = batch([[1, 5, 2, 6, 2]])
    second = {**inputs, "types": torch.tensor([[0, 0, 0, 1, 1]])}
    model = transformer()
    assert not torch.allclose(model(inputs), model(second))


@pytest.mark.slow
def test_an_encoder_trains_alike_in_all_updates(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    transformer().encoder.save_pretrained(tmp_path / "checkpoint")
    first, more = begun(str(tmp_path / "checkpoint"), {}, None)
    later, _ = begun(None, {}, more["config"])
    assert all(part.training for part in first.modules()), "with its dropout"
    assert all(part.training for part in later.modules())


@pytest.mark.slow
def test_a_checkpoint_is_needed_once(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    folder = tmp_path / "checkpoint"
    transformer().encoder.save_pretrained(folder)
    model = transformer(checkpoint=str(folder), architecture={"model_type": "t5"})
    theirs = transformer().encoder.state_dict()
    assert all(torch.equal(tensor, theirs[n]) for n, tensor in model.encoder.state_dict().items())

    kept = json.loads(json.dumps(model.kept))
    again = transformer(checkpoint="nowhere", architecture={}, **kept)
    again.load_state_dict(model.state_dict())
    inputs = batch([[1, 5, 2], [1, 2]])
    assert torch.equal(again(inputs), model(inputs))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"checkpoint": "./none_such"}, "checkpoint=./none_such: no folder"),
        ({"architecture": {"model_type": "brt"}}, "model_type=brt: .* did you mean 'bert'"),
        ({"architecture": SMALL | {"hiden_size": 3}}, "hiden_size: bert has no such setting"),
        ({"architecture": SMALL | {"model_type": "vit"}}, "model_type=vit: it takes no texts"),
        ({"pooling": "last"}, "model.pooling=last: expected one of first, mean"),
    ],
)
def test_what_cannot_be_built(others: dict[str, Any], said: str) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match=said):
        transformer(**others)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"max_length": 0}, "max_length=0: expected 1 or more"),
        ({"max_length": -1}, "max_length=-1: expected 1 or more"),
        ({"vocab_size": True}, "vocab_size=True: expected a whole number of 1 or more"),
        ({"padding_id": -1}, "padding_id=-1: expected 0 or more"),
        ({"padding_id": 20}, "padding_id=20: expected less than vocab_size=20"),
    ],
)
def test_sizes_that_are_none(others: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        transformer(**others)


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    pytest.importorskip("transformers")
    folder = tmp_path / "checkpoint"
    transformer().encoder.save_pretrained(folder)
    for others, said in [
        ({"vocab_size": 21}, f"has 20 tokens, the tokenizer 21: data.tokenizer={folder}"),
        ({"max_length": 99}, "data.max_length=99: model.checkpoint=.* takes 9 tokens"),
    ]:
        with pytest.raises(ConfigError, match=said):
            transformer(checkpoint=str(folder), **others)

    weights = load_file(folder / "model.safetensors")
    del weights["embeddings.word_embeddings.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="no weights for 'embeddings.word_embeddings.weight'"):
        transformer(checkpoint=str(folder))
