"""A contract as YAML for people, and as JSON in a version."""

import json
from collections.abc import Hashable
from typing import Any

import yaml

from renate.data.contract.document import Contract
from renate.data.fingerprint import open_file
from renate.errors import ConfigError, DataError
from renate.state import strict

FILE = "contract.json"  # in a version
LARGEST = 50_000_000  # bytes of a contract
TITLE = """\
# What data may be like. Edit it, and give it to the next update as data.contract=FILE;
# a key that is taken out isn't checked. conf/contract/ says what a check leads to.
"""


class _Loader(yaml.SafeLoader):
    """Safe YAML, in which a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def to_yaml(contract: Contract) -> str:
    """Return a contract as people read and edit it."""
    plain = contract.to_plain()
    body = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return TITLE + str(body)


def to_json(contract: Contract) -> bytes:
    """Return a contract as a version keeps it."""
    return json.dumps(contract.to_plain(), indent=1, allow_nan=False).encode()


def from_json(raw: bytes | memoryview) -> Contract:
    """Read a version's contract. Raises ValueError: it isn't what an update writes."""
    strict.need(len(raw) <= LARGEST, f"it has {len(raw)} bytes, expected at most {LARGEST}")
    return Contract.from_plain(strict.parse(raw))


def read_contract(path: str) -> Contract:
    """Read a contract that a person wrote.

    Args:
        path: A file of YAML, or its URL.

    Raises:
        ConfigError: There is none, or it isn't one: by its key, value, and what was expected.
    """
    where = f"data.contract={path}"
    try:
        with open_file(path) as file:
            text = file.read(LARGEST + 1)
    except (DataError, OSError) as error:
        raise ConfigError(f"{where}: {error}") from error

    if len(text) > LARGEST:
        raise ConfigError(f"{where}: more than {LARGEST:,} bytes, which is no contract")
    try:
        found = yaml.load(text, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{where}: no YAML that can be read: {said}") from error

    try:
        return Contract.from_plain(found)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from error
