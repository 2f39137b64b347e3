"""Texts that are generated as a problem: what is kept, refused, graded and decoded."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from renate.errors import ConfigError, DataError
from renate.jobs.builders import check_fits
from renate.jobs.checks.learnable import check_problem
from renate.problems.base import Targets
from renate.problems.next_token import NextToken
from tests.updaters.small_fit import UPDATERS, Small

SIZES = {"vocab_size": 9, "max_answer": 3, "end_id": 2}


class Letters:
    """Stands in for an encoder: a letter is a token, and 2 ends a text."""

    facts = SIZES | {"padding_id": 0}

    def answer_ids(self, texts: list[str]) -> list[list[int]]:
        return [[*(ord(letter) - ord("a") + 3 for letter in text), 2] for text in texts]

    def texts_of(self, rows: list[list[int]]) -> list[str]:
        return ["".join(chr(ord("a") + i - 3) for i in row[: row.index(2)]) for row in rows]


def problem() -> NextToken:
    made = NextToken()
    made.restore(["answer"], dict(SIZES))
    made.take_encoder(Letters())  # type: ignore[arg-type]
    return made


def test_answers_as_targets_and_back() -> None:
    made = problem()
    values = np.array(["ab", "c"], object)
    found = torch.from_numpy(made.encode(Targets(values, "a.csv")))
    assert found.tolist() == [[3, 4, 2], [5, 2, -100]]
    assert made.terms(found) == 5
    assert made.decode(found.clamp(min=2)) == ["ab", "c"]
    logits = nn.functional.one_hot(found.clamp(min=2), 9).transpose(1, 2).float()
    assert made.decode(logits) == ["ab", "c"]
    assert made.graded(logits, found).tolist() == [1.0, 1.0]
    logits[0, 8, 1] = 5.0
    assert made.graded(logits, found).tolist() == [0.0, 1.0]
    assert (made.output_shape, made.target_shape) == ((9, 3), (3,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end_id": 9}, "end_id is no token's"),
        ({"max_answer": -1}, "max_answer is -1, expected a whole number"),
        ({"vocab_size": 2.5}, "vocab_size is 2.5"),
        ({"other": 1}, "has the keys"),
    ],
)
def test_a_stranger_says_something_else(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NextToken().restore(["answer"], SIZES | change)


def test_what_is_refused() -> None:
    made = problem()
    with pytest.raises(DataError, match=r"a.csv holds 1, problem=next_token generates texts"):
        made.fit(Targets(np.array([1, 2]), "a.csv"))
    with pytest.raises(ConfigError, match="have no prompts and answers: data=prompts reads them"):
        NextToken().take_encoder(None)
    other = Letters()
    other.facts = SIZES | {"vocab_size": 10}
    with pytest.raises(ConfigError, match="use the state's"):
        made.take_encoder(other)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="MSELoss is not of problem=next_token"):
        check_fits(nn.MSELoss(), "loss", made, "cross_entropy")


@pytest.mark.parametrize("name", UPDATERS)
def test_updaters_that_cannot_learn_it_say_so(name: str) -> None:
    updater = Small.of(name).updater
    if name in ("er", "joint", "fine_tuning"):
        check_problem(updater, problem())
        return
    with pytest.raises(ConfigError, match="problem=next_token: .* doesn't learn texts"):
        check_problem(updater, problem())
