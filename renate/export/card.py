"""What a version is, in Markdown, for the registry that holds it."""

from collections.abc import Iterator

from renate.errors import and_more
from renate.jobs.saved.from_state import deploy_of
from renate.state.aliases.verdict import verdict_of
from renate.state.contents import metrics_from
from renate.state.manifest import Manifest
from renate.state.versions import State

SHOWN = 50  # labels that are named


def card_of(state: State, manifest: Manifest) -> str:
    """Return the card of a version: where it comes from, what it answers, how good it is.

    Raises:
        StateError: The version isn't what an update writes.
    """
    return "\n".join(_lines(state, manifest)) + "\n"


def _lines(state: State, manifest: Manifest) -> Iterator[str]:
    deploy = deploy_of(state, manifest)
    yield f"# Version {manifest.version}"
    yield ""
    yield f"One update of a model that is kept up to date by renate, made at {manifest.created}."
    if manifest.parent is not None:
        yield f"It goes on from version {manifest.parent.version}."
    yield ""
    yield f"- network: `{_plain(deploy['model']['_target_'])}`"
    labels = [_plain(label) for label in deploy["labels"][:SHOWN]]
    more = and_more(len(deploy["labels"]) - SHOWN)
    yield f"- answers: {', '.join(labels)}{more}"
    for key in ("seed", "seconds", "notes"):
        if manifest.lineage.get(key) is not None:
            yield f"- {key}: {_plain(manifest.lineage[key])}"
    yield f"- manifest: `{manifest.sha256}`"
    yield ""
    yield from _scores(state, manifest)
    verdict = verdict_of(manifest, state.url)
    if verdict is not None:
        yield f"Its gate said **{verdict.outcome}**:"
        yield ""
        yield from (f"- {_plain(reason)}" for reason in verdict.reasons)
        yield ""


def _scores(state: State, manifest: Manifest) -> Iterator[str]:
    if "metrics.json" not in manifest.files:
        return

    where = f"{state.url}: 'metrics.json' of {manifest}"
    after = metrics_from(state.read(manifest, "metrics.json"), where)["after"]
    if not after:
        return

    yield "| test | metric | value |"
    yield "| --- | --- | --- |"
    for test, scores in after.items():
        for name, value in scores.items():
            yield f"| {_plain(test)} | {_plain(name)} | {value:.4f} |"
    yield ""


def _plain(value: object) -> str:
    """Text of a state's for Markdown: no line breaks, no columns, no code."""
    text = str(value).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
    return " ".join(text.split())[:1000]
