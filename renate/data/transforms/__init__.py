"""Transforms of whole batches [B, ...], on whatever device they lie. Random ones draw from torch's
global generator, for each example anew.
"""

from renate.data.transforms.colour import ColorJitter, RandomErasing, RandomGrayscale
from renate.data.transforms.crops import CenterCrop, RandomCrop, RandomResizedCrop, Resize
from renate.data.transforms.kornia import Kornia
from renate.data.transforms.mixup import Mixup
from renate.data.transforms.scale import Normalize, Scale
from renate.data.transforms.turns import RandomHorizontalFlip, RandomRotation, RandomVerticalFlip

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Kornia",
    "Mixup",
    "Normalize",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "Scale",
]
