"""Vision transformers of transformers: a checkpoint isn't needed again, images must fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import renate
from renate.errors import ConfigError
from renate.models.grow import grow
from renate.models.vision_transformer import VisionTransformer

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")

SMALL = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "patch_size": 4,
}


def vit(**others: Any) -> VisionTransformer:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "checkpoint": None,
        "architecture": SMALL,
        "input_shape": [3, 8, 12],
        "num_classes": 3,
        "pooling": "first",
    }
    return VisionTransformer(**settings | others).eval()


@pytest.mark.parametrize("kind", ["vit", "deit"])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_random_weights(kind: str, pooling: str) -> None:
    model = vit(architecture=SMALL | {"model_type": kind}, pooling=pooling)
    inputs = torch.rand(2, 3, 8, 12)
    outputs = model.encoder(pixel_values=inputs).last_hidden_state
    expected = outputs[:, 0] if pooling == "first" else outputs.mean(1)
    assert torch.equal(model(inputs), model.head(expected))


def test_a_checkpoint_is_needed_once(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    vit().encoder.save_pretrained(folder)
    model = vit(checkpoint=str(folder), architecture={})
    theirs = vit().encoder.state_dict()
    assert all(torch.equal(tensor, theirs[n]) for n, tensor in model.encoder.state_dict().items())

    kept = json.loads(json.dumps(model.kept))
    again = vit(checkpoint="nowhere", architecture={}, **kept)
    again.load_state_dict(model.state_dict())
    inputs = torch.rand(2, 3, 8, 12)
    assert torch.equal(again(inputs), model(inputs))


def test_a_grown_head_keeps_every_old_weight() -> None:
    old = vit()
    new = grow(old, vit(num_classes=5))
    assert torch.equal(new.head.weight[:3], old.head.weight)
    inputs = torch.rand(2, 3, 8, 12)
    torch.testing.assert_close(new(inputs)[:, :3], old(inputs))


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"input_shape": [3, 8, 10]}, "patch_size=4: images of .8, 10. don't divide"),
        ({"input_shape": [24]}, r"model.input_shape=\[24\]: expected images"),
        ({"pooling": "last"}, "model.pooling=last: expected one of first, mean"),
        ({"architecture": SMALL | {"hiden_size": 3}}, "hiden_size: vit has no such setting"),
        (
            {"architecture": SMALL | {"hidden_size": 16, "num_attention_heads": 3}},
            "num_attention_heads=3: hidden_size=16 is no multiple of it",
        ),
    ],
)
def test_what_cannot_be_built(others: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        vit(**others)


def test_images_that_a_checkpoint_does_not_take(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    vit().encoder.save_pretrained(folder)
    for shape, said in (
        ([3, 12, 12], r"takes images of \[8, 12\], the data's are \[12, 12\]: data.image_size=\[8"),
        ([1, 8, 12], "takes images of 3 channels, the data's have 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            vit(checkpoint=str(folder), input_shape=shape)


def test_a_version_is_loaded_without_the_checkpoint(workdir: Path) -> None:
    torch.manual_seed(0)
    vit(input_shape=[1, 8, 8]).encoder.save_pretrained(workdir / "checkpoint")
    asked = ["model=vit", "model.checkpoint=checkpoint", "data.limit=100", "trainer.max_epochs=1"]
    result = renate.run([*asked, "model.freeze=[encoder.embeddings]"])
    theirs = vit(input_shape=[1, 8, 8]).encoder.state_dict()
    (workdir / "checkpoint").rename(workdir / "gone")

    model = renate.load_model(result.state_url)
    assert len(model.predict(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))) == 2
    found = model.model.encoder.state_dict()
    embedding = "embeddings.patch_embeddings.projection.weight"
    assert torch.equal(found[embedding], theirs[embedding]), "frozen"
    changed = [name for name in theirs if not torch.equal(found[name], theirs[name])]
    assert changed


def test_a_live_model_of_transformers(workdir: Path) -> None:
    """Its forward has a dozen arguments and gives a mapping of several outputs."""
    import transformers

    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=10,
    )
    asked = {"model.output": "logits", "model.freeze": ["vit.embeddings"], "data.limit": 100}
    net = transformers.ViTForImageClassification(config)
    result = renate.run(asked | {"trainer.max_epochs": 1}, model=net)

    again = transformers.ViTForImageClassification(config)
    model = renate.load_model(result.state_url, model=again)
    inputs = torch.rand(2, 1, 8, 8)
    assert torch.equal(model(inputs), model.model(inputs))
    assert model(inputs).shape == (2, 10)
    frozen = "vit.embeddings.patch_embeddings.projection.weight"
    assert torch.equal(again.state_dict()[frozen], net.state_dict()[frozen])
