"""Encoders of transformers: from an architecture, or from a checkpoint, and what a version keeps of
them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from renate.errors import ConfigError, nearest
from renate.extras import load

# A key of a config that is numbers, switches and words alone.
KEY = re.compile(r"[a-z][a-z0-9_]*")
# A word, and no path or address: some name code that would be fetched and run.
WORD = re.compile(r"[\w. -]*")
# Of a config what is no architecture, or names code.
LEFT_OUT = (
    "architectures",
    "attn_implementation",
    "auto_map",
    "dtype",
    "id2label",
    "label2id",
    "quantization_config",
    "torch_dtype",
    "transformers_version",
)
# A state can ask for any number of them, and each takes time to make.
MOST_LAYERS = 1000
# Settings that count something.
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "patch_size",
    "vocab_size",
)
# Rows that a checkpoint may have beyond its tokenizer's tokens: some fill up to a round number.
SPARE = 1024


POOLINGS = ("first", "mean")


def check_pooling(pooling: str) -> str:
    """Return how an encoder's outputs become one vector, if it is one of `POOLINGS`.

    Raises:
        ConfigError: It isn't.
    """
    if pooling not in POOLINGS:
        raise ConfigError(f"model.pooling={pooling}: expected one of {', '.join(POOLINGS)}")
    return pooling


def begun(
    checkpoint: str | None,
    architecture: Mapping[str, Any],
    kept: Mapping[str, Any] | None,
    auto: str = "AutoModel",
    **sizes: Any,
) -> tuple[Any, dict[str, Any]]:
    """Make the encoder that a model's settings ask for.

    Args:
        checkpoint: See `of_checkpoint`; None draws random weights.
        architecture: See `of_architecture`, with `sizes`.
        kept: A checkpoint's architecture as a version keeps it, which needs no files; it comes
            before the others.
        auto: The class of transformers' that makes it.
        **sizes: What the data say of an encoder with random weights.

    Returns:
        The encoder, and the arguments that a version keeps besides those of the model's config.

    Raises:
        ConfigError: There is no such architecture or checkpoint.
    """
    if kept is not None:
        return of_architecture(kept, auto), {}
    if checkpoint is None:
        return of_architecture(architecture, auto, **sizes), {}

    encoder: Any = of_checkpoint(checkpoint, auto)
    return encoder, {"config": plain(encoder.config.to_dict())}


def of_architecture(
    architecture: Mapping[str, Any], auto: str = "AutoModel", **sizes: Any
) -> nn.Module:
    """Make an encoder with random weights.

    Args:
        architecture: `model_type`, as transformers knows it, and what its config takes.
        auto: The class of transformers' that makes it.
        **sizes: More of the same.

    Raises:
        ConfigError: It names no architecture, or has a key that this one doesn't.
        ValueError: Its numbers don't fit each other.
    """
    transformers = load("transformers", "hf", f"model_type={architecture.get('model_type')}")
    given = plain(architecture)
    kind = given.pop("model_type", None)
    try:
        usual = transformers.AutoConfig.for_model(kind)
    except (ValueError, KeyError) as error:
        known = transformers.CONFIG_MAPPING
        raise ConfigError(
            f"model_type={kind}: transformers has no such architecture{nearest(str(kind), known)}"
        ) from error

    known = {*usual.to_dict(), *usual.attribute_map}
    for name in given:
        if name not in known:
            raise ConfigError(f"{name}: {kind} has no such setting{nearest(name, known)}")

    for name, value in (given | sizes).items():
        if name in SIZES and isinstance(value, int) and value < 1:
            raise ConfigError(f"{name}={value}: expected 1 or more")

    try:
        made = transformers.AutoConfig.for_model(kind, **(given | sizes))
    except Exception as error:  # of many kinds, for values that its config doesn't take
        raise ConfigError(f"{kind}: {' '.join(str(error).split())}") from error

    check_heads(made)
    with quiet(transformers):
        maker = getattr(transformers, auto)
        return _bare(maker.from_config(made, attn_implementation="sdpa"))


def of_checkpoint(name: str, auto: str = "AutoModel") -> nn.Module:
    """Make an encoder with the weights of a folder, or of a name of the Hub.

    Raises:
        ConfigError: There is none, or it lacks weights.
    """
    transformers = load("transformers", "hf", f"model.checkpoint={name}")
    try:
        with quiet(transformers):
            model, found = getattr(transformers, auto).from_pretrained(
                name,
                trust_remote_code=False,
                attn_implementation="sdpa",
                dtype="float32",
                output_loading_info=True,
            )
    except Exception as error:  # of its network, its files, its packages: whatever happens there
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"checkpoint={name}: no folder with a checkpoint of transformers, and none that the "
            f"Hub gives ({reason})"
        ) from error

    check_complete(f"checkpoint={name}", model, found)
    # As transformers gives it, it evaluates: it would be trained without its dropout, but with it
    # from the second update on, whose encoder is made of the architecture.
    model.train()
    return _bare(model)


def check_complete(where: str, model: nn.Module, found: Mapping[str, Any]) -> None:
    """Return if a checkpoint has all weights of a network, but for what pools its outputs.

    Args:
        where: What names the checkpoint, for messages.
        model: The network.
        found: What transformers says of loading it.

    Raises:
        ConfigError: The rest would stay random.
    """
    lost = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    lost += sorted(str(key) for key in found["mismatched_keys"])
    if lost:
        raise ConfigError(
            f"{where}: it has no weights for '{lost[0]}' and {len(lost) - 1} more of "
            f"{type(model).__name__}: is it damaged, or another architecture's?"
        )


def check_heads(config: Any) -> None:
    """Return if each head of a network's attention has its share of the width: transformers makes
    some networks narrower without a word.

    Raises:
        ConfigError: The width can't be shared.
    """
    width = getattr(config, "hidden_size", None)
    heads = getattr(config, "num_attention_heads", None)
    has_own = getattr(config, "head_dim", None) is not None
    if isinstance(width, int) and isinstance(heads, int) and not has_own and width % max(heads, 1):
        raise ConfigError(f"num_attention_heads={heads}: hidden_size={width} is no multiple of it")


def check_tokens(network: Any, checkpoint: str | None, vocab_size: int, max_length: int) -> None:
    """Return if the tokenizer's ids and lengths are those of a network of transformers.

    Raises:
        ConfigError: They aren't.
    """
    rows = getattr(network.get_input_embeddings(), "num_embeddings", None)
    if rows is None:
        kind = network.config.model_type
        raise ConfigError(f"model.architecture.model_type={kind}: it takes no texts, as bert does")
    if not rows - SPARE <= vocab_size <= rows:
        raise ConfigError(
            f"model.checkpoint={checkpoint} has {rows:,} tokens, the tokenizer {vocab_size:,}: "
            f"data.tokenizer={checkpoint} takes its own"
        )

    longest = getattr(network.config, "max_position_embeddings", None) or max_length
    # RoBERTa's count begins behind the id of padding, and its 512 places are called 514
    if longest % 2**7 == 2 and checkpoint is not None:
        longest -= 2
    if max_length > longest:
        raise ConfigError(
            f"data.max_length={max_length}: model.checkpoint={checkpoint} takes {longest} "
            "tokens at most"
        )


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an encoder's config says its architecture, as JSON; `of_architecture` makes
    the same of it.

    Raises:
        ConfigError: It holds what may name code.
    """
    found = {}
    for name, value in config.items():
        if name in LEFT_OUT or name.startswith("_"):
            continue
        if not isinstance(name, str) or not KEY.fullmatch(name) or not _is_plain(value):
            raise ConfigError(f"{name}={value!r}: expected a number, a word, or a list of such")
        if "layer" in name and isinstance(value, int) and value > MOST_LAYERS:
            raise ConfigError(f"{name}={value}: expected {MOST_LAYERS} or less")
        found[name] = value

    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    if isinstance(value, str):
        return WORD.fullmatch(value) is not None
    return value is None or isinstance(value, int | float | bool)


def _bare(model: nn.Module) -> nn.Module:
    """Without what we don't use: several processes wait for the gradient of each weight."""
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.register_module("pooler", None)
    return model


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Without its bars and warnings: what matters in them is an error here."""
    logs = transformers.logging
    level = logs.get_verbosity()
    bars = logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()
