"""peft's adapters beside the layers of a model, and into their weights."""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from renate.errors import ConfigError

ADAPTER = "default"  # what peft calls the only one


def inject(
    peft: Any, model: nn.Module, names: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Put an adapter around each layer, and let nothing else be trained.

    Args:
        peft: The package.
        model: Changed in place.
        names: Of the layers.
        settings: Of peft's LoraConfig.

    Returns:
        Name -> peft's layer.

    Raises:
        ConfigError: peft can't adapt one of them.
    """
    config = peft.LoraConfig(target_modules="|".join(map(re.escape, names)), **settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peft.inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    except (ValueError, TypeError, AssertionError) as error:
        # peft makes an adapter by the layer's own class, whose arguments may be other than torch's
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"updater.layers: peft can't adapt all of {', '.join(names[:3])}, … ({reason}): name "
            "layers that are torch's own, as updater.layers=[query,value]"
        ) from error

    return {name: model.get_submodule(name) for name in names}


def join(model: nn.Module, name: str, adapter: Any) -> None:
    """Add an adapter to the weight of its layer, and let that layer stand by itself again."""
    adapter.merge()
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, adapter.get_base_layer())


def slot(name: str) -> str:
    """Return a layer's name as that of a buffer, which has no dots."""
    return name.replace(".", "/")
