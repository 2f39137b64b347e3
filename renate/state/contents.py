"""The files of a version, checked before anything is made of them: a state may come from a
stranger.

Each function takes a file's bytes, and for messages its name and where it is; it returns plain
values of the kinds that an update writes, or raises. Nothing here imports torch.
"""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

from renate.errors import CorruptError
from renate.state.measured.answer_counts import AnswerCounts
from renate.state.strict import (
    items,
    mapping,
    named,
    need,
    node,
    number,
    parse,
    shown,
    text,
    whole,
)
from renate.state.tensors import ROWS, Raw

LABELS = 1_000_000
SIZES = ("input_shape", "in_channels", "in_features")  # of a model; what the data answers
FIXED = (
    "update",
    "sweep",
    "trial",
    "source",
    "status",
    "step",
    "metric",
    "mode",
    "value",
    "seconds",
    "seed",
    "error",
)
# How constructors call the number of a model's outputs.
OUTPUTS = ("num_classes", "num_labels", "num_outputs")


def checked(read: Callable[[Raw], Any], raw: Raw, where: str) -> Any:
    """Return what `read` makes of a file's bytes.

    Raises:
        CorruptError: It raised a ValueError.
    """
    try:
        return read(raw)
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or ["too deep"])[0]
        if reason.startswith("it "):
            about = reason.removeprefix("it")
        else:
            about = f": {reason}"

        raise CorruptError(
            f"{where}{about}; use a state that renate wrote, or bring it back from a copy"
        ) from error


def deploy_from(raw: Raw, where: str) -> dict[str, Any]:
    """Read model.json: model, labels, transform and updater; `inputs` and `split` as they stand,
    for their readers.

    Raises:
        CorruptError: It isn't what an update writes.
    """

    def read(data: Raw) -> dict[str, Any]:
        found = mapping(
            parse(data),
            "it",
            ("model", "labels", "transform", "updater"),
            ("inputs", "split", "problem"),
        )
        node(found["model"], "model")
        labels = labels_from(found["labels"])

        for name in OUTPUTS:
            if found["model"].get(name) is not None:
                count = whole(found["model"][name], f"model.{name}")
                need(
                    count == len(labels),
                    f"model.{name} is {count}, but there are {len(labels)} labels",
                )

        if "problem" in found:
            node(found["problem"], "problem")
            need(isinstance(found["problem"].get("fitted"), dict), "problem.fitted is no mapping")

        for side in ("inputs", "targets"):
            sides = mapping(found["transform"], "transform", ("inputs", "targets"))
            items(sides[side], f"transform.{side}", node, 100)

        if found["updater"] is not None:
            node(found["updater"], "updater")

        for name in ("inputs", "split"):
            need(
                found.get(name) is None or isinstance(found[name], dict),
                f"{name} is {shown(found.get(name))}, expected a mapping",
            )

        return found

    found: dict[str, Any] = checked(read, raw, where)
    return found


def encoder_from(raw: Raw, where: str) -> dict[str, Any]:
    """Read encoder.json: `encoder`, a node or null, and `state`, what it fitted as far as that is
    JSON.

    Raises:
        CorruptError: It isn't what an update writes.
    """

    def read(data: Raw) -> dict[str, Any]:
        found = mapping(parse(data), "it", ("encoder", "state"))
        if found["encoder"] is not None:
            node(found["encoder"], "encoder")
        need(isinstance(found["state"], dict), "state is no mapping")
        return found

    found: dict[str, Any] = checked(read, raw, where)
    return found


def labels_from(value: Any) -> list[Any]:
    """Return labels: texts or whole numbers, one kind, each once. Raises ValueError."""
    labels: list[Any] = items(value, "labels", lambda label, key: label, LABELS)
    kinds = {type(label) for label in labels}
    need(
        kinds <= {int} or kinds <= {str},
        "labels are of several kinds, expected texts or whole numbers alone",
    )
    need(len(set(labels)) == len(labels), "labels hold one twice")

    for index, label in enumerate(labels):
        if isinstance(label, str):
            need(
                len(label) <= 10_000,
                f"labels[{index}] has {len(label)} characters, expected at most 10000",
            )
        else:
            whole(label, f"labels[{index}]", -(2**63))

    return labels


