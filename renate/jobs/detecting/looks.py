"""Earlier looks for drift: what effects are usual for a state.

A version keeps the effects of all looks that its job knew of, whatever they led to: of those alone
that led to an update, what is usual would be overestimated, and ever more so.
"""

import math
from collections.abc import Sequence
from typing import Any

from renate.errors import StateError
from renate.jobs.context import Job
from renate.jobs.reporting.drift import checks_in
from renate.jobs.saved.restore import Saved

KEY = "drift_effects"
MOST = 200  # that a version keeps


def kept_effects(saved: Saved) -> list[float]:
    """Return the effects that a version keeps, the oldest first.

    Raises:
        StateError: They are no effects.
    """
    found: Any = saved.manifest.lineage.get(KEY, [])
    fits = isinstance(found, list) and all(
        type(each) in (int, float) and 0 <= each < math.inf for each in found
    )
    if not fits:
        raise StateError(
            f"{saved.state.url}: {saved.manifest} keeps {str(found)[:60]} as {KEY}, expected "
            "numbers of 0 or more: did renate write it?"
        )
    return [float(each) for each in found]


def effects_here(job: Job, saved: Saved) -> list[float]:
    """Return the effects that other jobs of this run directory have found for a version, the oldest
    first: `job=detect`, and updates that weren't due.
    """
    run_dir = job.directory.path.parent
    return [
        check.effect
        for check in checks_in(run_dir, saved.state.url)
        if check.effect is not None
        and check.version == saved.manifest.version
        and check.job != job.record.id
    ]


def noted(saved: Saved | None, effects: Sequence[float]) -> dict[str, Any]:
    """What the lineage of the next version keeps.

    Args:
        saved: The version in use.
        effects: Of the looks since it was made.
    """
    together = [*(kept_effects(saved) if saved is not None else []), *effects]
    if not together:
        return {}
    return {KEY: [round(each, 6) for each in together[-MOST:]]}
