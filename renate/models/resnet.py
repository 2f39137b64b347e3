"""ResNet-18 for small images."""

import torch.nn.functional as F
from torch import Tensor, nn

from renate.checks.bounds import at_least_1


class Block(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al., 2016, https://arxiv.org/abs/1512.03385,
    figure 5 left).
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()

        if stride != 1 or width_in != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, width_in, H, W] float -> [B, width, H / stride, W / stride], both rounded up."""
        out = F.relu(self.bn1(self.conv1(inputs)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(inputs))


class ResNet18(nn.Module):
    """The variant of the continual-learning papers: a 3×3 stem of stride 1, no max-pooling, trained
    from scratch.

    11.17 million parameters at width 64 and 10 classes.

    Args:
        in_channels: 3 for RGB, 1 for grey.
        num_classes: Outputs.
        width: Channels of the first stage; the others have twice, four and eight times as many.
    """

    def __init__(self, in_channels: int, num_classes: int, width: int) -> None:
        super().__init__()
        at_least_1(width=width)

        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        stages: list[nn.Module] = []
        before = width

        for stage, stride in enumerate((1, 2, 2, 2)):
            now = width * 2**stage
            stages += [Block(before, now, stride), Block(now, now, 1)]
            before = now

        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(before, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, in_channels, H, W] float -> logits [B, num_classes]."""
        features = self.stages(self.stem(inputs))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits
