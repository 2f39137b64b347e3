"""`data=prompts`: prompts and answers become tokens, and stay on their side of the hold-out."""

import json
from pathlib import Path
from typing import Any

import pytest

from renate.data.base import Known
from renate.data.text.prompts import Prompts
from renate.errors import ConfigError, DataError
from renate.problems.classification import Classification
from renate.problems.next_token import NextToken

pytest.importorskip("tokenizers")

COLOURS = ["red", "green", "blue", "black", "white"]


def rows_of(count: int = 60) -> list[dict[str, str]]:
    return [
        {"prompt": f"What colour has box {n}?", "answer": f"It is {COLOURS[n % 5]}."}
        for n in range(count)
    ]


def source(folder: Path, rows: list[dict[str, Any]], **others: Any) -> Prompts:
    file = folder / "week.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    settings: dict[str, Any] = {
        "train": str(file),
        "test": None,
        "test_size": 0.2,
        "prompt": "prompt",
        "target": "answer",
        "tokenizer": None,
        "vocab_size": 300,
        "lowercase": False,
        "max_length": 40,
        "max_answer": 12,
        "end": None,
        "batch_size": 8,
        "val_size": 0.1,
        "limit": None,
    }
    return Prompts(**settings | others)


def test_prompts_and_answers_as_tokens(tmp_path: Path) -> None:
    data = source(tmp_path, rows_of()).load(seed=0, problem=NextToken())
    problem = data.problem
    encoder: Any = data.encoder
    ids = data.train["inputs.ids"].list()
    types = data.train["inputs.types"].list()
    targets = data.train["targets"]
    assert targets.shape[1:] == problem.target_shape == (12,)
    assert problem.outputs == encoder.facts["vocab_size"] == 300
    texts = {row["prompt"]: row["answer"] for row in rows_of()}
    begin, end = 1, 2
    for row, kinds, target in zip(ids, types, targets.tolist(), strict=True):
        answer = [token for token in target if token >= 0]
        assert row[-len(answer) :] == answer
        assert kinds == [0] * (len(row) - len(answer)) + [1] * len(answer)
        assert row[0] == begin
        assert answer[-1] == end
        prompt, said = encoder.texts_of([row[1 : -len(answer)], answer])
        assert texts[prompt] == said

    prompts = sorted(texts)
    alone = encoder.encode(prompts)
    by_name = encoder.encode({"prompt": prompts})
    both = encoder.encode({"prompt": prompts, "answer": [texts[p] for p in prompts]})
    assert not any(map(any, alone["types"].list())), "prompts alone hold no answers"
    assert alone["ids"].list() == by_name["ids"].list()
    for short, long in zip(alone["ids"].list(), both["ids"].list(), strict=True):
        assert long[: len(short)] == short


def test_what_is_too_long_is_cut_and_told(tmp_path: Path) -> None:
    rows = rows_of(40)
    rows[3] = {"prompt": "so " * 60 + "which?", "answer": "none " * 40}
    loaded = source(tmp_path, rows, val_size=0.0, test=str(tmp_path / "week.jsonl"))
    data = loaded.load(seed=0, problem=NextToken())
    told = [note for note in data.notes if "longer than" in note]
    assert [note.partition(" are longer")[0] for note in told] == [
        "data.prompt=prompt: 2 of 80 examples",
        "data.target=answer: 2 of 80 examples",
    ]
    lengths = data.train["inputs.ids"].lengths.tolist()
    assert lengths[3] == max(lengths) == 40
    last = data.train["inputs.ids"].list()[3]
    assert loaded.prompts.texts_of([last[:28]])[0].endswith("which?"), "the end is kept"
    assert 2 not in data.train["targets"][3].tolist(), "an answer that is cut has no end"


def test_one_prompt_with_several_answers_is_on_one_side(tmp_path: Path) -> None:
    rows = [{"prompt": f"box {n % 30}?", "answer": f"{n}"} for n in range(120)]
    data = source(tmp_path, rows, test_size=0.3).load(seed=0, problem=NextToken())
    sides = [
        {tuple(ids[:-1]) for ids in prompts_of(columns)}
        for columns in (data.train, data.val, data.test["test"])
    ]
    assert sum(map(len, sides)) == 30
    assert len(set.union(*sides)) == 30


def prompts_of(columns: Any) -> list[list[int]]:
    rows = zip(columns["inputs.ids"].list(), columns["inputs.types"].list(), strict=True)
    return [[token for token, kind in zip(*row, strict=True) if not kind] for row in rows]


def test_the_state_keeps_tokenizer_and_sizes(tmp_path: Path) -> None:
    first = source(tmp_path, rows_of()).load(seed=0, problem=NextToken())
    from renate.data.kept.encoders import KeptEncoder

    known = Known(first.problem, first.inputs, first.split, KeptEncoder.of(first.encoder))  # type: ignore[arg-type]
    second = source(tmp_path, rows_of(90)).load(seed=1, known=known)
    assert second.problem.fitted() == first.problem.fitted()
    assert second.new_labels == []
    ids = second.encoder.encode(["What colour has box 1?"])["ids"].list()  # type: ignore[union-attr]
    assert ids == first.encoder.encode(["What colour has box 1?"])["ids"].list()  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="has max_answer=13, that of the state 12"):
        source(tmp_path, rows_of(90), max_answer=13).load(seed=1, known=known)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_answer": 40}, "data.max_answer=40: expected 1 to less than data.max_length=40"),
        ({"target": "prompt"}, "data.prompt=prompt is data.target"),
        ({"end": "</s>"}, r"data.end=</s>: the tokenizer has no such token.*\[SEP\]"),
        ({"prompt": "promt"}, "no column 'promt', did you mean 'prompt'"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, settings: Any, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        source(tmp_path, rows_of(), **settings).load(seed=0, problem=NextToken())


def test_what_is_no_text_to_generate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="problem=classification: data=prompts has texts to gen"):
        source(tmp_path, rows_of()).load(seed=0, problem=Classification())
    with pytest.raises(ConfigError, match="problem=auto: data=prompts has texts to generate"):
        source(tmp_path, rows_of()).load(seed=0)
    numbers = [row | {"answer": n} for n, row in enumerate(rows_of())]
    with pytest.raises(DataError, match=r"week.jsonl: column 'answer' is int64, expected text"):
        source(tmp_path, numbers).load(seed=0, problem=NextToken())


def test_anothers_tokenizer_without_special_tokens(tmp_path: Path) -> None:
    import tokenizers

    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(["What colour has it?"], trainer)
    made.save(str(tmp_path / "own.json"))
    own = {"tokenizer": str(tmp_path / "own.json")}
    data = source(tmp_path, rows_of(), **own).load(seed=0, problem=NextToken())
    target = [token for token in data.train["targets"][0].tolist() if token >= 0]
    assert target[-1] == data.problem.facts["end"] == 0
    assert data.problem._encoder.texts_of([target])[0].startswith("It is ")  # type: ignore[attr-defined]

    rows = rows_of()
    rows[7]["prompt"] = ""
    with pytest.raises(DataError, match=r"row 7 .*column 'prompt' (is a text without|has 1 empty)"):
        source(tmp_path, rows, **own).load(seed=0, problem=NextToken())
