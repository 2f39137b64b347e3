"""What a saved version holds, and how it comes back to life."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn
from yaml import YAMLError

from renate.data.base import Known
from renate.data.contract.document import Contract
from renate.data.kept.encoders import KeptEncoder
from renate.data.kept.inputs import Inputs
from renate.data.kept.split import Split
from renate.data.kept.trained import Trained
from renate.data.model_inputs import ModelInputs
from renate.errors import CorruptError, StateError
from renate.jobs.building.heads import sizes_before
from renate.jobs.building.masking import SEEN, carry_over
from renate.jobs.building.network import build_model
from renate.jobs.checks.probe import materialise
from renate.jobs.config_yaml import load as parse
from renate.jobs.context import Job
from renate.jobs.saved.contract import contract_of
from renate.jobs.saved.from_state import (
    Relayed,
    deploy_of,
    encoder_of,
    load_into,
    problem_from,
    tensors_of,
)
from renate.jobs.scoring.answered import Answered
from renate.models.grow import grow
from renate.problems.base import Problem
from renate.ranks import ALONE, Ranks
from renate.state.contents import sizes_from
from renate.state.manifest import Manifest
from renate.state.versions import State
from renate.updaters.base import OF_CONFIG, Updater


@dataclass
class Saved:
    """A version, opened.

    Attributes:
        state: Where it is.
        manifest: What it consists of.
        deploy: model.json: the model's config with its sizes, labels, test transform, predicting
            updater.
        scores: Its scores on the tests at hand, where they are known already (in a stream).
        answered: What is noted of its answers to the tests at hand, where that is known already.
        trust: Modules of the user's own that its config may name.
        newest: The newest version of its state, where that is another one.
    """

    state: State | Relayed
    manifest: Manifest
    deploy: dict[str, Any]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    answered: Answered | None = None
    trust: Sequence[str] = ()
    newest: int | None = None

    @property
    def next(self) -> int:
        """The number of the version that comes of it."""
        return 1 + max(self.manifest.version or 0, self.newest or 0)

    @classmethod
    def read(
        cls, state: State, manifest: Manifest, ranks: Ranks = ALONE, trust: Sequence[str] = ()
    ) -> "Saved":
        """Open a version: read its model.json, which one of several processes does for all.

        Raises:
            StateError: It isn't what an update writes.
        """
        source = state if ranks.alone else Relayed(state, ranks)
        return cls(source, manifest, deploy_of(source, manifest), trust=trust)

    @cached_property
    def writer(self) -> str | None:
        """The class of the updater that wrote it; None where its config doesn't say."""
        try:
            config: Any = parse(bytes(self.state.read(self.manifest, "config.yaml")).decode())
            return str(config["updater"]["_target_"])
        except (StateError, ValueError, KeyError, TypeError, YAMLError):
            return None

    @cached_property
    def problem(self) -> Problem:
        """What it predicts, with all that was learned of the targets."""
        return problem_from(
            self.deploy, f"version {self.manifest.version} of {self.state.url}", self.trust
        )

    @cached_property
    def encoder(self) -> KeptEncoder | None:
        """What it keeps of its source's encoder; None where there is none."""
        return encoder_of(self.state, self.manifest)

    @cached_property
    def contract(self) -> Contract | None:
        """What its data are held against; None where it keeps nothing of that."""
        return contract_of(self.state, self.manifest)

    @cached_property
    def trained(self) -> Trained:
        """The files that its lineage trained on.

        Raises:
            CorruptError: It isn't what an update writes.
        """
        return Trained.read(self.state, self.manifest)

    @property
    def known(self) -> Known:
        """What the version knows of its data.

        Raises:
            StateError: It isn't what an update writes.
        """
        inputs = self.deploy.get("inputs")
        split = self.deploy.get("split")

        try:
            return Known(
                self.problem,
                None if inputs is None else Inputs.from_json(inputs),
                None if split is None else Split.from_json(split),
                self.encoder,
                contract=self.contract,
            )
        except ValueError as error:
            where = f"{self.state.url}: 'model.json' of version {self.manifest.version}"
            raise StateError(f"{where}: {error}: was this state made by renate?") from error

    @property
    def sizes(self) -> dict[str, Any]:
        """The sizes of its inputs, which fill the nulls of this job's model; nothing else of a
        state may.

        Raises:
            CorruptError: One is no size.
        """
        try:
            return sizes_from(self.deploy["model"])
        except ValueError as error:
            where = f"{self.state.url}: 'model.json' of version {self.manifest.version}"
            raise CorruptError(f"{where}: {error}; use a state that renate wrote") from error

    def sizes_for(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The same, compared with the data's.

        Raises:
            StateError: The data have another size.
        """
        sizes = self.sizes
        for name, size in sizes.items():
            now = facts.get(name)
            if isinstance(now, tuple):
                now = list(now)

            if now is not None and now != size:
                raise StateError(
                    f"version {self.manifest.version} of {self.state.url} takes inputs with "
                    f"{name}={size}, "
                    f"the data have {now}: give data of the same size, or start a new state"
                )

        return sizes

    def smaller(self, node: Mapping[str, Any], outputs: int) -> dict[str, int]:
        """Return those sizes of a network that it has smaller, see `sizes_before`."""
        return sizes_before(node, outputs, self.deploy["model"], self.problem.outputs)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """Return the tensors of <name>.safetensors, by their names in there.

        Raises:
            StateError: The version has no such file, or it is of another kind.
        """
        return tensors_of(self.state, self.manifest, name)


def load_model(
    job: Job,
    node: dict[str, Any],
    facts: dict[str, Any],
    saved: Saved | None,
    example: ModelInputs | None = None,
) -> nn.Module:
    """Build the model at its saved size, load it, and grow it where new labels or tasks came.

    `example`, a few inputs, shapes what lazy modules leave open where no state does.
    """
    trust = job.config["trust"]
    model = build_model(node, trust)
    before = saved.smaller(node, facts["num_outputs"]) if saved else {}
    if example is not None and (saved is None or before):
        materialise(model, example)
    if saved is None:
        return model

    where = f"version {saved.manifest.version} of {saved.state.url}"
    if not before:
        load_into(model, saved.tensors("model"), where)
        return model

    old = build_model(node | before, trust)
    load_into(old, saved.tensors("model"), where)

    return grow(old, model)


def load_updater(
    job: Job, updater: Updater, saved: Saved, model: nn.Module, node: Mapping[str, Any]
) -> None:
    """Load the updater's own state whole, carried over where the head grew.

    That of another class of updaters is left behind, which is said.

    Raises:
        StateError: The same class wrote it, and it doesn't fit.
    """
    outputs = updater.problem.outputs
    tensors = saved.tensors("updater")
    before = {k: v for k, v in tensors.items() if not k.startswith(OF_CONFIG)}
    wrote = saved.writer
    now = job.config["updater"].get("_target_")

    if wrote is not None and wrote != now:
        text = f"the state's updater was {wrote}: "
        if before.keys() - {SEEN}:
            text += "what it kept is left behind, "
        if (before.keys() | updater.own_state().keys()) - {SEEN}:
            job.emit({"event": "report", "text": f"{text}{now} begins anew", "always": True})

        seen = {k: v for k, v in tensors.items() if k == SEEN}
        updater.take_over(known_of(seen, saved.problem.outputs, outputs))
        own = {k: v.clone() for k, v in updater.own_state().items() if k != SEEN}
        of_memory = {k: v for k, v in tensors.items() if k in updater.of_memory}
        before = own | of_memory | seen

    carry_over(updater, before, saved.problem.outputs)
    if saved.smaller(node, outputs):
        _grow(updater, model, before, outputs)
    else:
        of_config = {k: v for k, v in updater.state_dict().items() if k.startswith(OF_CONFIG)}
        origin = f"the updater of version {saved.manifest.version} of {saved.state.url}"
        load_into(updater, before | of_config, origin, "updater")


def known_of(seen: Mapping[str, torch.Tensor], known: int, outputs: int) -> torch.Tensor:
    """Return which of a model's outputs a version has trained, bool [outputs]: those of the classes
    that it saw, where it says which, else all that it knows.
    """
    trained = torch.zeros(outputs, dtype=torch.bool)
    trained[:known] = True
    if SEEN in seen and seen[SEEN].shape == (known,):
        trained[:known] = seen[SEEN]
    return trained


def _grow(
    updater: Updater, model: nn.Module, before: dict[str, torch.Tensor], outputs: int
) -> None:
    """Let the updater grow; one written for the earlier `grow(num_classes)` is loaded first, as
    it expects.
    """
    if len(inspect.signature(updater.grow).parameters) > 1:
        updater.grow(model, before)
        return

    Updater.grow(updater, model, before)
    earlier: Any = updater.grow
    earlier(outputs)


def number_after(saved: Saved | None) -> int:
    """Return the number of the next version, the first where there is none."""
    if saved is None:
        return 1
    return saved.next
