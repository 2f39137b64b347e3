"""What modules within a model give, and how far that is from what they gave before."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.model_inputs import ModelInputs
from renate.errors import ConfigError, nearest
from renate.memory.store.memory import Memory
from renate.seeds import derive

POOLINGS = ("pixel", "channel", "width", "height", "gap", "spatial")
FIELD = "features"


def pooled(features: Tensor, pooling: str) -> Tensor:
    """Return squares of features, summed over some of their dimensions (Douillard et al., 2020,
    https://arxiv.org/abs/2004.13513, eq. 1 to 4).

    Args:
        features: [B, C, H, W]; of another number of dimensions each value stays as it is.
        pooling: pixel: nothing is summed, [B, C H W]; channel: [B, H W]; width, over the height:
            [B, C W]; height, over the width: [B, C H]; gap, the mean over both: [B, C]; spatial:
            height and width side by side, [B, C (H + W)].
    """
    squares = features.square()
    if features.ndim != 4 or pooling == "pixel":
        return squares.flatten(1)
    if pooling == "channel":
        return squares.sum(1).flatten(1)
    if pooling == "gap":
        return squares.mean((2, 3))

    of_height = squares.sum(3).flatten(1)
    of_width = squares.sum(2).flatten(1)
    sums = {"height": of_height, "width": of_width}
    if pooling in sums:
        return sums[pooling]
    return torch.cat([of_height, of_width], 1)


def check_pooling(pooling: str) -> None:
    """Raises ValueError for what `pooled` doesn't know."""
    if pooling not in POOLINGS:
        raise ValueError(
            f"pooling={pooling!r}: expected {', '.join(POOLINGS)}{nearest(str(pooling), POOLINGS)}"
        )


def with_weights(model: nn.Module) -> list[str]:
    """Return the names of a network's parts that have weights, all but the last, which is its
    head.
    """
    prefix = ""
    children = [*model.named_children()]
    while len(children) == 1:
        prefix += f"{children[0][0]}."
        children = [*children[0][1].named_children()]

    parts = [name for name, part in children if next(part.parameters(), None) is not None]
    return [f"{prefix}{name}" for name in parts[:-1]]


class PooledFeatures(nn.Module):
    """Taps on modules of a model, whose outputs are pooled and compared with those of before.

    An updater makes it in `setup`, keeps the features as the field `features` of its memory, and
    calls `check` in `start`.

    Args:
        model: Which has the modules.
        modules: Their names in it; None takes all parts that have weights but the head.
        pooling: See `pooled`.
        normalize: Whether each module's features are divided by their length before they are
            compared, as PODNet does.

    Attributes:
        kept_as: Of which modules and pooling a memory's features are, as a number; 0 where nothing
            says so.

    Raises:
        ConfigError: The model has no such module.
    """

    kept_as: Tensor

    def __init__(
        self, model: nn.Module, modules: Sequence[str] | None, pooling: str, normalize: bool
    ) -> None:
        super().__init__()
        self.names = with_weights(model) if modules is None else list(modules)
        self.pooling = pooling
        self.normalize = normalize

        known = [name for name, _ in model.named_modules() if name]
        for name in self.names:
            if name not in known:
                raise ConfigError(
                    f"updater.modules: the model has no module '{name}'{nearest(name, known)}"
                )
        if modules is not None and not self.names:
            raise ConfigError("updater.modules=[]: expected a module's name or more, or null")
        if not self.names:
            raise ConfigError(
                "updater.modules=null: the model has one part with weights only, and features are "
                f"what comes before: name some of {', '.join(known[:8])}"
            )

        own = derive(0, f"features/{pooling}/{self.names}")
        self.own = own
        self.computes_kept = False
        self.register_buffer("kept_as", torch.zeros((), dtype=torch.int64))

    def forward(self, model: nn.Module, inputs: ModelInputs) -> tuple[Tensor, list[Tensor]]:
        """Return a model's outputs [B, K], and of each module the pooled features [B, D].

        Raises:
            ConfigError: A module isn't called, or gives no tensor.
        """
        with self._listening(model) as heard:
            outputs: Tensor = model(inputs)

        for name in self.names:
            found = heard.get(name)
            if not isinstance(found, Tensor) or found.ndim < 2:
                kind = "nothing" if found is None else f"a {type(found).__name__}"
                raise ConfigError(
                    f"updater.modules: '{name}' gives {kind}, expected a tensor [B, …]: name other "
                    "modules of the model"
                )

        return outputs, [pooled(heard[name], self.pooling) for name in self.names]

    @contextmanager
    def _listening(self, model: nn.Module) -> Iterator[dict[str, Any]]:
        heard: dict[str, Any] = {}

        def listen(name: str) -> Any:
            def hear(module: nn.Module, arguments: Any, output: Any) -> None:
                heard[name] = output

            return model.get_submodule(name).register_forward_hook(hear)

        handles = [listen(name) for name in self.names]
        try:
            yield heard
        finally:
            for handle in handles:
                handle.remove()

    def kept(self, features: Sequence[Tensor]) -> Tensor:
        """Return features as the memory keeps them, float32 [B, D of all modules together]."""
        return torch.cat([*features], 1).detach().float()

    def distance(self, now: Sequence[Tensor], then: Tensor) -> Tensor:
        """Return how far features are from what the memory kept, a scalar: the length of the
        difference, mean over examples and modules.

        Args:
            now: Of each module, [B, D].
            then: What the memory kept, see `kept`.

        Raises:
            ConfigError: There are more or fewer than were kept.
        """
        widths = [features.shape[1] for features in now]
        if sum(widths) != then.shape[1]:
            raise ConfigError(
                f"updater.modules: {', '.join(self.names)} give {sum(widths)} values for an "
                f"example, and gave {then.shape[1]} before, as where texts are padded to the "
                "longest of their batch: name modules of the model that give as many for each"
            )

        parts = torch.split(then, widths, 1)
        lengths = []
        for features, before in zip(now, parts, strict=True):
            if self.normalize:
                difference = F.normalize(features, dim=1) - F.normalize(before, dim=1)
            else:
                difference = features - before
            lengths.append(torch.linalg.vector_norm(difference, dim=1).mean())

        return torch.stack(lengths).mean()

    def backfilled(self, memory: Memory, features: Sequence[Tensor]) -> Tensor:
        """Return features as `kept`, of past examples of a memory that may have none."""
        self.computes_kept = FIELD not in memory.columns()
        return self.kept(features)

    def check(self, memory: Memory) -> None:
        """Return if the memory's features are of these modules and this pooling; then note them.

        Raises:
            ConfigError: They are of others, which might have as many values, or of an update
                before the last, and nothing says of which.
        """
        then = int(self.kept_as)
        is_known = self.computes_kept or then == self.own
        if FIELD in memory.columns() and not is_known:
            found = "are of another pooling or other modules: keep those, or"
            if not then:
                found = "are an earlier update's, and nothing says of which modules:"
            raise ConfigError(
                f"updater.pooling={self.pooling}, updater.modules: the features that the state's "
                f"memory keeps {found} start a new state"
            )
        self.kept_as.fill_(self.own)
