"""The versions of a state, as a report tells of them."""

from collections.abc import Mapping
from typing import Any

from renate.build import locate
from renate.errors import ConfigError
from renate.report.versions import Measure, Update
from renate.state.aliases.log import all_moves
from renate.state.aliases.standing import names_of
from renate.state.aliases.verdict import verdict_of
from renate.state.blobs import parallel
from renate.state.contents import deploy_from, metrics_from
from renate.state.manifest import Manifest
from renate.state.versions import State

METRICS = "metrics.json"
NO_METRIC = ("loss", "task_accuracy")  # of what is measured, these come beside another one
OURS = "renate.problems."
CLASSES = f"{OURS}classification.Classification"
TOLD = ("seed", "stream", "tags", "notes", "rollback_to")  # of a lineage


def updates_of(state: State) -> list[Update]:
    """Return what there is to tell of every version, the oldest first.

    Raises:
        NoVersionError: There is none.
        CorruptError: A file isn't what an update writes.
    """
    numbers = state.versions()
    if not numbers:
        state.manifest()  # says so

    names = names_of(state)
    moves: dict[int, list[str]] = {}
    for move in all_moves(state):
        if move.version is not None:
            why = f": {move.note}" if move.note else ""
            said = f"{move.alias} moved here by {move.by}, {move.created}{why}"
            moves.setdefault(move.version, []).append(said)

    def update(number: int) -> Update:
        manifest = state.manifest(number)
        aliases = sorted(name for name, version in names.items() if version == number)
        return _update(state, manifest, aliases, moves.get(number, []))

    return parallel(update, numbers)


def _update(state: State, manifest: Manifest, aliases: list[str], moves: list[str]) -> Update:
    found: dict[str, Any] = {"after": {}, "before": {}, "counts": {}}
    if METRICS in manifest.files:
        where = f"{state.url}: '{METRICS}' of {manifest}"
        found = metrics_from(state.read(manifest, METRICS), where)

    before = found["before"]
    untrained: dict[str, Any] = {}
    answers = dict(found.get("answers", {}))
    parent = None
    own_parent = None
    if manifest.parent is None:
        untrained = before
        before = {}
        answers.pop("before", None)
    else:
        parent = f"version {manifest.parent.version}"
        if manifest.parent.url is None:
            own_parent = manifest.parent.version
        else:
            parent += f" of {manifest.parent.url}"

    seconds = manifest.lineage.get("seconds")
    return Update(
        version=manifest.version or 0,
        created=str(manifest.created),
        parent=parent,
        parent_version=own_parent,
        before=before,
        after=found["after"],
        untrained=untrained,
        counts=found["counts"],
        size=sum(blob.size for blob in manifest.files.values()),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        verdict=verdict_of(manifest, state.url),
        aliases=aliases,
        moves=moves,
        answers=answers,
        memory=found.get("memory"),
        trained=found.get("trained"),
        job=manifest.job,
        lineage=_told(manifest),
    )


def _told(manifest: Manifest) -> list[tuple[str, str]]:
    """Of a lineage what a table has room for; a stranger may have written it."""
    found = []
    for name in TOLD:
        value = manifest.lineage.get(name)
        if isinstance(value, list):
            value = " ".join(str(each) for each in value)
        if isinstance(value, str | int) and value != "":
            found.append((name, str(value)))

    return found


def deploy_of(state: State, manifest: Manifest) -> dict[str, Any]:
    """Return a version's model.json. Raises CorruptError."""
    name = "model.json"
    return deploy_from(state.read(manifest, name), f"{state.url}: '{name}' of {manifest}")


def measure_of(
    deploy: Mapping[str, Any], update: Update, config: Mapping[str, Any]
) -> Measure | None:
    """Return the metric that a state is about: its problem's own.

    Of a problem that is no part of this package its code is not run: then it is what the config's
    objective says, or the first metric that was measured, whose direction nobody knows.

    Args:
        deploy: A version's model.json.
        update: What that version was measured to be.
        config: Its config.
    """
    measured = dict.fromkeys(name for scores in update.after.values() for name in scores)
    target = str(deploy.get("problem", {"_target_": CLASSES}).get("_target_"))
    if target.startswith(OURS):
        try:
            problem = locate(target, "problem", ())
        except ConfigError:
            problem = None

        metric = str(getattr(problem, "metric", ""))
        if metric in measured:
            return Measure(metric, str(getattr(problem, "mode", "")) or None)

    objective = config.get("objective") or {}
    metric = str(objective.get("metric")).removeprefix("val_")
    if metric in measured:
        mode = objective.get("mode")
        return Measure(metric, mode if mode in ("max", "min") else None)

    first = next((name for name in measured if name not in NO_METRIC and "/" not in name), None)
    return Measure(first, None) if first is not None else None
