"""Pooled features against sums that are written out, and the taps that give them."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.models.mlp import MLP
from renate.models.resnet import ResNet18
from renate.updaters.distillation.pooled_features import PooledFeatures, pooled, with_weights
from tests.updaters.made import batch_of, memory_of, network


def by_hand(maps: Tensor, pooling: str) -> list[Tensor]:
    """Of each example a row of numbers, by loops over what isn't summed."""
    channels, height, width = maps.shape[1:]
    rows = []
    for one in maps**2:
        of_height = [one[c, h, :].sum() for c in range(channels) for h in range(height)]
        of_width = [one[c, :, w].sum() for c in range(channels) for w in range(width)]
        values = {
            "pixel": [*one.flatten()],
            "channel": [one[:, h, w].sum() for h in range(height) for w in range(width)],
            "width": of_width,
            "height": of_height,
            "gap": [one[c].mean() for c in range(channels)],
            "spatial": of_height + of_width,
        }
        rows.append(torch.stack(values[pooling]))
    return rows


@pytest.mark.parametrize("pooling", ["pixel", "channel", "width", "height", "gap", "spatial"])
def test_what_is_summed(pooling: str) -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(pooled(maps, pooling), torch.stack(by_hand(maps, pooling)))
    flat = torch.randn(2, 7)
    assert torch.equal(pooled(flat, pooling), flat**2), "what is no map stays as it is"


@pytest.mark.parametrize("normalize", [True, False])
def test_the_distance_is_a_mean_over_modules_of_mean_lengths(normalize: bool) -> None:
    model = network()
    features = PooledFeatures(model, ["0", "1"], "spatial", normalize)
    outputs, found = features(model, batch_of(0).inputs)
    assert torch.equal(outputs, model(batch_of(0).inputs))
    then = features.kept(found)
    assert then.shape == (8, 8)

    now = [torch.rand(8, 4), torch.rand(8, 4)]
    lengths = []
    for mine, theirs in zip(now, (then[:, :4], then[:, 4:]), strict=True):
        for row, before in zip(mine, theirs, strict=True):
            if normalize:
                row = row / row.norm()
                before = before / before.norm()
            lengths.append(((row - before) ** 2).sum().sqrt())
    torch.testing.assert_close(features.distance(now, then), torch.stack(lengths).mean())
    assert float(features.distance(found, then).detach()) == 0


def test_the_same_features_have_gradients_that_are_numbers() -> None:
    model = network()
    features = PooledFeatures(model, ["1"], "spatial", True)
    _, found = features(model, batch_of(0).inputs)
    features.distance(found, features.kept(found)).backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())


def test_by_default_all_parts_with_weights_but_the_head() -> None:
    assert with_weights(network()) == ["0"]
    assert with_weights(MLP((3,), 2, (4, 5))) == ["layers.1", "layers.3"]
    assert with_weights(ResNet18(1, 2, 4)) == ["stem", "stages"]


def test_no_hook_stays() -> None:
    model = network()
    PooledFeatures(model, ["0"], "pixel", True)(model, batch_of(0).inputs)
    assert not any(module._forward_hooks for module in model.modules())


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(5, 4)
        self.unused = nn.Linear(5, 4)
        self.pair = Pair()
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.pair(F.relu(self.body(inputs)))[0])
        return outputs


class Pair(nn.Module):
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, inputs


def test_modules_that_give_nothing_are_refused() -> None:
    model = Named()
    with pytest.raises(ConfigError, match=r"no module 'boddy'.* did you mean 'body'"):
        PooledFeatures(model, ["boddy"], "pixel", True)
    with pytest.raises(ConfigError, match="'unused' gives nothing, expected a tensor"):
        PooledFeatures(model, ["unused"], "pixel", True)(model, batch_of(0).inputs)
    with pytest.raises(ConfigError, match="'pair' gives a tuple, expected a tensor"):
        PooledFeatures(model, ["pair"], "pixel", True)(model, batch_of(0).inputs)
    with pytest.raises(ConfigError, match="one part with weights only"):
        PooledFeatures(nn.Linear(5, 3), None, "pixel", True)


def test_features_of_another_pooling_are_not_compared() -> None:
    """Of a square map, height and width have as many values."""
    model = network()
    memory = memory_of()
    written = PooledFeatures(model, ["0"], "height", True)
    written.check(memory)
    memory.add(batch_of(0), features=torch.zeros(8, 4))
    same = PooledFeatures(model, ["0"], "height", True)
    same.load_state_dict(written.state_dict())
    same.check(memory)
    other = PooledFeatures(model, ["0"], "width", True)
    other.load_state_dict(written.state_dict())
    with pytest.raises(ConfigError, match=r"updater\.pooling=width.* are of another pooling"):
        other.check(memory)


def test_features_of_unknown_modules_are_not_compared() -> None:
    """Between two updates there may have been one of another updater, which knows nothing of it."""
    memory = memory_of()
    memory.add(batch_of(0), features=torch.zeros(8, 4))
    with pytest.raises(ConfigError, match=r"memory keeps are an earlier update's, and nothing"):
        PooledFeatures(network(), ["0"], "pixel", True).check(memory)


def test_features_that_were_backfilled_are_known() -> None:
    memory = memory_of()
    memory.add(batch_of(0))
    features = PooledFeatures(network(), ["0"], "pixel", True)
    memory.fill("features", features.backfilled(memory, [torch.zeros(8, 4)]))
    features.check(memory)
    assert int(features.kept_as) == features.own


def test_features_of_texts_whose_number_depends_on_the_batch_are_refused() -> None:
    features = PooledFeatures(network(), ["0"], "pixel", True)
    with pytest.raises(ConfigError, match=r"updater\.modules: 0 give 12 values .* gave 20 before"):
        features.distance([torch.ones(2, 12)], torch.ones(2, 20))
