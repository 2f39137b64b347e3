"""Which parts of a model train and which evaluate when an update begins."""

from torch import nn


def enter_training(model: nn.Module) -> list[str]:
    """Call each `train` that a part defines itself, as a loop of PyTorch's would.

    A model whose `train` keeps its batch norms in evaluation mode is one for whom nobody else
    does: a module begins in training mode without `train` being called. Parts that were put into
    evaluation mode where they were made stay in it.

    Args:
        model: Changed in place.

    Returns:
        The names of dropouts and batch norms that stay in evaluation mode.
    """
    for part in model.modules():
        if type(part).train is not nn.Module.train:
            part.train(part.training)

    return [name for name, part in model.named_modules() if not part.training and _depends(part)]


def _depends(part: nn.Module) -> bool:
    """Whether it computes otherwise in training."""
    if isinstance(part, nn.modules.dropout._DropoutNd):
        return part.p > 0
    return isinstance(part, nn.modules.batchnorm._BatchNorm)
