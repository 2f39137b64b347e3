"""What a call from Python asks for: one job, or one tuned sweep."""

from collections.abc import Sequence

from renate.errors import ConfigError

from ..base import ComposedJob
from ..composing.launcher import HydraLauncher
from ..composing.session import opened
from .overrides import is_tuned
from .tuned_update import Tuning


def composed(overrides: Sequence[str]) -> tuple[HydraLauncher, ComposedJob | Tuning]:
    """Return a launcher and the one job, or the sweep of a tuner, that the overrides ask for.

    Hydra's global state is left as it was.

    Raises:
        ConfigError: An override that can't be right, or several jobs.
    """
    with opened(overrides) as (launcher, settings, parsed):
        if is_tuned(settings, parsed):
            return launcher, Tuning(launcher, settings, parsed)

        swept = [str(o.input_line) for o in parsed if o.is_sweep_override()]
        if swept:
            raise ConfigError(
                f"{swept[0]}: one job at a time; call it once per combination, or use the command"
            )

        return launcher, launcher.compose(0, list(overrides))
