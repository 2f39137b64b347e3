"""What an exported version says of itself: inputs, answers, labels, preprocessing."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from renate.data.kept.encoders import target_of
from renate.data.tables.standardize import Standardize
from renate.export.beside import FEED
from renate.export.served import OUTPUT
from renate.jobs.predicting.predictor import Predictor
from renate.state.manifest import Manifest

FILE = "signature.json"


def signature_of(
    manifest: Manifest,
    predictor: Predictor,
    inputs: Mapping[str, Tensor],
    varying: Sequence[str],
) -> dict[str, Any]:
    """Return the signature of a version.

    Args:
        manifest: The version.
        predictor: It, loaded.
        inputs: As the exported graph takes them.
        varying: Names of those whose second dimension varies.
    """
    problem = predictor.problem
    kept = predictor.feed.inputs
    columns = []
    if kept is not None and not kept.fields and kept.named and len(kept.shape) == 1:
        columns = kept.names

    settings = {"name": problem.name, **problem.settings}
    return {
        "renate": version("renate-cl"),
        "torch": version("torch"),
        "state_version": manifest.version,
        "manifest": manifest.sha256,
        "problem": settings,
        "labels": problem.labels,
        "inputs": [_tensor(name, tensor, name in varying) for name, tensor in inputs.items()],
        "columns": columns,
        "raw": predictor.input.lines(),
        "preprocessing": _preprocessing(predictor),
        "output": {"name": OUTPUT, "meaning": _meaning(predictor)},
    }


def _tensor(name: str, tensor: Tensor, varies: bool) -> dict[str, Any]:
    shape: list[int | None] = [None, *tensor.shape[1:]]
    if varies:
        shape[1] = None
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {"name": name, "dtype": dtype, "shape": shape}


def _preprocessing(predictor: Predictor) -> list[str]:
    """What happens to raw inputs, in order, and where."""
    steps = []
    encoder = predictor.encoder
    if isinstance(encoder, Standardize):
        steps.append("in the graph: columns to mean 0 and deviation 1")
    elif encoder is not None:
        steps.append(f"before the graph: {target_of(encoder)}, kept beside it in {FEED}")

    steps += [f"in the graph: {each}" for each in predictor.transforms]
    return steps


def _meaning(predictor: Predictor) -> str:
    problem = predictor.problem
    if problem.classes:
        return "logits: the label of the largest is the answer, their softmax the probabilities"
    if problem.generates:
        return "logits of each token in each place of an answer, after the answer's own tokens"
    if problem.is_right_or_wrong:
        return "the probability of each label"
    return "numbers in the target's own units"


def write_signature(signature: Mapping[str, Any], folder: Path) -> None:
    """Write the signature of an export beside its files."""
    (folder / FILE).write_text(json.dumps(signature, indent=1, allow_nan=False) + "\n")
