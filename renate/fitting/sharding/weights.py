"""The weights that a fit trains: whole in each process, or a share of them in each of several."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Any]


class Weights:
    """Weights that are whole in each process.

    Args:
        model: The network.

    Attributes:
        trained: What is trained.
        whole: What is measured, saved and published: the same network.
    """

    def __init__(self, model: nn.Module) -> None:
        self.trained = model
        self.whole = model

    def cut(self, device: str) -> None:
        """Share the weights out, before there is an optimizer."""

    def gather(self) -> None:
        """Bring `whole` up to date; all processes call it."""

    def state(self) -> State:
        """What a checkpoint of this process keeps of the weights."""
        return self.trained.state_dict()

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self.trained.load_state_dict(state)

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> State:
        """What it keeps of an optimizer of these weights."""
        return optimizer.state_dict()

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: State) -> None:
        """Take back what `optimizer_state` returned."""
        optimizer.load_state_dict(state)


class Shares(Weights):
    """Weights of which each process keeps a share, with its gradients and the optimizer's state.

    A copy of the network is cut; the network itself stays whole, in the host's memory, and is
    brought up to date when it is measured, and at the end. Torch's own `fully_shard` (Zhao et al.,
    2023, https://arxiv.org/abs/2304.11277) brings the weights of a block together while it
    computes. A block is what stands in a list or a sequence of modules.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.trained = copy.deepcopy(model)

    def cut(self, device: str) -> None:
        """See `Weights`."""
        import torch.distributed as dist
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device, (dist.get_world_size(),))
        for block in blocks_of(self.trained):
            fully_shard(block, mesh=mesh)

        fully_shard(self.trained, mesh=mesh)

    @torch.no_grad()
    def gather(self) -> None:
        """See `Weights`."""
        whole = self.whole.state_dict()
        for name, tensor in self.trained.state_dict().items():
            if is_share(tensor):
                tensor = tensor.full_tensor()
            if isinstance(tensor, Tensor):
                whole[name].copy_(tensor)

    def state(self) -> State:
        """See `Weights`; the shares of this process alone."""
        shares: State = _shares_in(self.trained.state_dict())
        return shares

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        """See `Weights`."""
        for name, tensor in self.trained.state_dict().items():
            if is_share(tensor):
                tensor = tensor.to_local()
            if isinstance(tensor, Tensor):
                tensor.copy_(state[name])

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> State:
        """See `Weights`."""
        shares: State = _shares_in(optimizer.state_dict())
        return shares

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: State) -> None:
        """See `Weights`."""
        parameters = [each for group in optimizer.param_groups for each in group["params"]]
        kept = {
            place: {name: _as_share(value, parameters[place]) for name, value in values.items()}
            for place, values in state["state"].items()
        }
        optimizer.load_state_dict({**state, "state": kept})


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The parts of a network that are brought together one after the other, inner ones first."""
    return [
        part
        for name, part in reversed([*model.named_modules()])
        if name
        and any(True for _ in part.parameters())
        and isinstance(model.get_submodule(name.rpartition(".")[0]), nn.ModuleList | nn.Sequential)
        and not isinstance(part, nn.ModuleList)
    ]


def is_share(value: object) -> bool:
    """Whether a tensor is this process's share of one."""
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def _shares_in(value: Any) -> Any:
    if is_share(value):
        return value.to_local().clone()
    if isinstance(value, Mapping):
        return {key: _shares_in(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shares_in(each) for each in value]
    return value


def _as_share(value: Any, parameter: Any) -> Any:
    """A value that an optimizer keeps of a parameter, cut as that is; a number stays one."""
    if not is_share(parameter) or not isinstance(value, Tensor) or not value.ndim:
        return value

    from torch.distributed.tensor import DTensor

    local = value.to(parameter.to_local().device)
    return DTensor.from_local(
        local,
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=parameter.shape,
        stride=parameter.stride(),
    )
