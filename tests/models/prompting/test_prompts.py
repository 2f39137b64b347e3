"""Prompts and prefixes: what an encoder makes of them, against attention written out."""

from typing import Any

import pytest
import torch
from torch import Tensor

from renate.errors import ConfigError
from renate.models.prompting.pooled import PooledEncoder, Prompts
from renate.models.prompting.prefixes import make_room
from renate.models.text_transformer import TextTransformer
from renate.models.vision_transformer import VisionTransformer

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def text(kind: str = "bert", pooling: str = "mean", **others: Any) -> TextTransformer:
    torch.manual_seed(0)
    architecture = SMALL | {"model_type": kind} | others
    return TextTransformer(None, architecture, 20, 8, 0, 3, pooling).eval()


def image() -> VisionTransformer:
    torch.manual_seed(0)
    architecture = SMALL | {"model_type": "vit", "patch_size": 4}
    return VisionTransformer(None, architecture, [1, 8, 8], 3, "first").eval()


def texts() -> dict[str, Tensor]:
    ids = torch.tensor([[1, 5, 9, 2], [1, 3, 2, 0]])
    return {"ids": ids, "ids_lengths": torch.tensor([4, 3])}


def pictures(rows: int = 2) -> Tensor:
    return torch.randn(rows, 1, 8, 8, generator=torch.Generator().manual_seed(0))


MODELS = [(text, texts), (image, pictures)]


@pytest.mark.parametrize(("model_of", "inputs_of"), MODELS)
def test_room_for_prefixes_changes_nothing(model_of: Any, inputs_of: Any) -> None:
    model = model_of()
    inputs = inputs_of()
    expected = model(inputs)
    make_room(model.encoder)
    assert torch.equal(model(inputs), expected)
    assert torch.equal(model.head(model.features(inputs, Prompts())), expected)


@pytest.mark.parametrize(("model_of", "inputs_of"), MODELS)
def test_tokens_stand_in_front_and_padding_has_no_say(model_of: Any, inputs_of: Any) -> None:
    model = model_of()
    make_room(model.encoder)
    inputs = inputs_of()
    tokens = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1))
    for answer in (False, True):
        together = model.features(inputs, Prompts(tokens=tokens, answer=answer))
        assert together.shape == (2, 16)
        assert not torch.allclose(together, model.features(inputs), atol=1e-3)
        for row in range(2):
            alone = inputs[row : row + 1] if isinstance(inputs, Tensor) else of_row(inputs, row)
            own = Prompts(tokens=tokens[row : row + 1], answer=answer)
            torch.testing.assert_close(model.features(alone, own)[0], together[row])


def of_row(inputs: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    length = int(inputs["ids_lengths"][row])
    return {
        "ids": inputs["ids"][row : row + 1, :length],
        "ids_lengths": inputs["ids_lengths"][row : row + 1],
    }


def attended(layer: Any, hidden: Tensor, prefix: Tensor, mask: Tensor) -> Tensor:
    """Attention of two heads, with a prefix [2, L, D] before keys and values."""
    queries = layer.query(hidden)
    keys = torch.cat([prefix[0], layer.key(hidden)])
    values = torch.cat([prefix[1], layer.value(hidden)])
    found = []
    for head in range(2):
        part = slice(8 * head, 8 * head + 8)
        scores = queries[:, part] @ keys[:, part].T / 8**0.5
        scores[:, len(prefix[0]) :][:, ~mask] = -torch.inf
        found.append(scores.softmax(1) @ values[:, part])
    return torch.cat(found, dim=1)


def test_a_prefix_is_seen_by_keys_and_values_of_its_layer() -> None:
    """DualPrompt's eq. 6, by hand."""
    model = text()
    make_room(model.encoder)
    prefix = torch.randn(2, 2, 3, 16, generator=torch.Generator().manual_seed(1))
    seen: dict[str, Tensor] = {}
    layer: Any = model.encoder.encoder.layer[1].attention.self
    handle = layer.register_forward_hook(
        lambda _, given, answer: seen.update(hidden=given[0], answer=answer[0])
    )
    inputs = texts()
    model.features(inputs, Prompts(prefixes={1: prefix}))
    handle.remove()
    for row, length in enumerate([4, 3]):
        mask = torch.arange(4) < length
        expected = attended(layer, seen["hidden"][row], prefix[row], mask)
        torch.testing.assert_close(seen["answer"][row], expected)


def test_gradients_reach_prompts_alone() -> None:
    model = image()
    make_room(model.encoder)
    model.requires_grad_(False)
    tokens = torch.randn(2, 3, 16, requires_grad=True)
    prefix = torch.randn(2, 2, 3, 16, requires_grad=True)
    model.features(pictures(), Prompts(tokens, {0: prefix})).sum().backward()
    assert tokens.grad is not None
    assert prefix.grad is not None
    assert min(tokens.grad.abs().max(), prefix.grad.abs().max()) > 0


def test_a_layer_that_is_not_there() -> None:
    model = image()
    make_room(model.encoder)
    prefixes = {n: torch.zeros(2, 2, 3, 16) for n in (1, 5)}
    with pytest.raises(ConfigError, match=r"layers \[1, 5\], and the model's encoder has 2"):
        model.features(pictures(), Prompts(prefixes=prefixes))
    assert model.features(pictures()).isfinite().all(), "and all is as before"


def test_an_architecture_without_a_place_for_tokens() -> None:
    model: PooledEncoder = text("electra", embedding_size=8)
    with pytest.raises(ConfigError, match="model_type=electra: no place for prompts"):
        model.features(texts(), Prompts(tokens=torch.zeros(2, 3, 16)))
