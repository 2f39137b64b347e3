"""A stream: an update for each chunk of a scenario, every chunk evaluated after every update."""

import csv
import shutil
from dataclasses import replace
from typing import Any

from renate.data.base import Data
from renate.data.batch import length
from renate.data.scenarios import Scenario
from renate.errors import ConfigError, CorruptError, DataError
from renate.jobs.chunks import Chunk, Test, chunk_of, chunks_from, load_data
from renate.jobs.context import Job
from renate.jobs.directory import write_json
from renate.jobs.identity import content
from renate.jobs.running.loggers import end, log_to_all
from renate.jobs.saved.published import trusted
from renate.jobs.saved.restore import Saved
from renate.jobs.scoring.answered import Answered
from renate.jobs.scoring.cost import state_size
from renate.jobs.scoring.matrix import (
    VALIDATION,
    Shown,
    Sizes,
    by_chunk,
    matrix_of,
    name_of_test,
    summarise,
    value_of,
)
from renate.jobs.update import update
from renate.metrics import is_of_fit
from renate.seeds import derive
from renate.state.contents import metrics_from
from renate.state.publish import publish
from renate.state.versions import State


def run(job: Job) -> dict[str, Any]:
    """The job `stream`; goes on at the first update that isn't published."""
    state = job.state(
        job.candidate or job.config["state"]["url"] or str(job.directory.path / "state")
    )
    ranks = job.ranks
    published = ranks.broadcast(lambda: own_versions(job, state))
    data = load_data(job, None)
    content.note(job, data)
    published = ranks.broadcast(lambda: _of_same_data(job, state, published))
    scenario: Scenario = job.build("scenario")
    tests = tests_of(job, scenario, data)
    if job.config["objective"]["metric"] is not None:
        tests |= validations_of(job, scenario, data)

    sizes = {name: length(test.columns) for name, test in tests.items()}
    answered = Answered()
    history = ranks.broadcast(lambda: [scores_of(state, version) for version in published])
    shown = Shown(data.problem.metric, data.problem.mode)
    if history:
        job.tell_again()
    chunks = chunks_from(job, scenario, data, len(history))
    for number, own in enumerate(chunks, start=len(history) + 1):
        part = _part(job, number, scenario.chunks)
        newest = ranks.broadcast(state.newest)
        saved = Saved.read(state, newest, ranks, trusted(job)) if newest else None
        if saved:
            saved.scores = history[-1]["after"]
            saved.answered = answered

        is_last = number == scenario.chunks
        chunk: Chunk = replace(own, tests=tests, is_last=is_last, seen=number * len(data.test))
        done = update(part, data, chunk, state, state, saved)
        answered = done.answered
        if ranks.first:
            publish(state, part.record.id)

        history.append(done.scores)
        if ranks.first:
            write_matrix(job, history, shown, sizes)

        summary = summarise(history, shown, sizes)
        log_to_all(part, summary, int(done.counts["steps"]))
        end(part)
        text = f"{part.prefix}: average {shown.metric} {summary[shown.average]:.4f}"
        job.emit({"event": "report", "text": text, "always": True})

    if ranks.first:
        write_matrix(job, history, shown, sizes)

    return _outcome(job, state, history, shown, sizes)


def _part(job: Job, number: int, chunks: int) -> Job:
    """The job as which one update of the stream runs."""
    return replace(
        job,
        prefix=f"update {number}/{chunks}",
        record=replace(job.record, id=f"{job.record.id}-{number}"),
    )


def _outcome(
    job: Job, state: State, history: list[dict[str, Any]], shown: Shown, sizes: Sizes
) -> dict[str, Any]:
    """What a stream answers; all processes must call it."""
    newest = job.ranks.broadcast(state.newest)
    speeds = [row["counts"]["examples_per_second"] for row in history]
    peaks = [row["counts"].get("peak_memory_bytes") for row in history]
    known = [peak for peak in peaks if peak is not None]

    return {
        "value": value_of(history, shown, job.config["objective"]["metric"]),
        "metrics": summarise(history, shown, sizes),
        "counts": {
            "steps": sum(row["counts"]["steps"] for row in history),
            "examples_per_second": sum(speeds) / len(speeds),
        }
        | ({"peak_memory_bytes": max(known)} if known else {})
        | state_size(newest),
        "matrix": matrix_of(history, shown.metric),
        "metric": shown.metric,
        "mode": shown.mode,
        "url": state.url,
        "version": newest.version if newest else None,
    }


