"""Continual normalisation against torch's own group and batch normalisation, one after another."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from renate.models.continual.norm import ContinualNorm, with_continual_norm
from renate.models.grow import grow
from renate.models.resnet import ResNet18
from tests.command import renate


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 5), (6, 8, 5, 4)])
def test_it_is_a_group_norm_and_then_a_batch_norm(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    batch_norm = kinds[len(shape)](8)
    nn.init.normal_(batch_norm.weight)
    found = ContinualNorm.like(batch_norm, groups=4)
    group_norm = nn.GroupNorm(4, 8, affine=False)
    for step in range(3):
        inputs = torch.randn(shape) * (step + 1) + step
        torch.testing.assert_close(found(inputs), batch_norm(group_norm(inputs)))
    found.eval()
    batch_norm.eval()
    torch.testing.assert_close(found(inputs), batch_norm(group_norm(inputs)))
    assert found.state_dict().keys() == batch_norm.state_dict().keys()


def test_it_takes_the_place_of_each_and_keeps_their_state() -> None:
    torch.manual_seed(0)
    plain = ResNet18(in_channels=1, num_classes=3, width=4)
    plain(torch.randn(4, 1, 8, 8))
    model = with_continual_norm(copy.deepcopy(plain), groups=2)
    count = sum(isinstance(part, nn.BatchNorm2d) for part in plain.modules())
    assert sum(isinstance(part, ContinualNorm) for part in model.modules()) == count > 10
    assert not any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    before = plain.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_larger_head() -> None:
    small = with_continual_norm(ResNet18(in_channels=1, num_classes=3, width=4), groups=2)
    large = with_continual_norm(ResNet18(in_channels=1, num_classes=5, width=4), groups=2)
    grow(small, large)
    assert torch.equal(large.head.weight[:3], small.head.weight)  # type: ignore[index, union-attr]


def test_what_it_cant_replace() -> None:
    with pytest.raises(ValueError, match="groups=3: expected a divisor of 8 channels"):
        ContinualNorm(8, groups=3)
    with pytest.raises(ValueError, match="Linear has no batch normalisation"):
        with_continual_norm(nn.Linear(2, 2), groups=1)


@pytest.mark.slow
def test_a_version_of_it_is_loaded_and_goes_on(workdir: Path) -> None:
    small = ("model=continual_norm", "model.settings.width=4", "model.groups=2", "data.limit=60")
    few = ("trainer.max_epochs=1", "state.url=./state")
    renate(*small, *few, "state.first=true", cwd=workdir)
    renate(*small, *few, "seed=1", "resume=false", cwd=workdir)
    import renate as package

    model = package.load_model(str(workdir / "state"))
    assert any(isinstance(part, ContinualNorm) for part in model.model.modules())
    done = renate("job=evaluate", *small, "state.url=./state", cwd=workdir)
    assert "test_accuracy" in done.stdout

    wrong = renate(*small, "model.groups=3", *few, cwd=workdir, code=1)
    assert "groups=3: expected a divisor of 4 channels" in wrong.stderr
