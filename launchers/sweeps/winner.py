"""What a sweep has found, as its result has it, and the command that repeats it."""

from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from renate.jobs.config_yaml import quoted
from renate.jobs.directory import Json
from renate.tuning.on_disk.sweep_record import SweepRecord
from renate.tuning.space import Space
from renate.tuning.sweep import Sweep
from renate.tuning.trial import Trial

from ..terminal.console import command
from .request import lines_of


def again(record: SweepRecord, fixed: Sequence[Override], space: Space, best: Trial) -> str:
    """The command that trains the winner's configuration once more, from where the sweep
    started.

    Args:
        record: What the sweep is about.
        fixed: The overrides that all trials share.
        space: What was tuned.
        best: The winner.
    """
    gone = [*space.domains, "tuner", "search_space"]
    gone += ["state.first", "state.url", "state.version", "state.next_url"]
    kept = [
        o for o in fixed if o.key_or_group not in gone and not o.key_or_group.startswith("tuner.")
    ]
    untuned: list[str] = []
    if any(o.key_or_group == "experiment" for o in kept):  # which may ask for a tuner itself
        untuned = ["search_space=none", "tuner=auto"]

    given = [line for o in kept if (line := str(o.input_line)) not in record.added]
    parent: list[str] = []
    if (start := record.parent) is not None:
        place = f"./{record.id}-again"
        parent = [
            f"state.url={_as_override(start.url)}",
            f"state.version={start.version}",
            f"state.next_url={place}",
        ]

    return command(given, *untuned, *parent, *lines_of(best.config))


def pareto(record: SweepRecord, sweep: Sweep) -> list[Json] | None:
    """What no other trial beats in all objectives, where there are several."""
    if not record.secondary:
        return None

    names = [record.metric, *record.secondary]
    front: list[Json] = []
    for trial in sweep.front():
        values = dict(zip(names, (trial.value, *trial.secondary), strict=True))
        front.append({"trial": trial.id, "config": trial.config, **values})

    return front


def _as_override(url: str) -> str:
    """A URL as an override has it."""
    if set(url) & set(" ,=[]{}'\""):
        return quoted(url)
    return url
