"""What a data set gives as an input, as a tensor."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.images.decode import as_seen
from renate.errors import DataError


class UnlikeError(DataError):
    """Items differ in shape or kind, so that they can't be columns."""


def as_tensor(value: Any, where: str) -> Tensor:
    """A tensor as it is; an array, numbers or a PIL image as a tensor: images as uint8 [C, H, W].

    Half precision becomes float32, unsigned integers of more than 8 bits the next larger signed
    ones.

    Raises:
        DataError: What isn't any of these, or isn't dense and real.
    """
    if not isinstance(value, Tensor):
        value = _of_array(value, where)

    tensor: Tensor = value.detach()
    if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized:
        raise DataError(
            f"{where}: its input is {tensor.dtype}, {tensor.layout}, expected dense real numbers"
        )

    if tensor.dtype in (torch.float16, torch.bfloat16):
        return tensor.cpu().float()
    if tensor.dtype in (torch.uint16, torch.uint32, torch.uint64):
        return _of_array(tensor.cpu().numpy(), where)

    return tensor.cpu()


def _of_array(value: Any, where: str) -> Tensor:
    try:
        if hasattr(value, "getbands"):  # a PIL image
            seen = np.array(as_seen(value, f"{where}: its input"))
            array = seen[None] if seen.ndim == 2 else seen.transpose(2, 0, 1)
        else:
            array = np.array(value)  # a copy: torch wants arrays that it may write to

        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            if array.size and int(array.max()) > np.iinfo(np.int64).max:
                raise DataError(
                    f"{where}: its input holds {int(array.max())}, beyond int64: divide it"
                )
            array = array.astype(np.int32 if array.dtype.itemsize == 2 else np.int64)

        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))
    except (TypeError, ValueError) as error:
        name = type(value).__name__
        raise DataError(
            f"{where}: its input is {name}, expected a tensor, an array, numbers or an image"
        ) from error
