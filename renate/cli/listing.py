"""`renate state ls`: what a state holds, a line each."""

from rich.table import Table

from renate.errors import NoVersionError
from renate.launchers.terminal.console import cell, stdout
from renate.state import pins as pinning
from renate.state import publish as publishing
from renate.state.aliases.standing import names_of
from renate.state.contents import metrics_from
from renate.state.manifest import Manifest
from renate.state.versions import State


def ls(state: State, last: int | None) -> None:
    """Print versions, pins and candidates, a line each.

    Args:
        state: It.
        last: How many of the newest versions are read and listed; None is all.

    Raises:
        NoVersionError: See `existing`.
    """
    names: dict[int, list[str]] = {}
    for name, version in sorted((pinning.pins(state) | names_of(state)).items()):
        names.setdefault(version, []).append(name)

    numbers = existing(state, last)
    measured = None
    if numbers:
        measured = _measured(state, state.manifest(numbers[0]))

    shown = "test"
    if measured:
        shown = f"test {measured[0]}"

    table = Table("version", "created", "from", "job", shown, "pins", box=None, pad_edge=False)

    for number in numbers:
        manifest = state.manifest(number)
        held = cell(", ".join(names.get(number, [])))
        table.add_row(str(number), *_line(state, manifest), held)

    for manifest in publishing.candidates(state):
        table.add_row("candidate", *_line(state, manifest), "")

    stdout().print(table)


def _line(state: State, manifest: Manifest) -> tuple[str, str, str, str]:
    parent = manifest.parent
    origin = "–"
    if parent is not None:
        origin = str(parent.version)
        if parent.url is not None:
            origin += f" of {parent.url}"

    measured = _measured(state, manifest)
    return (
        cell(str(manifest.created)[:19]),
        cell(origin),
        cell(manifest.job or "–"),
        f"{measured[1]:.4f}" if measured else "–",
    )


def _measured(state: State, manifest: Manifest) -> tuple[str, float] | None:
    """The first metric besides the loss, and its mean over the tests; None where nothing was
    measured.
    """
    if "metrics.json" not in manifest.files:
        return None

    scores = list(scores_of(state, manifest).values())
    names = [name for score in scores for name in score if name not in ("loss", "task_accuracy")]
    if not names:
        return None

    known = [score[names[0]] for score in scores if names[0] in score]

    return names[0], sum(known) / len(known)


def scores_of(state: State, manifest: Manifest) -> dict[str, dict[str, float]]:
    """Test -> metric -> value, after the update. Raises CorruptError."""
    where = f"{state.url}: 'metrics.json' of {manifest}"
    found: dict[str, dict[str, float]] = metrics_from(state.read(manifest, "metrics.json"), where)[
        "after"
    ]
    return found


def existing(state: State, last: int | None = None) -> list[int]:
    """The versions of a state that there is, or the newest `last` of them.

    Raises:
        NoVersionError: The URL holds neither a version nor a candidate.
    """
    numbers = state.versions(last)
    if not numbers and not publishing.candidates(state):
        raise NoVersionError(f"{state.url}: holds no version yet: check the URL")

    return numbers
