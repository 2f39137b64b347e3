"""Hydra, set up for renate: plugins, search path, and one line for each of its errors."""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import renate
from renate.errors import ConfigError, RenateError, nearest
from renate.launchers.interruptions import interruption_in
from renate.libraries.hydra import accept_registered

CONF = next(Path(p, "conf") for p in renate.__path__ if Path(p, "conf", "config.yaml").is_file())
ROOT = "pkg://renate.conf"
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


class ExperimentRepository(SearchPathPlugin):
    """A `conf/` in the current directory adds options to our groups; it replaces none."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        here = Path("conf").resolve()
        groups = {p.name for p in CONF.iterdir() if p.is_dir()}
        if here == CONF.resolve() or not any((here / group).is_dir() for group in groups):
            return
        taken = [p.relative_to(here) for p in sorted(here.rglob("*.yaml")) if (CONF / p.relative_to(here)).exists()]
        if taken:
            raise ConfigError(f"conf/{taken[0]}: renate has a config of that name already, choose another")
        search_path.append("experiments", f"file://{here}")


def register_plugins() -> None:
    """Do what Hydra 1.4 does itself: load the plugins that the `hydra.plugins` entry points name."""
    plugins = Plugins.instance()
    plugins.register(ExperimentRepository)
    accept_registered(plugins)
    for point in entry_points(group="hydra.plugins"):
        plugins.register(point.load())
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, "")  # my_models.py beside conf/, as with `python -m`


def composed(overrides: Sequence[str]) -> tuple[Any, Any]:
    """Return a launcher and the one job, or the sweep of a tuner, that the overrides ask for.

    Hydra's global state is left as it was.
    """
    with opened(overrides) as (launcher, whole, parsed):
        from renate.launchers.tuned.update import Tuning, is_tuned  # lazy: the launchers import hydra's plugins

        if is_tuned(whole, parsed):
            return launcher, Tuning(launcher, whole, parsed)
        if swept := [str(o.input_line) for o in parsed if o.is_sweep_override()]:
            raise ConfigError(f"{swept[0]}: one job at a time; call it once per combination, or use the command")
        return launcher, launcher.compose(0, list(overrides))


@contextmanager
def opened(overrides: Sequence[str]) -> Iterator[tuple[Any, Any, list[Any]]]:
    """The launcher, the sweep's own config and its parsed overrides; Hydra's global state is put back afterwards."""
    register_plugins()
    config, before = HydraConfig.instance().cfg, GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with one_line(overrides):
            parsed = OverridesParser.create().parse_overrides(list(overrides))
            hydra = Hydra.create_main_hydra2("renate", create_config_search_path(ROOT))
            whole = hydra.compose_config("config", list(overrides), run_mode=RunMode.MULTIRUN)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(whole))
            launcher: Any = Plugins.instance().instantiate_launcher(context, lambda _: None, whole)
            yield launcher, whole, parsed
    finally:
        HydraConfig.instance().cfg, GlobalHydra.instance().hydra = config, before


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
    except (HydraException, OmegaConfBaseException, AttributeError) as error:
        if isinstance(error.__cause__, RenateError):
            raise error.__cause__ from error
        if (interruption := interruption_in(error)) is not None:
            raise interruption from None
        if isinstance(error, AttributeError) and not isinstance(error, OmegaConfBaseException):
            raise
        raise ConfigError(_composition(error, overrides)) from error


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
    """What a domain in another library's words is in Hydra's; None where the value is no such call."""
    called = re.fullmatch(r"\s*([A-Za-z_][\w.]*)\((.*)\)\s*", value)
    if called is None:
        return None
    name, inner = called[1].rpartition(".")[2].lower(), called[2].replace(" ", "")
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
        folders = [CONF / group, Path("conf", group)]
        options = sorted({str(p.relative_to(f).with_suffix("")) for f in folders for p in f.rglob("*.yaml")})
    if not option or not options:
        return " ".join(str(error).split())
    advice = nearest(option, options)
    page = "" if advice else "; docs/limits.md says what is missing, and what to do meanwhile"
    return f"{group}={option}: no such option{advice} ({', '.join(options)}){page}"


def _composition(error: Exception, overrides: Sequence[str]) -> str:
    text = str(error)
    found = re.search(r"Could not (?:override|append to config) '([^']+)'", text)
    key = found[1] if found else None
    bad = [o for o in overrides if key and o.lstrip("+~").partition("=")[0] == key]
    if bad and "No match in the defaults list" in text:
        return f"{bad[0]}: no such group{nearest(str(key), [p.name for p in CONF.iterdir() if p.is_dir()])}"
    if bad and "not in struct" in str(error.__cause__ or text):
        return _no_such_key(str(key), bad[0], [o for o in overrides if o not in bad])
    lines = [line.strip() for line in [*text.splitlines(), *str(error.__cause__ or "").splitlines()] if line.strip()]
    return " ".join(dict.fromkeys(lines))


def _no_such_key(key: str, line: str, others: Sequence[str]) -> str:
    keys = [known for known in _keys(others) if not known.endswith("._target_")]
    parent, _, name = key.rpartition(".")
    known_parent = parent in keys
    siblings = [known for known in keys if known.rpartition(".")[0] == parent] if known_parent else keys
    elsewhere = _options_with(parent, name)
    advice = elsewhere or nearest(key, siblings) or _same_name(name, keys)
    there = f" ({', '.join(siblings)})" if known_parent else ""
    return f"{line}: no such key{advice}{there}; to add one on purpose: +{line}"


def _options_with(group: str, name: str) -> str:
    """The options of a group that have a key which the chosen one lacks; nothing where none does."""
    found: list[str] = []
    for folder in (CONF / group, Path("conf", group)) if group else ():
        for file in sorted(folder.rglob("*.yaml")):
            content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
            if isinstance(content, dict) and name in content:
                found.append(f"{group}={file.relative_to(folder).with_suffix('')}")
    return f"; {', '.join(found)} {'has' if len(found) == 1 else 'have'} it" if found else ""


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
    return [key for key in _walk(OmegaConf.to_container(config, resolve=False)) if not key.startswith("hydra")]


def _walk(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield f"{prefix}{name}"
            yield from _walk(value, f"{prefix}{name}.")
