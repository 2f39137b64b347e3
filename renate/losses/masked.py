"""Losses among some of the classes: no probability is the others'."""

import torch
from torch import nn

from renate.errors import ConfigError

NEVER = -1e4  # a logit that no precision's softmax knows from none
ALIKE = 1e-3  # what rounding makes of two losses that are one


def check_masking(criterion: nn.Module, outputs: int, key: str) -> None:
    """Return if a loss is one among the other classes where some have a logit of `NEVER`.

    It is tried: how small that logit is must not matter, and that it is must.

    Args:
        criterion: Of logits [B, K] and classes [B].
        outputs: K.
        key: What leaves classes out, for messages.

    Raises:
        ConfigError: It isn't.
    """
    logits = torch.zeros(1, outputs)
    for buffer in criterion.buffers():
        if buffer.is_floating_point():
            logits = logits.to(buffer)

    target = torch.zeros(1, dtype=torch.int64, device=logits.device)
    losses = []
    for value in (0.0, NEVER, 2 * NEVER):
        logits[:, -1] = value
        with torch.no_grad():
            losses.append(float(criterion(logits, target)))

    name = type(criterion).__name__
    if getattr(criterion, "label_smoothing", 0.0):
        raise ConfigError(
            f"{key}: loss.label_smoothing wants something of each class, also of those that are "
            "masked: loss.label_smoothing=0"
        )
    if not abs(losses[1] - losses[2]) <= ALIKE:
        raise ConfigError(
            f"{key}: {name} wants something of each class, also of those that are masked: "
            "loss=cross_entropy"
        )
    if abs(losses[0] - losses[1]) <= ALIKE:
        raise ConfigError(
            f"{key}: in {name} classes don't compete, so that leaving some out changes nothing: "
            "loss=cross_entropy"
        )
