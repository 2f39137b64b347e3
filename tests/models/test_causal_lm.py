"""A causal language model gives answers' tokens their logits, and generates as it is measured."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from renate.data.model_inputs import InputMapping, join
from renate.errors import ConfigError
from renate.fitting.measured.generated import ExactMatch, Perplexity
from renate.metrics import exact_matches

pytest.importorskip("transformers")

from renate.models.generating.causal_lm import CausalLM

VOCABULARY = 11
MOST = 4
END = 2
KINDS: dict[str, dict[str, Any]] = {
    "llama": {
        "model_type": "llama",
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 16,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2},
}
PROMPTS = [[1, 5, 6, 3], [4], [7, 8, 9, 3, 5, 5, 10], [1, 3]]
ANSWERS = [[6, 2], [5, 5, 7, 2], [2], [9, 10, 8, 7]]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> CausalLM:
    torch.manual_seed(1)
    made = CausalLM(None, KINDS[request.param], VOCABULARY, 12, 0, MOST, END)
    with torch.no_grad():
        for parameter in made.parameters():  # so that no two tokens are about as likely
            parameter.mul_(3)
    return made.eval()


def inputs_of(
    prompts: list[list[int]], answers: list[list[int]] | None = None, padding: int = 0
) -> InputMapping:
    known = answers or [[] for _ in prompts]
    rows = [p + a for p, a in zip(prompts, known, strict=True)]
    kinds = [[0] * len(p) + [1] * len(a) for p, a in zip(prompts, known, strict=True)]
    longest = max(map(len, rows))
    return InputMapping(
        {
            "ids": torch.tensor([row + [padding] * (longest - len(row)) for row in rows]),
            "ids_lengths": torch.tensor([len(row) for row in rows]),
            "types": torch.tensor([row + [0] * (longest - len(row)) for row in kinds]),
            "types_lengths": torch.tensor([len(row) for row in rows]),
        },
        {"ids": padding, "types": 0},
    )


def targets_of(answers: list[list[int]]) -> Tensor:
    return torch.tensor([row + [-100] * (MOST - len(row)) for row in answers])


def expected_losses(model: CausalLM) -> list[float]:
    """Minus the log-probability of each answer's token, each row by itself and without padding."""
    found = []
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        logits = model.network(torch.tensor([prompt + answer])).logits[0].double()
        for place, token in enumerate(answer, len(prompt)):
            found.append(float(logits[place - 1].logsumexp(0) - logits[place - 1, token]))
    return found


@torch.no_grad()
def test_the_loss_is_of_the_answers_tokens_alone(model: CausalLM) -> None:
    outputs = model(inputs_of(PROMPTS, ANSWERS))
    targets = targets_of(ANSWERS)
    assert outputs.shape == (4, VOCABULARY, MOST)
    expected = expected_losses(model)
    assert len(expected) == 11
    loss = float(F.cross_entropy(outputs, targets))
    assert loss == pytest.approx(sum(expected) / 11, rel=1e-5)

    perplexity = Perplexity()
    perplexity.update(outputs[:1], targets[:1])
    perplexity.update(outputs[1:], targets[1:])
    assert float(perplexity.compute()) == pytest.approx(math.exp(sum(expected) / 11), rel=1e-5)


