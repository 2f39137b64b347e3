"""`renate init DIR`: a repository of experiments."""

import argparse
from importlib.metadata import version
from pathlib import Path

from renate.errors import ConfigError

FILES = {
    "README.md": """# Experiments

    pip install -e .
    renate experiment=first

| file | what it is for |
| --- | --- |
| conf/experiment/first.yaml | one named, complete run; copy it for the next one |
| conf/updater/mine.yaml | your updater as an option: its class and the values of its arguments |
| my_updaters.py | your updater: one class with one method, `loss` |
| pyproject.toml | pins the version of renate that these configs are for |

Every group can be extended: put `conf/<group>/<name>.yaml` here and choose it by `<group>=<name>`.
Any module in this folder can be named by a `_target_`. Results go to runs/, which git ignores.
""",
    "pyproject.toml": """[project]
name = "experiments"
version = "0"
requires-python = ">=3.11"
dependencies = ["renate-cl=={version}"]  # the configs here are for this version

[tool.setuptools]
py-modules = ["my_updaters"]
""",
    "conf/experiment/first.yaml": """# @package _global_
# Digits in five updates, with the updater of this folder
defaults:
  - override /job: stream
  - override /scenario: class_incremental
  - override /updater: mine
scenario: {chunks: 5}
objective: {metric: null}
trainer: {max_epochs: 2}
""",
    "conf/updater/mine.yaml": """# Each key is an argument of the class
_target_: my_updaters.Mine
replay_batch_size: 32
weight: 0.5
""",
    "my_updaters.py": '''"""An updater of our own: one class, one method."""

from torch import Tensor, nn

from renate.data.batch import Batch
from renate.updaters.base import Updater


class Mine(Updater):
    """Replay with a weight on the past.

    Args:
        replay_batch_size: Past examples in each step.
        weight: Of their loss, beside the new examples'.
    """

    def __init__(self, replay_batch_size: int, weight: float) -> None:
        super().__init__()
        self.replay_batch_size, self.weight = replay_batch_size, weight

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        loss = self.criterion(model(batch.inputs), batch.targets)
        if len(self.memory):
            past = self.memory.sample(self.replay_batch_size)
            loss = loss + self.weight * self.criterion(model(past.inputs), past.targets)
        self.memory.add(batch)
        return loss
''',
    ".gitignore": "runs/\n__pycache__/\n",
}


def run(argv: list[str]) -> None:
    """The verb. Raises ConfigError where a file would be replaced."""
    parser = argparse.ArgumentParser(
        prog="renate init", description="Start a repository of experiments."
    )
    parser.add_argument("dir", type=Path, help="where; made if it isn't there")
    folder = parser.parse_args(argv).dir
    taken = [name for name in FILES if (folder / name).exists()]
    if taken:
        raise ConfigError(f"{folder / taken[0]} exists already; nothing was written")

    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{version}", version("renate-cl")))

    print(f"cd {folder} && renate experiment=first")
