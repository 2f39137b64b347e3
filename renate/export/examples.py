"""Examples of a version, by which an export is compared with it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from renate.data.batch import Columns, length
from renate.data.items.stored import OFFSETS, PADDING, VALUES
from renate.data.kept.inputs import Inputs
from renate.data.model_inputs import PREFIX, names_of
from renate.data.ragged import Ragged
from renate.data.tables.standardize import Standardize
from renate.errors import StateError
from renate.jobs.predicting.predictor import Predictor
from renate.jobs.saved.from_state import tensors_of
from renate.memory.store.sample import META, sample_of
from renate.seeds import derive
from renate.state.manifest import Manifest
from renate.state.versions import State

MOST = 64  # that are compared
KEPT = ("regression", "reference")  # files of examples, see jobs.scoring and jobs.detecting
LONGEST = 12  # values of a row of any length that is made up
Stored = Tensor | dict[str, Tensor | Ragged]


@dataclass(frozen=True)
class Examples:
    """Inputs as a version's training stored them, behind its encoder.

    Attributes:
        stored: One tensor [N, ...], or name -> tensor or `Ragged`.
        origin: Where they are from: `memory`, `regression`, `reference`; `made up` where the
            version keeps none.
    """

    stored: Stored
    origin: str

    @property
    def is_real(self) -> bool:
        """Whether they are examples that the version was given."""
        return self.origin != MADE_UP

    def __len__(self) -> int:
        if isinstance(self.stored, dict):
            return len(next(iter(self.stored.values())))
        return len(self.stored)


MADE_UP = "made up"


def examples_of(state: State, manifest: Manifest, predictor: Predictor) -> Examples:
    """Return some of the examples that a version keeps, else some that are made up in the ranges of
    its inputs.

    Raises:
        StateError: What it keeps can't be read, or it says nothing of its inputs.
    """
    if META in manifest.files:
        where = f"{state.url}: '{META}' of version {manifest.version}"
        found = sample_of(lambda name: state.read(manifest, name), where, MOST)
        if found is not None and length(found):
            return Examples(_inputs_in(found), "memory")

    inputs = predictor.feed.inputs
    for name in KEPT:
        if f"{name}.safetensors" in manifest.files:
            tensors = tensors_of(state, manifest, name)
            kept = _kept(tensors)
            if kept is not None and len(Examples(kept, name)) > 1:
                return Examples(kept, name)

    if inputs is None:
        raise StateError(
            f"{state.url}: {manifest} keeps neither examples nor what its inputs are, as it was "
            "written before they were kept: an export can't be compared with it; that of a later "
            "update can"
        )
    return Examples(_made_up(inputs, predictor), MADE_UP)


def _inputs_in(columns: Columns) -> Stored:
    names = names_of(columns)
    if names == ["inputs"]:
        tensor: Tensor = columns["inputs"]
        return tensor
    return {name.removeprefix(PREFIX): columns[name] for name in names}


def _kept(tensors: dict[str, Tensor]) -> Stored | None:
    """The inputs among a file's tensors; None where they have lengths of their own, which the
    memory has too.
    """
    if any(name.endswith((VALUES, OFFSETS, PADDING)) for name in tensors):
        return None
    if "inputs" in tensors:
        return tensors["inputs"][-MOST:]
    named = {n.removeprefix(PREFIX): t[-MOST:] for n, t in tensors.items() if n.startswith(PREFIX)}
    return dict(named) or None


def _made_up(inputs: Inputs, predictor: Predictor) -> Stored:
    generator = torch.Generator().manual_seed(derive(0, "export"))
    if not inputs.fields:
        lows = torch.tensor([column.low for column in inputs.columns])
        highs = torch.tensor([column.high for column in inputs.columns])
        if len(inputs.columns) == 1 and len(inputs.shape) != 1:
            lows, highs = lows[0], highs[0]
        drawn = torch.rand((MOST, *inputs.shape), generator=generator)
        return (lows + drawn * (highs - lows)).to(getattr(torch, inputs.dtype))

    top = int(getattr(predictor.encoder, "facts", {}).get("vocab_size", 0) or 2)
    found: dict[str, Tensor | Ragged] = {}
    for each in inputs.fields:
        dtype = getattr(torch, each.dtype)

        def values(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            if dtype.is_floating_point:
                return torch.rand(shape, generator=generator).to(dtype)
            return torch.randint(0, top, shape, generator=generator).to(dtype)

        if each.padding is None:
            found[each.name] = values(MOST, *each.shape)
            continue
        # The same lengths for each field: those of the tokens of a text
        lengths = 1 + torch.arange(MOST) % LONGEST
        rows = values(int(lengths.sum()), *each.shape)
        found[each.name] = Ragged.packed(rows, lengths, each.padding)

    return found


def raw_of(examples: Examples, predictor: Predictor) -> Any:
    """Return examples as they are fed to an exported graph: before `Standardize`, which is a part
    of it.
    """
    encoder = predictor.encoder
    if isinstance(encoder, Standardize) and isinstance(examples.stored, Tensor):
        return (examples.stored.double() * encoder.std + encoder.mean).float()
    return examples.stored