@torch.no_grad()
def test_padding_and_neighbours_have_no_say(model: CausalLM) -> None:
    outputs = model(inputs_of(PROMPTS, ANSWERS))
    padded = model(inputs_of(PROMPTS, ANSWERS, padding=9))
    torch.testing.assert_close(padded, outputs)
    halves = [inputs_of(PROMPTS[i : i + 2], ANSWERS[i : i + 2]) for i in (0, 2)]
    both = model(join(*halves))
    torch.testing.assert_close(both, outputs, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def one_by_one(model: CausalLM, prompt: list[int]) -> list[int]:
    """What is generated greedily, without padding and cache."""
    ids = list(prompt)
    for _ in range(MOST):
        ids.append(int(model.network(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == END:
            break
    return ids[len(prompt) :]


def test_exact_match_is_what_generation_gives(model: CausalLM) -> None:
    prompts = [*PROMPTS, *([i, j] for i in (3, 5, 8) for j in (4, 9))]
    said = [one_by_one(model, prompt) for prompt in prompts]
    generated = model(inputs_of(prompts)).tolist()
    assert generated == [row + [END] * (MOST - len(row)) for row in said]

    with torch.no_grad():
        outputs = model(inputs_of(prompts, said))
    ended = torch.tensor([END in row for row in said])
    found = exact_matches(outputs, targets_of(said), END)
    assert found.tolist() == ended.tolist(), "an answer without an end is no match"

    others = [[*row[:-1], (row[-1] + 1) % VOCABULARY] for row in said]
    with torch.no_grad():
        outputs = model(inputs_of(prompts, others))
    assert not exact_matches(outputs, targets_of(others), END).any()


def test_exact_match_counted_by_hand() -> None:
    answers = targets_of([[5, 2], [5, 6, 2], [5, 6, 7, 8], [2]])
    said = torch.tensor([[5, 2, 0, 0], [5, 5, 2, 0], [5, 6, 7, 8], [2, 9, 9, 9]])
    outputs = F.one_hot(said, VOCABULARY).transpose(1, 2).float()
    assert exact_matches(outputs, answers, END).tolist() == [True, False, False, True]
    metric = ExactMatch(END)
    metric.update(outputs[:3], answers[:3])
    metric.update(outputs[3:], answers[3:])
    assert float(metric.compute()) == 0.5

    unlikely = torch.zeros(1, VOCABULARY, 1)
    unlikely[0, 3] = 1000.0
    perplexity = Perplexity()
    perplexity.update(unlikely, torch.tensor([[4]]))
    assert float(perplexity.total) == pytest.approx(1000.0), "1 / e^1000 is not 0"


def test_a_checkpoint_and_what_a_version_keeps_of_it(model: CausalLM, tmp_path: Any) -> None:
    model.network.save_pretrained(tmp_path)
    begun = CausalLM(str(tmp_path), {}, VOCABULARY - 2, 12, 0, MOST, END)
    assert begun.network.get_input_embeddings().num_embeddings == VOCABULARY - 2
    again = CausalLM(None, {}, VOCABULARY - 2, 12, 0, MOST, END, config=begun.kept["config"])
    again.load_state_dict(begun.state_dict())
    prompts = [[1, 5, 6, 3], [4]]
    inputs = inputs_of(prompts, [[6, 2], [5, 2]])
    with torch.no_grad():
        outputs = begun.eval()(inputs)
        torch.testing.assert_close(again.eval()(inputs), outputs, atol=0, rtol=0)
        known = model(inputs)[:, : VOCABULARY - 2]
    torch.testing.assert_close(outputs, known)

    with pytest.raises(ConfigError, match="has 11 tokens, the tokenizer 12"):
        CausalLM(str(tmp_path), {}, VOCABULARY + 1, 12, 0, MOST, END)
    with pytest.raises(ValueError, match="the data has no answers: data=prompts"):
        CausalLM(None, KINDS["llama"], VOCABULARY, 12, 0, None, END)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("max_length", 0, "expected 1 or more"),
        ("max_answer", -1, "expected 1 or more"),
        ("padding_id", VOCABULARY, f"expected less than vocab_size={VOCABULARY}"),
        ("end_id", VOCABULARY, f"expected less than vocab_size={VOCABULARY}"),
        ("end_id", -1, "expected 0 or more"),
    ],
)
def test_sizes_that_are_none(name: str, value: int, told: str) -> None:
    sizes = {"vocab_size": VOCABULARY, "max_length": 12, "max_answer": MOST}
    ids = {"padding_id": 0, "end_id": END}
    with pytest.raises(ValueError, match=f"{name}={value}: {told}"):
        CausalLM(None, KINDS["llama"], **(sizes | ids | {name: value}))


def test_some_with_answers_and_some_without(model: CausalLM) -> None:
    inputs = inputs_of(PROMPTS[:2], [[6, 2], []])
    with pytest.raises(ValueError, match="some of the inputs have answers and some have none"):
        model(inputs)
