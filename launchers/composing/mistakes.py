"""Hydra's errors in one line: key, value, what was expected, the nearest valid choice."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from renate.errors import ConfigError, RenateError, nearest

from .conf import ROOT, groups, options_of
from .interruptions import interruption_in

SHOWN = 5  # options that have a key, in a message of one line
GRAMMAR = ("choice", "interval", "range", "tag", "int", "float", "str", "bool")
DOMAINS = {  # what others call them -> Hydra's grammar
    "log": "tag(log,interval({}))",
    "loguniform": "tag(log,interval({}))",
    "log_uniform": "tag(log,interval({}))",
    "uniform": "interval({})",
    "quniform": "interval({})",
    "randint": "int(interval({}))",
    "lograndint": "tag(log,int(interval({})))",
    "finrange": "interval({})",
    "grid": "choice({})",
    "grid_search": "choice({})",
    "categorical": "choice({})",
    "list": "choice({})",
}
NO_OPTION = "Config group override must be"  # Hydra's words


@contextmanager
def one_line(overrides: Sequence[str]) -> Iterator[None]:
    """Turn Hydra's errors into ours: key, value, what was expected, the nearest valid choice."""
    if os.environ.get("RENATE_DEBUG"):
        yield
        return

    try:
        yield
    except OverrideParseException as error:
        raise ConfigError(f"{error.override}: {_quoted(error)}") from error
    except MissingConfigException as error:
        raise ConfigError(_missing(error)) from error
    except ValueError as error:
        if not str(error).startswith(NO_OPTION):
            raise
        raise ConfigError(_no_option(overrides)) from error
    except (HydraException, OmegaConfBaseException, AttributeError) as error:
        if isinstance(error.__cause__, RenateError):
            raise error.__cause__ from error
        if (interruption := interruption_in(error)) is not None:
            raise interruption from None
        if isinstance(error, AttributeError) and not isinstance(error, OmegaConfBaseException):
            raise
        raise ConfigError(_composition(error, overrides)) from error


def _no_option(overrides: Sequence[str]) -> str:
    """What stands in the place of a group's option, as null and a number do."""
    known = groups()
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        value = override.value()
        if override.key_or_group in known and not isinstance(value, str | list):
            options = sorted(options_of(override.key_or_group))
            advice = ""
            if value is None and "none" in options:
                advice = f"; for nothing {override.key_or_group}=none"
            names = ", ".join(options)
            return f"{override.input_line}: expected the name of an option: {names}{advice}"
    return "a group is given a value: expected the name of an option"


def _quoted(error: OverrideParseException) -> str:
    """Offer the argument with its value quoted, if that is what it lacks."""
    key, equals, value = error.override.partition("=")
    if not equals:
        return "expected key=value"
    if domain := _domain(key, value):
        return domain

    for candidate in (f'{key}="{value}"', f"{key}='{value}'"):
        try:
            OverridesParser.create().parse_overrides([candidate])
        except HydraException:
            continue
        return f"its value needs quotes: {shlex.quote(candidate)}"

    return str(error).splitlines()[0].rstrip(":.")


def _domain(key: str, value: str) -> str | None:
    """What a domain in another library's words is in Hydra's.

    None where the value is no such call.
    """
    called = re.fullmatch(r"\s*([A-Za-z_][\w.]*)\((.*)\)\s*", value)
    if called is None:
        return None

    name = called[1].rpartition(".")[2].lower()
    inner = called[2].replace(" ", "")
    if name == "choice":
        return f"choice can't hold these (null, say): write {shlex.quote(f'{key}={inner}')}"

    said = DOMAINS.get(name)
    if said is None and name in GRAMMAR:
        return f"expected numbers, as interval(0,1) and range(1,5) have them: {called[1]}({inner})"
    if said is None:
        return f"no such domain as {called[1]}(…){nearest(name, GRAMMAR)} ({', '.join(GRAMMAR)})"

    return f"a domain of that kind is {shlex.quote(f'{key}={said.format(inner)}')}"


def _missing(error: MissingConfigException) -> str:
    path = error.missing_cfg_file or ""
    group, _, option = path.rpartition("/") if path.startswith("hydra/") else path.partition("/")
    options = list(error.options or [])
    if not path.startswith("hydra/"):
        options = sorted(options_of(group))
    if not option or not options:
        return " ".join(str(error).split())

    advice = nearest(option, options)
    page = "; docs/limits.md says what is missing, and what to do meanwhile"
    if advice:
        page = ""

    return f"{group}={option}: no such option{advice} ({', '.join(options)}){page}"


def _composition(error: Exception, overrides: Sequence[str]) -> str:
    text = str(error)
    found = re.search(r"Could not (?:override|append to config) '([^']+)'", text)
    key = found[1] if found else None
    bad = [o for o in overrides if key and o.lstrip("+~").partition("=")[0] == key]
    if bad and "No match in the defaults list" in text:
        return f"{bad[0]}: no such group{nearest(str(key), groups())}"
    if bad and "not in struct" in str(error.__cause__ or text):
        return _no_such_key(str(key), bad[0], [o for o in overrides if o not in bad])

    lines = [
        line.strip()
        for line in [*text.splitlines(), *str(error.__cause__ or "").splitlines()]
        if line.strip()
    ]

    return " ".join(dict.fromkeys(lines))


def _no_such_key(key: str, line: str, others: Sequence[str]) -> str:
    keys = [known for known in _keys(others) if not known.endswith("._target_")]
    parent, _, name = key.rpartition(".")
    known_parent = parent in keys
    siblings = keys
    if known_parent:
        siblings = [known for known in keys if known.rpartition(".")[0] == parent]
    elsewhere = _options_with(parent, name)
    advice = elsewhere or nearest(key, siblings) or _same_name(name, keys)
    there = ""
    if known_parent and siblings:
        there = f" ({', '.join(siblings)})"

    return f"{line}: no such key{advice}{there}; to add one on purpose: +{line}"


def _options_with(group: str, name: str) -> str:
    """The options of a group that have a key which the chosen one lacks.

    Nothing where none does.
    """
    if not group:
        return ""

    found: list[str] = []
    for option, file in options_of(group).items():
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        if isinstance(content, dict) and name in content:
            found.append(f"{group}={option}")

    if not found:
        return ""

    have = "has" if len(found) == 1 else "have"
    named = ", ".join(found[:SHOWN])
    if len(found) > SHOWN:
        named += f" and {len(found) - SHOWN} more"

    return f"; {named} {have} it"


def _same_name(name: str, keys: Sequence[str]) -> str:
    """A key of any depth whose last word is the one given, or nearly."""
    ends = {key.rpartition(".")[2]: key for key in reversed(keys)}
    if name in ends:
        return f", did you mean '{ends[name]}'?"

    inside = [key for end, key in ends.items() if name in end.split("_")]
    if inside:
        return f", did you mean '{inside[0]}'?"

    close = nearest(name, ends)

    return close and close.replace(f"'{(word := close.split(chr(39))[1])}'", f"'{ends[word]}'")


def _keys(overrides: Sequence[str]) -> list[str]:
    """Every key of the config that the remaining overrides compose."""
    loader = ConfigLoaderImpl(create_config_search_path(ROOT))
    try:
        config = loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)
    except (
        HydraException,
        OmegaConfBaseException,
    ):  # a second mistake; the first is reported without a guess
        return []

    return [
        key
        for key in _walk(OmegaConf.to_container(config, resolve=False))
        if not key.startswith("hydra")
    ]


def _walk(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield f"{prefix}{name}"
            yield from _walk(value, f"{prefix}{name}.")
