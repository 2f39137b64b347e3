"""What adds up over many steps says that half precision doesn't."""

import pytest
import torch

from renate.errors import ConfigError
from renate.updaters.shared.averages import AveragedCopy
from tests.updaters.small_fit import Small, batch_of, columns_of, model_of


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_holds_no_sums_over_steps(dtype: torch.dtype) -> None:
    kind = str(dtype).removeprefix("torch.")
    model = model_of().to(dtype)
    with pytest.raises(ConfigError, match=f"an average .* what {kind} rounds away"):
        AveragedCopy(model, 0.999).follow(model)

    small = Small.of("si", model=model)
    with pytest.raises(ConfigError, match=r"updater=si .* trainer.precision=bf16-mixed"):
        small.updater.start(model, columns_of(1))

    for name in ("slda", "ncm", "ranpac"):
        small = Small.of(name)
        small.updater.start(small.model, columns_of(1))
        small.updater.to(dtype)  # as Lightning does
        with pytest.raises(ConfigError, match=f"what {kind} rounds away"):
            small.updater.loss(small.model, batch_of(1))


def test_double_precision_does() -> None:
    model = model_of().double()
    AveragedCopy(model, 0.999).follow(model)
    Small.of("si", model=model).updater.start(model, columns_of(1))
