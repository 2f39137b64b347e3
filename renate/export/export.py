"""One export: load the version, write it in a format, compare what was written, leave it whole."""

import importlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from renate.errors import ConfigError, RenateError, StateError, nearest
from renate.export.beside import write_beside
from renate.export.examples import Examples, examples_of, raw_of
from renate.export.formats import FORMATS, WEIGHTS
from renate.export.served import Served, lengths_vary, rows_of, tensors_in
from renate.export.signature import signature_of, write_signature
from renate.jobs.predicting.predictor import Predictor
from renate.jobs.saved.deploy import predictor_of
from renate.state.aliases.standing import manifest_of
from renate.state.manifest import Manifest
from renate.state.versions import State

TOLERANCE = 1e-5  # largest absolute difference of an answer
BATCHES = (1, 2, 7)  # sizes by which what was written is compared, besides all examples at once

Run = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Exported:
    """What an export left.

    Attributes:
        folder: Where it lies.
        version: Which version it is.
        format: One of `FORMATS`.
        examples: How many it was compared by.
        origin: Where these are from, see `Examples`.
        difference: The largest absolute difference of an answer; of numbers that are larger than 1
            as a share of the largest.
    """

    folder: Path
    version: int
    format: str
    examples: int
    origin: str
    difference: float


@dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        state: Where the version is.
        manifest: What it consists of.
        predictor: It, loaded.
        served: As one module of plain tensors.
        inputs: Some of its examples as that module takes them.
        varying: Names of the tensors whose second dimension varies.
        signature: What the files say of themselves.
    """

    state: State
    manifest: Manifest
    predictor: Predictor
    served: Served
    inputs: dict[str, Tensor]
    varying: Sequence[str]
    signature: dict[str, Any]


def export(
    url: str,
    output: str | Path,
    form: str,
    version: int | str | None = None,
    *,
    model: nn.Module | None = None,
    trust: Sequence[str] = (),
) -> Exported:
    """Write a version in a format into a folder that isn't there yet, or is empty.

    Args:
        url: The state.
        output: The folder.
        form: One of `FORMATS`.
        version: A number, `latest`, or the name of an alias or a pin; None is the version in use.
        model: See `renate.load_model`.
        trust: Modules of the user's that the version's config may name.

    Raises:
        ConfigError: There is no such format, the folder holds something, or a package is missing.
        StateError: There is no such version, the format can't hold it, or what was written answers
            otherwise; nothing is left then.
    """
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise ConfigError(f"--format {form}: expected one of {known}{nearest(form, FORMATS)}")

    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: there is something already: name a new folder")

    state = State(url)
    manifest = manifest_of(state, version)
    predictor = predictor_of(state, manifest, model=model, trust=trust)
    if predictor.heads:
        raise ConfigError(
            f"{url}: its model has a head for each task, which no exported form says an example's "
            "of: renate.load_model(url).predict(rows, task_id=0) does"
        )

    _check_form(form, predictor, f"version {manifest.version} of {state.url}")
    examples = examples_of(state, manifest, predictor)
    source = _source(state, manifest, predictor, examples)
    place = folder.resolve()  # a link stays, and so does its target
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as made:
        whole = Path(made) / "export"
        whole.mkdir()
        difference = _written(source, form, whole, examples)
        _move(whole, place)

    assert manifest.version is not None
    return Exported(folder, manifest.version, form, len(examples), examples.origin, difference)


def _move(made: Path, place: Path) -> None:
    """Move a folder to a place where none is, or its content into one that is empty: that one may
    be a mounted disk, or where the command was given.
    """
    if not place.exists():
        shutil.move(made, place)
        return

    for path in sorted(made.iterdir()):
        shutil.move(path, place)


def _check_form(form: str, predictor: Predictor, where: str) -> None:
    """Return if a format can hold the version.

    Raises:
        StateError: It can't.
    """
    if predictor.problem.generates and form != WEIGHTS:
        raise StateError(
            f"{where} generates texts token after token, each from those before, which a graph of "
            f"one pass can't: --format {WEIGHTS} keeps its weights as they are, and "
            "renate.load_model(url).predict(prompts) generates"
        )


def _source(state: State, manifest: Manifest, predictor: Predictor, examples: Examples) -> Source:
    stored = raw_of(examples, predictor)
    inputs = tensors_in(stored)
    served = Served(predictor, list(inputs))
    varying = lengths_vary(stored)
    signature = signature_of(manifest, predictor, inputs, varying)
    return Source(state, manifest, predictor, served, inputs, varying, signature)


def _written(source: Source, form: str, folder: Path, examples: Examples) -> float:
    """Write all files, and compare their answers with the version's.

    Raises:
        StateError: They differ.
    """
    writer = importlib.import_module(f"renate.export.formats.{form}")
    where = f"version {source.manifest.version} of {source.state.url}"
    write_beside(source.predictor, folder)
    try:
        run: Run = writer.write(source, folder)
        difference = _difference(run, source.predictor, examples)
    except RenateError:
        raise
    except Exception as error:  # what a tracer can't follow it says by any error of its own
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise StateError(
            f"{where} can't be exported as {form}: {type(error).__name__}: {reason}; "
            "--format safetensors keeps its weights as they are"
        ) from error

    # Also where a difference is no number
    if not difference <= TOLERANCE:
        raise StateError(
            f"{where}, exported as {form}, answers otherwise: by up to {difference:.2g} on "
            f"{len(examples)} examples ({examples.origin}), {TOLERANCE:g} is allowed: nothing is "
            "left; --format safetensors keeps its weights as they are"
        )

    checked = {
        "examples": len(examples),
        "from": examples.origin,
        "max_abs_difference": difference,
    }
    write_signature(source.signature | {"format": form, "checked": checked}, folder)
    if hasattr(writer, "finish"):
        writer.finish(source, folder)
    return difference


def _difference(run: Run, predictor: Predictor, examples: Examples) -> float:
    largest = 0.0
    raw = raw_of(examples, predictor)
    with torch.inference_mode():
        for rows in _batches(len(examples)):
            outputs = predictor.of_columns(rows_of(examples.stored, rows))
            expected = predictor.problem.answers(outputs).double()
            found = run(tensors_in(rows_of(raw, rows))).double()
            if found.shape != expected.shape:
                raise StateError(
                    f"the answers are of shape {list(found.shape)} instead of "
                    f"{list(expected.shape)}"
                )
            apart = (found - expected).abs()
            # Minus infinity is a class that isn't possible, in both
            apart[found == expected] = 0.0
            if not predictor.problem.is_right_or_wrong:
                # Numbers in the target's own units: 32 bits can't tell millions apart by 1e-5
                apart /= max(1.0, float(expected.abs().max()))
            largest = max(largest, float(apart.max()))
            if bool(apart.isnan().any()):
                return float("nan")

    return largest


def _batches(count: int) -> Iterator[slice]:
    for size in BATCHES:
        if size < count:
            yield slice(0, size)
    yield slice(0, count)