def sizes_from(model: dict[str, Any]) -> dict[str, Any]:
    """The sizes of the inputs in a saved model's config, which a model of the same kind is to be
    built with again.

    Nothing else of it may reach a job's own config, whose objects are built without a list of what
    is allowed.

    Raises:
        ValueError: One is no size.
    """
    found: dict[str, Any] = {}
    for name in SIZES:
        value = model.get(name)
        if isinstance(value, list):
            found[name] = items(
                value, f"model.{name}", lambda size, key: whole(size, key, 0, ROWS), 8
            )
        elif value is not None:
            found[name] = whole(value, f"model.{name}", 0, ROWS)

    return found


def _answers(value: Any, key: str) -> dict[str, AnswerCounts]:
    found = mapping(value, key, (), ("before", "after"))
    return {name: AnswerCounts.from_json(part, f"{key}.{name}") for name, part in found.items()}


def _examples(value: Any, key: str) -> list[int]:
    return items(value, key, whole, LABELS)


# What metrics.json may keep by class, and what it must be
BY_CLASS: dict[str, Callable[[Any, str], Any]] = {
    "answers": _answers,
    "memory": _examples,
    "trained": _examples,
}


def metrics_from(raw: Raw, where: str) -> dict[str, Any]:
    """Read metrics.json: before and after (test -> metric -> number), counts, value; `answers`
    (`before` and `after`, see `AnswerCounts`), `memory` and `trained` (examples of each label, in
    the order of the outputs), each of which may be absent.

    Raises:
        CorruptError: It isn't what an update writes.
    """

    def scores(value: Any, key: str) -> dict[str, Any]:
        return named(value, key, lambda part, name: named(part, name, number, 1000), 100_000)

    def read(data: Raw) -> dict[str, Any]:
        found = mapping(parse(data), "it", ("after",), ("before", "counts", "value", *BY_CLASS))
        value = found.get("value")
        by_class = {key: check(found[key], key) for key, check in BY_CLASS.items() if key in found}
        return by_class | {
            "before": scores(found.get("before", {}), "before"),
            "after": scores(found["after"], "after"),
            "counts": named(found.get("counts", {}), "counts", number, 100),
            "value": None if value is None else number(value, "value"),
        }

    found: dict[str, Any] = checked(read, raw, where)
    return found


def history_from(raw: Raw, where: str) -> list[dict[str, str]]:
    """Read hpo.csv: one row per trial, by column.

    Raises:
        CorruptError: It isn't what a tuner writes.
    """

    def read(data: Raw) -> list[dict[str, str]]:
        try:
            lines = list(csv.reader(io.StringIO(bytes(data).decode(), newline="")))
        except csv.Error as error:
            raise ValueError(f"it is no CSV ({error})") from error

        need(
            bool(lines) and set(FIXED) <= set(lines[0]), f"its first line isn't {','.join(FIXED)},…"
        )
        names = [text(name, "a column's name", 300) for name in lines[0]]
        need(len(set(names)) == len(names), "two columns have one name")
        return [
            _trial(dict(zip(names, line, strict=False)), line, names, n)
            for n, line in enumerate(lines[1:], 2)
        ]

    found: list[dict[str, str]] = checked(read, raw, where)
    return found


def _trial(row: dict[str, str], line: list[str], names: list[str], at: int) -> dict[str, str]:
    need(len(line) == len(names), f"line {at} has {len(line)} fields, expected {len(names)}")
    for name in ("update", "trial", "step"):
        need(
            re.fullmatch(r"[0-9]{1,12}", row[name]) is not None,
            f"line {at}: {name} is '{shown(row[name])}'",
        )

    for name in ("value", "seconds"):
        if row[name]:
            try:
                float(row[name])
            except ValueError:
                raise ValueError(
                    f"line {at}: {name} is '{shown(row[name])}', expected a number"
                ) from None

    return row


def check_text(raw: Raw, where: str) -> None:
    """Check that a file which is kept for people to read, config.yaml, is text; it is never
    evaluated again.

    Raises:
        CorruptError: It is no UTF-8.
    """
    checked(lambda data: bytes(data).decode(), raw, where)
