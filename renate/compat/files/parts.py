"""What a job is assembled from, made by a config file's functions: model, loss, transforms."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from renate.compat.files.module import ConfigFile, Node
from renate.compat.models.renate_module import RenateModule
from renate.data.items.served import items_in
from renate.data.model_inputs import LENGTHS, InputMapping, ModelInputs
from renate.errors import ConfigError, StateError

NET = "net."
TRANSFORMS = {"stream": "train", "memory": "buffer", "test": "test"}


class ModelFn(nn.Module):
    """What `model_fn` returns.

    Args:
        config_file: See `ConfigFile`.
        task_id: Passed on to a `RenateModule`, which may have parameters of its own for it.
    """

    def __init__(self, config_file: Node | None, task_id: str) -> None:
        super().__init__()
        self.file = ConfigFile(config_file)
        self.task_id = task_id
        self.net: nn.Module = self._made(None)

    def _made(self, weights: Path | None) -> nn.Module:
        made = self.file.call("model_fn", model_state_url=None if weights is None else str(weights))
        if not isinstance(made, nn.Module):
            raise ConfigError(
                f"config_file={self.file.description.path}: model_fn returned a "
                f"{type(made).__name__}, expected a RenateModule or another torch.nn.Module"
            )
        if isinstance(made, RenateModule):
            made.add_task_params(self.task_id)
        return made

    def begin_from(self, tensors: dict[str, Tensor]) -> None:
        """Let `model_fn` make the network from a state's weights, which it finds in a file.

        Args:
            tensors: Those of this module, by name; a network of Renate's may give them new ones.

        Raises:
            StateError: It can't.
        """
        weights = {name.removeprefix(NET): tensor for name, tensor in tensors.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.ckpt"
            torch.save(weights, path)
            try:
                self.net = self._made(path)
            except ConfigError:
                raise
            except Exception as error:  # whatever the user's code raises
                reason = (str(error).splitlines() or ["no message"])[0]
                raise StateError(
                    f"config_file={self.file.description.path}: model_fn can't load the state's "
                    f"weights: {type(error).__name__}: {reason}"
                ) from error

        if isinstance(self.net, RenateModule):
            self.net.begin_from(weights)
            tensors.clear()
            tensors.update({f"{NET}{name}": tensor for name, tensor in weights.items()})

    def forward(self, inputs: ModelInputs) -> Tensor:
        """Return the network's outputs [B, K] of inputs [B, ...], or of a mapping of such.

        The lengths of what was padded stay here: Renate's networks know of none.
        """
        if isinstance(inputs, InputMapping):
            lengths = {f"{name}{LENGTHS}" for name in inputs.paddings}
            inputs = {name: each for name, each in inputs.items() if name not in lengths}

        outputs: Tensor
        if isinstance(self.net, RenateModule):
            outputs = self.net(inputs, self.task_id)
        else:
            outputs = self.net(inputs)
        return outputs


class LossFn(nn.Module):
    """What `loss_fn` returns, averaged over the batch where it gives a value for each example.

    Args:
        config_file: See `ConfigFile`.
    """

    def __init__(self, config_file: Node | None) -> None:
        super().__init__()
        file = ConfigFile(config_file)
        made = file.call("loss_fn")
        if not callable(made):
            raise ConfigError(
                f"config_file={file.description.path}: loss_fn returned a {type(made).__name__}, "
                "expected a torch.nn.Module"
            )
        self.loss = made

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of outputs [B, K] and targets, a scalar."""
        loss: Tensor = self.loss(outputs, targets)
        return loss.mean()


class Transform(nn.Module):
    """One of the file's transforms, applied to one item after another as Renate did.

    Without a function of that name items stay as they are; those of the memory are then
    transformed as those that are trained on.

    Args:
        config_file: See `ConfigFile`.
        part: What is transformed: `stream`, `memory` or `test`.
        targets: Whether it is the targets', not the inputs'.
    """

    def __init__(self, config_file: Node | None, part: str, targets: bool) -> None:
        super().__init__()
        if part not in TRANSFORMS:
            raise ConfigError(f"part={part}: expected one of {', '.join(TRANSFORMS)}")

        file = ConfigFile(config_file)
        ending = "_transform"
        if targets:
            ending = "_target_transform"

        name = f"{TRANSFORMS[part]}{ending}"
        if part == "memory" and not file.has(name):
            name = f"train{ending}"
        self.name = name
        self.function: Callable[[Any], Any] | None = None
        if file.has(name):
            self.function = file.call(name)

    def forward(self, batch: ModelInputs) -> ModelInputs:
        """Return a batch [B, ...] of items, or a mapping of such, each item transformed.

        Raises:
            ConfigError: The transform gives something that makes no batch.
        """
        differing = items_in(batch)
        if self.function is None:
            return batch if differing is None else self._stacked(differing, "")

        items = _items(batch) if differing is None else differing
        made = [self.function(item) for item in items]
        if not all(isinstance(item, Mapping) for item in made):
            return self._stacked(made, "")

        names = list(made[0])
        if any(list(item) != names for item in made):
            raise ConfigError(f"{self.name}: it gives mappings with other names for other items")
        return {name: self._stacked([item[name] for item in made], name) for name in names}

    def _stacked(self, items: list[Any], name: str) -> Tensor:
        tensors = [torch.as_tensor(item) for item in items]
        shapes = {tuple(item.shape) for item in tensors}
        if len(shapes) != 1:
            which = f" of '{name}'" if name else ""
            gives = "without it there are" if self.function is None else "it gives"
            raise ConfigError(
                f"{self.name}: {gives} items{which} of {len(shapes)} shapes, as "
                f"{' and '.join(str(list(shape)) for shape in sorted(shapes)[:2])}: expected one"
            )
        return torch.stack(tensors)


def _items(batch: ModelInputs) -> list[Any]:
    """The items of a batch, as a data set gave them: of a mapping, mappings."""
    if isinstance(batch, Tensor):
        return list(batch)

    rows = len(next(iter(batch.values())))
    return [{name: tensor[row] for name, tensor in batch.items()} for row in range(rows)]
