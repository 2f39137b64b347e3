"""Networks of the package transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from renate.errors import ConfigError
from renate.extras import load
from renate.models.encoders import check_complete, check_heads, quiet


def network_of(
    name: str, auto: str, config: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> nn.Module:
    """Return a network with its pre-trained weights, or with random ones where a config is given.

    Args:
        name: A folder that transformers has saved, or a name of the Hub.
        auto: The class of transformers that finds the network's own class.
        config: The network's, as JSON has it; None reads it with the weights.
        options: Further arguments of the network's class.

    Raises:
        ConfigError: The extra isn't installed, there is nothing of that name, it lacks weights, or
            a config is no network's.
    """
    where = f"pretrained_model_name_or_path={name}"
    transformers: Any = load("transformers", "hf", where)
    make = getattr(transformers, auto)
    if config is not None:
        made = _config_of(transformers, config)
        check_heads(made)
        network: nn.Module = make.from_config(made, **options)
        return network

    place = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        with quiet(transformers):
            network, found = make.from_pretrained(
                place,
                trust_remote_code=False,
                dtype="float32",  # else it is the file's, which may be half of it
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # of its network, its files, its packages: whatever happens there
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{where}: neither a folder that transformers has saved nor what the Hub gives "
            f"({reason})"
        ) from error

    check_complete(where, network, found)
    network.train()  # as what is made of a config is; transformers gives it evaluating

    return network


def _config_of(transformers: Any, config: Mapping[str, Any]) -> Any:
    given = dict(config)
    return transformers.AutoConfig.for_model(given.pop("model_type"), **given)
