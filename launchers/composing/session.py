"""Hydra, set up for renate: our plugins, the user's configs, and the launcher that a command
asks for.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig

from renate.build import locate
from renate.errors import ConfigError, nearest
from renate.libraries.hydra import accept_registered

from .conf import CONF, ROOT, groups, options_of
from .mistakes import one_line

if TYPE_CHECKING:  # a command that only composes doesn't wait for what runs jobs
    from .launcher import HydraLauncher


class ExperimentRepository(SearchPathPlugin):
    """A `conf/` in the current directory adds options to our groups; it replaces none."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Hydra's verb."""
        here = Path("conf").resolve()
        if here == CONF.resolve() or not any((here / group).is_dir() for group in groups()):
            return

        names = [path.relative_to(here) for path in sorted(here.rglob("*.yaml"))]
        taken = [name for name in names if (CONF / name).exists()]
        if taken:
            raise ConfigError(
                f"conf/{taken[0]}: renate has a config of that name already, choose another"
            )

        search_path.append("experiments", f"file://{here}")


def register_plugins(*, runs: bool = True) -> None:
    """Do what Hydra 1.4 does itself: load the plugins that the `hydra.plugins` entry points
    name.

    Args:
        runs: Our own, too; a command that only composes needs none of them.
    """
    plugins = Plugins.instance()
    plugins.register(ExperimentRepository)
    accept_registered(plugins)
    for point in entry_points(group="hydra.plugins"):
        if runs or not point.value.startswith("renate."):
            plugins.register(point.load())

    import_from_here()


def register_launchers() -> None:
    """Register the launcher of every backend, for sweepers that know nothing of renate.

    Ours registers the one that is chosen, in `launcher_for`.
    """
    for backend in options_of("backend"):
        Plugins.instance().register(launcher_class(backend))


def import_from_here() -> None:
    """Make my_models.py beside conf/ importable, as with `python -m`."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, "")


def launcher_for(context: HydraContext, task: TaskFunction, config: DictConfig) -> Launcher:
    """Make the launcher that a sweep's config names, which no entry point need have named before.

    Raises:
        ConfigError: It names none, or what it names isn't there.
    """
    plugins = Plugins.instance()
    if config.hydra.runtime.choices.get("hydra/launcher") == "renate":
        target = config.backend.get("_target_")
        if target is None:
            raise ConfigError(
                f"backend={config.hydra.runtime.choices.backend}: its file names no launcher: "
                "expected _target_: package.module.Class"
            )

        if target not in plugins.class_name_to_class:
            plugins.register(_located(str(target), list(config.trust)))

    return plugins.instantiate_launcher(context, task, config)


def launcher_class(backend: str) -> "type[HydraLauncher]":
    """The class of a backend, by the name of its option.

    Raises:
        ConfigError: There is no such option, or its file names no launcher.
    """
    found = options_of("backend")
    if backend not in found:
        raise ConfigError(
            f"--backend {backend}: no such backend{nearest(backend, found)} ({', '.join(found)})"
        )

    import_from_here()
    content = yaml.safe_load(found[backend].read_text()) or {}

    return _located(str(content.get("_target_")), ())


def _located(target: str, trust: Sequence[str]) -> "type[HydraLauncher]":
    from .launcher import HydraLauncher

    found = locate(target, "backend", trust)
    if not isinstance(found, type) or not issubclass(found, HydraLauncher):
        raise ConfigError(
            f"backend._target_={target}: expected a subclass of HydraLauncher or RemoteLauncher"
        )
    return found


@contextmanager
def opened(
    overrides: Sequence[str],
) -> "Iterator[tuple[HydraLauncher, DictConfig, list[Override]]]":
    """The launcher, the sweep's own config and its parsed overrides.

    Hydra's global state is put back afterwards.

    Raises:
        ConfigError: An override that can't be right, or a launcher that isn't renate's.
    """
    from .launcher import HydraLauncher

    register_plugins()
    instance = HydraConfig.instance()
    config = instance.cfg
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()

    try:
        with one_line(overrides):
            parsed = OverridesParser.create().parse_overrides(list(overrides))
            hydra = Hydra.create_main_hydra2("renate", create_config_search_path(ROOT))
            sweep = hydra.compose_config("config", list(overrides), run_mode=RunMode.MULTIRUN)
            context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(sweep))
            launcher = launcher_for(context, lambda _: None, sweep)
            if not isinstance(launcher, HydraLauncher):
                raise ConfigError(
                    f"hydra/launcher={sweep.hydra.runtime.choices['hydra/launcher']}: "
                    "only the command line runs jobs by another launcher than renate's"
                )

            yield launcher, sweep, parsed
    finally:
        instance.cfg = config
        GlobalHydra.instance().hydra = before
