"""An update on mixed examples."""

from pathlib import Path

import pytest

from renate.state.versions import State
from tests.command import renate

SHORT = ("trainer.max_epochs=2", "transform=mixup")


@pytest.mark.slow
@pytest.mark.parametrize("updater", ["er", "fine_tuning", "joint"])
def test_an_update_learns_from_mixed_examples(updater: str, workdir: Path) -> None:
    command = [f"updater={updater}", *SHORT, "state.url=./state"]
    renate(*command, "state.first=true", cwd=workdir)
    renate(*command, "resume=false", cwd=workdir)
    assert [each.version for each in map(State("./state").manifest, (1, 2))] == [1, 2]


def test_what_keeps_logits_refuses_a_mix(workdir: Path) -> None:
    done = renate("updater=derpp", *SHORT, cwd=workdir, code=1)
    assert "transform.mix: DERpp keeps 'logits' of each example" in done.stderr


def test_a_loss_of_classes_alone_refuses_a_mix(workdir: Path) -> None:
    done = renate("loss=any", "loss._target_=torch.nn.MultiMarginLoss", *SHORT, cwd=workdir, code=1)
    assert "transform.mix: loss MultiMarginLoss takes no mixed targets" in done.stderr
