"""A small transformer over the rows of an image, for `gpu.py`."""

from collections.abc import Sequence

from torch import Tensor, nn

WIDTH = 128


class RowsTransformer(nn.Module):
    """Two layers of attention over rows of pixels, their mean, and a linear head; no dropout.

    Args:
        input_shape: [C, H, W].
        num_classes: Outputs.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        channels, _, width = input_shape
        self.embed = nn.Linear(channels * width, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, C, H, W] float -> [B, num_classes]."""
        rows = inputs.permute(0, 2, 1, 3).flatten(2)
        found: Tensor = self.head(self.layers(self.embed(rows)).mean(1))
        return found
