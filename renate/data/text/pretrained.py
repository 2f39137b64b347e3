"""Tokenizers that others made: of transformers' folders, tokenizer.json files, and the Hub."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from renate.data.fingerprint import open_file
from renate.errors import ConfigError
from renate.extras import load

# What padding is called where the file doesn't say it, in the order of how many use it.
PADDINGS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")


def read_pretrained(name: str | Sequence[str]) -> tuple[str, int]:
    """Return a tokenizer in the JSON of the package tokenizers, and the id of its padding.

    Args:
        name: A folder that transformers has saved, or its files; a tokenizer.json, also by URL; or
            a name of the Hub.

    Raises:
        ConfigError: There is none, it can't be read, or a package is missing.
    """
    if isinstance(name, str) and name.endswith(".json"):
        with open_file(name) as file:
            content = file.read().decode(errors="replace")
        return content, _padding_of(content, name)

    if isinstance(name, str):
        return _of_transformers(name, name)

    with tempfile.TemporaryDirectory() as folder:
        for url in name:
            with open_file(url) as file:
                (Path(folder) / Path(url).name).write_bytes(file.read())
        return _of_transformers(folder, str(name[0]))


def _of_transformers(folder: str, shown: str) -> tuple[str, int]:
    transformers = load("transformers", "hf", f"data.tokenizer={shown}")
    where = folder
    if Path(folder).expanduser().is_dir():
        where = str(Path(folder).expanduser())

    try:
        found = transformers.AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except Exception as error:  # of its network, its files, its packages: whatever happens there
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"data.tokenizer={shown}: no folder with a tokenizer of transformers, no "
            f"tokenizer.json and nothing that the Hub gives ({reason})"
        ) from error

    backend: Any = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise ConfigError(
            f"data.tokenizer={shown}: {type(found).__name__} is written in Python alone, expected "
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
