"""A prompt for each domain, which is told by its features."""

import torch
from torch import Tensor, nn

from renate.checks.bounds import at_least_1
from renate.data.batch import Columns
from renate.data.model_inputs import ModelInputs
from renate.models.prompting.pooled import Prompts
from renate.updaters.prompts.centres import centres_of
from renate.updaters.prompts.encoder import encoder_of, query_of
from renate.updaters.prompts.growing import Growing, uniform
from renate.updaters.prompts.prompted import Prompted
from renate.updaters.shared.passes import check_alone, seen_as

NO_ANSWER = -100.0  # a domain's head for labels that came later


class SPrompts(Prompted):
    """Each update is a domain with a prompt, a head and centres of features; the nearest centre
    says where an example belongs.

    Wang et al., 2022, https://arxiv.org/abs/2207.12819, section 3 (S-iPrompts, with K-means on the
    features of the encoder without prompts).

    Args:
        length: Tokens of a prompt.
        clusters: Centres of each domain, the paper's K.
    """

    centres: Tensor
    domains: Tensor
    weights: Tensor
    biases: Tensor

    def __init__(self, length: int, clusters: int) -> None:
        super().__init__()
        at_least_1(length=length, clusters=clusters)
        self.length = length
        self.clusters = clusters

    def draw(self, width: int) -> None:
        """Make the first prompt, [1, L, D], and room for centres and heads: rows of labels first,
        which may grow.
        """
        labels = self.problem.outputs
        self.prompt = Growing(uniform(1, self.length, width))
        self.register_buffer("centres", torch.empty(0, width))
        self.register_buffer("domains", torch.empty(0, dtype=torch.int64))
        self.register_buffer("weights", torch.empty(labels, 0, width))
        self.register_buffer("biases", torch.empty(labels, 0))

    def start(self, model: nn.Module, data: Columns) -> None:
        """Keep the head of the domain before, and find the centres of the new one.

        Raises:
            ConfigError: Several processes would each find others.
        """
        check_alone(self.memory, "updater=s_prompts clusters all new data")
        if int(self.updates):
            head = encoder_of(model).head
            self.weights = torch.cat([self.weights, head.weight.detach()[:, None]], dim=1)
            self.biases = torch.cat([self.biases, head.bias.detach()[:, None]], dim=1)

        found = self._centres(model, data)
        number = torch.full((len(found),), int(self.updates))
        self.centres = torch.cat([self.centres, found])
        self.domains = torch.cat([self.domains, number.to(self.domains)])
        super().start(model, data)

    def begin(self) -> None:
        """Draw the next domain's prompt."""
        self.prompt.begin(uniform(*self.prompt.now.shape))

    def _centres(self, model: nn.Module, data: Columns) -> Tensor:
        """The centres [C, D] of new data's features."""
        features = seen_as(self, model, data, lambda batch: query_of(model, batch.inputs).float())
        return centres_of(features, self.clusters).to(self.centres)

    def prompts(self, query: Tensor, *, training: bool) -> tuple[Prompts, Tensor | float]:
        """Return the newest domain's prompt in training, else that of the nearest centre."""
        if training:
            return Prompts(tokens=self.prompt.now.expand(len(query), -1, -1)), 0.0
        return Prompts(tokens=self.prompt.all()[self._domains(query)]), 0.0

    def _domains(self, query: Tensor) -> Tensor:
        """Each example's domain, [B]; 0 before the first update."""
        if not len(self.centres):
            return torch.zeros(len(query), dtype=torch.int64, device=query.device)
        return self.domains[torch.cdist(query.to(self.centres), self.centres).argmin(1)]

    def predict(self, model: nn.Module, inputs: ModelInputs) -> Tensor:
        """Return what the head of each example's domain gives for its prompt, [B, K]."""
        whole = encoder_of(model)
        query = query_of(model, inputs)
        prompts, _ = self.prompts(query, training=False)
        features = whole.features(inputs, prompts)

        # The newest domain's head is the model's own
        weights = torch.cat([self.weights, whole.head.weight[:, None]], dim=1)
        biases = torch.cat([self.biases, whole.head.bias[:, None]], dim=1)
        chosen = self._domains(query)
        return torch.einsum("bd,kbd->bk", features, weights[:, chosen]) + biases.T[chosen]

    def begin_from(self, tensors: dict[str, Tensor]) -> None:
        """Make room for as many domains as a version has."""
        super().begin_from(tensors)
        for name in ("centres", "domains"):
            saved = tensors.get(name)
            own = self.get_buffer(name)
            if saved is not None and saved.ndim == own.ndim:
                setattr(self, name, own.new_zeros(len(saved), *own.shape[1:]))

        past = tensors.get("weights")
        if past is not None and past.ndim == 3:
            labels, _, width = self.weights.shape
            self.weights = self.weights.new_zeros(labels, past.shape[1], width)
            self.biases = self.biases.new_full((labels, past.shape[1]), NO_ANSWER)