def scores_of(state: State, version: int) -> dict[str, Any]:
    """What a version of this stream was measured to be.

    Raises:
        CorruptError: It isn't what an update of a stream writes.
    """
    manifest = state.manifest(version)
    where = f"{state.url}: 'metrics.json' of {manifest}"
    found = metrics_from(state.read(manifest, "metrics.json"), where)

    if not {"steps", "examples_per_second"} <= found["counts"].keys():
        raise CorruptError(
            f"{where}: counts lack steps or examples_per_second; bring it back from a copy"
        )

    return found


def own_versions(job: Job, state: State) -> list[int]:
    """The versions that an earlier, interrupted run of this very stream has published.

    Raises:
        ConfigError: The URL holds versions of something else.
    """
    versions = state.versions()
    for version in versions:
        lineage = state.manifest(version).lineage
        if lineage.get("recipe") != job.record.recipe or not lineage.get("stream"):
            raise ConfigError(
                f"state.url={state.url} holds version {version}, which is not of this stream: "
                "a stream starts from nothing, give it a URL of its own"
            )

    return versions


def _of_same_data(job: Job, state: State, published: list[int]) -> list[int]:
    """Those of the versions that were made from the data that were read now: all of them, or none.

    Raises:
        ConfigError: None, and the state isn't the job's own, which may be begun anew.
    """
    if all(content.is_of(job, state.manifest(version)) for version in published):
        return published

    own = job.directory.path / "state"
    if state.url != str(own.resolve()):
        raise ConfigError(
            f"state.url={state.url}: this stream's versions were made from other data than "
            "data.train and data.test "
            "hold now: a stream starts from nothing, give it a URL of its own"
        )

    shutil.rmtree(own)

    return []


def tests_of(job: Job, scenario: Scenario, data: Data) -> dict[str, Test]:
    """One test set per chunk."""
    seed = derive(job.config["seed"], "scenario")
    classes = data.problem.classes
    tests: dict[str, Test] = {}

    for index in range(scenario.chunks):
        for name, columns in data.test.items():
            key = name_of_test(index, name if len(data.test) > 1 else None)
            part = chunk_of(
                job, scenario, columns, index=index, part="test", seed=seed, num_classes=classes
            )
            tests[key] = Test(part, scenario.classes(index, seed=seed, num_classes=classes))

    return tests


def validations_of(job: Job, scenario: Scenario, data: Data) -> dict[str, Test]:
    """The validation data of each chunk that has some; none where nothing was split off.

    Raises:
        DataError: A chunk has none, and the objective is a stream's own metric: those are of
            matrices with every chunk.
    """
    if data.val is None:
        return {}

    seed = derive(job.config["seed"], "scenario")
    classes = data.problem.classes
    parts = [
        chunk_of(job, scenario, data.val, index=index, part="val", seed=seed, num_classes=classes)
        for index in range(scenario.chunks)
    ]

    metric = str(job.config["objective"]["metric"])
    lacking = [index for index, part in enumerate(parts) if not length(part)]
    if lacking and not is_of_fit(metric):
        raise DataError(
            f"objective.metric={metric}: chunk {lacking[0]} of {scenario.chunks} has no validation "
            f"data, and it is measured on every chunk's: give a larger data.val_size, or "
            f"objective.metric=val_{data.problem.metric}"
        )

    return {
        f"{VALIDATION}{name_of_test(index)}": Test(part)
        for index, part in enumerate(parts)
        if length(part)
    }


def write_matrix(job: Job, history: list[dict[str, Any]], shown: Shown, sizes: Sizes) -> None:
    """Write matrix.json and matrix.csv, and what each update took, into the job's directory."""
    matrix = matrix_of(history, shown.metric)
    names = list(by_chunk(history[0]["after"], shown.metric))
    content = {
        "chunks": names,
        "metric": shown.metric,
        "mode": shown.mode,
        shown.metric: matrix,
        "updates": [row["counts"] for row in history],
        "metrics": summarise(history, shown, sizes),
    }
    write_json(job.directory.path / "matrix.json", content)

    with (job.directory.path / "matrix.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["after update", *names])
        writer.writerows([number, *row] for number, row in enumerate(matrix, start=1))
