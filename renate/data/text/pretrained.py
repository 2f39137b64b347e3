"""Tokenizers that others made: of transformers' folders, tokenizer.json files, and the Hub."""

import json
from pathlib import Path
from typing import Any

from renate.data.fingerprint import open_file
from renate.errors import ConfigError
from renate.extras import load

# What padding is called where the file doesn't say it, in the order of how many use it.
PADDINGS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


def read_pretrained(name: str) -> tuple[str, int]:
    """Return a tokenizer in the JSON of the package tokenizers, and the id of its padding.

    Args:
        name: A folder that transformers has saved; a tokenizer.json, also by URL; or a name of the
            Hub.

    Raises:
        ConfigError: There is none, it can't be read, or a package is missing.
        DataError: There is no such file.
    """
    if not name.endswith(".json"):
        return _of_transformers(name)

    with open_file(name) as file:
        content = file.read().decode(errors="replace")
    return content, _padding_of(content, name)


def _of_transformers(name: str) -> tuple[str, int]:
    transformers = load("transformers", "hf", f"data.tokenizer={name}")
    where = name
    if Path(name).expanduser().is_dir():
        where = str(Path(name).expanduser())

    try:
        found = transformers.AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except Exception as error:  # of its network, its files, its packages: whatever happens there
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"data.tokenizer={name}: no folder with a tokenizer of transformers, no "
            f"tokenizer.json and nothing that the Hub gives ({reason})"
        ) from error

    backend: Any = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise ConfigError(
            f"data.tokenizer={name}: {type(found).__name__} is written in Python alone, expected "
            "one with a tokenizer.json, which a version can keep"
        )

    return backend.to_str(), int(found.pad_token_id or 0)


def _padding_of(content: str, shown: str) -> int:
    """The id of the padding of a tokenizer.json; 0 where it has none: what is padded is masked."""
    try:
        found = json.loads(content)
        tokens = {str(token["content"]): int(token["id"]) for token in found["added_tokens"]}
        if found.get("padding"):
            return int(found["padding"]["pad_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"data.tokenizer={shown}: no tokenizer.json as the package tokenizers writes it"
        ) from error

    return next((tokens[name] for name in PADDINGS if name in tokens), 0)
