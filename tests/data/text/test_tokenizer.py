"""Tokenizers: trained here or others', what they keep, and what they refuse."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from renate.data.text.several import shares
from renate.data.text.tokenizer import LEAST_VOCABULARY, Tokenizer
from renate.errors import ConfigError, DataError

pytest.importorskip("tokenizers")

TEXTS = ["The goal of the team", "an atom, a cell", "stock of a bank", "", "Grüße, 世界 🙂"] * 4


JSON = torch.tensor([*b"{}"], dtype=torch.uint8)


def made(vocab_size: int = 320, max_length: int = 16, **others: Any) -> Tokenizer:
    asked = {"tokenizer": None, "lowercase": True} | others
    return Tokenizer(vocab_size=vocab_size, max_length=max_length, **asked)


@pytest.fixture
def fitted() -> Tokenizer:
    tokenizer = made()
    tokenizer.fit(TEXTS)
    return tokenizer


def decoded(tokenizer: Tokenizer, ids: list[int]) -> str:
    return str(tokenizer._ready().decode(ids))


def content(tokenizer: Tokenizer) -> str:
    return bytes(tokenizer.state()["tokenizer"].tolist()).decode()


def test_nothing_is_lost(fitted: Tokenizer) -> None:
    """Every text comes back from its ids, words never seen among them."""
    for text in [*TEXTS, "zebra", "naïve 雨 \x00 \t"]:
        (ids,) = fitted.encode([text]).list()
        kept = decoded(fitted, ids)
        wanted = decoded(fitted, fitted._ready().encode(text).ids)
        assert kept == wanted
        if len(ids) < 16:
            assert kept.strip() == text.lower().strip()


def test_ids_begin_end_and_are_bounded(fitted: Tokenizer) -> None:
    column = fitted.encode(TEXTS)
    assert column.dtype == torch.int64
    assert column.padding == 0
    assert int(column.lengths.max()) <= 16
    assert int(column.values.max()) < fitted.facts["vocab_size"] <= 320
    for ids in column.list():
        assert ids[0] == 1
        assert ids[-1] == 2
        assert 0 not in ids, "padding is no token of a text"
    assert len(column.list()[3]) == 2, "an empty text has its begin and end"


def test_what_comes_often_is_one_token(fitted: Tokenizer) -> None:
    (often,) = fitted.encode(["of the"]).list()
    (rare,) = fitted.encode(["xq zvk"]).list()
    assert len(often) < len(rare)


def test_what_is_too_long_is_cut_and_counted(fitted: Tokenizer) -> None:
    column = fitted.encode(["goal " * 50, "goal"])
    assert column.lengths.tolist()[0] == 16
    assert fitted.truncated == 1
    fitted.encode(["goal"])
    assert fitted.truncated == 0


def test_special_tokens_in_a_text_are_its_characters(fitted: Tokenizer) -> None:
    for ids in fitted.encode(["[SEP]", "a [PAD] b"]).list():
        assert not {0, 1, 2} & set(ids[1:-1])


def test_pairs(fitted: Tokenizer) -> None:
    ids, types = fitted.encode_pairs(["the goal", "x " * 40], ["a cell", "bank"])
    assert ids.lengths.tolist() == types.lengths.tolist()
    first, second = ids.list()
    one = fitted.encode(["the goal"]).list()[0]
    other = fitted.encode(["a cell"]).list()[0]
    assert first == one + other[1:]
    assert types.list()[0] == [0] * len(one) + [1] * (len(other) - 1)
    assert len(second) == 16
    assert second[-2:] == fitted.encode(["bank"]).list()[0][-2:], "the longer text is cut first"


@pytest.mark.parametrize("texts", [("the goal", "a cell", "bank"), ("", "stock of a bank", "an")])
def test_several_stand_as_a_pair_does(fitted: Tokenizer, texts: tuple[str, ...]) -> None:
    """Each text's own ids between the tokens that the tokenizer puts around a pair."""
    ids, types = fitted.encode_several([[text] for text in texts])
    alone = [fitted.encode([text]).list()[0] for text in texts]
    assert ids.list()[0] == alone[0] + [token for row in alone[1:] for token in row[1:]]
    widths = [len(alone[0]), *(len(row) - 1 for row in alone[1:])]
    assert types.list()[0] == [n for n, width in enumerate(widths) for _ in range(width)]
    assert fitted.truncated == 0
    pair = [["the goal"], ["a cell"]]
    assert [c.list() for c in fitted.encode_several(pair)] == [
        c.list() for c in fitted.encode_pairs(*pair)
    ]


def test_the_longest_of_several_are_cut_first(fitted: Tokenizer) -> None:
    ids, types = fitted.encode_several([["x " * 40], ["bank"], ["y " * 40]])
    assert fitted.truncated == 1
    assert len(ids.list()[0]) == 16
    whole = fitted.encode(["bank"]).list()[0][1:]
    kept = types.list()[0]
    assert kept.count(1) == len(whole)
    assert abs(kept.count(0) - 1 - kept.count(2)) <= 1
    assert shares([3, 10, 4], 17) == [3, 10, 4]
    assert shares([9, 1, 5], 9) == [4, 1, 4]
    short = made(max_length=8)
    short.fit(TEXTS)
    with pytest.raises(ConfigError, match="data.max_length=8: 4 texts and what stands between"):
        short.encode_several([["a"]] * 4)


@pytest.mark.slow
def test_the_same_from_the_same_texts_in_any_process(fitted: Tokenizer) -> None:
    code = (
        "import json, sys\n"
        "from renate.data.text.tokenizer import Tokenizer\n"
        "t = Tokenizer(tokenizer=None, vocab_size=320, lowercase=True, max_length=16)\n"
        "t.fit(json.loads(sys.argv[1]))\n"
        "print(json.dumps(t.state()['tokenizer'].tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(TEXTS)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == fitted.state()["tokenizer"].tolist()


def test_a_restored_one_is_the_same(fitted: Tokenizer) -> None:
    other = made()
    other.restore(fitted.state())
    assert other.encode(TEXTS).list() == fitted.encode(TEXTS).list()
    assert other.encode(["[SEP]"]).list() == fitted.encode(["[SEP]"]).list()
    assert other.facts == fitted.facts
    assert content(other) == content(fitted)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, "it holds \\[\\]"),
        ({"tokenizer": JSON, "padding": 0}, "no tokenizer that the package tokenizers can read"),
        ({"tokenizer": JSON[:1].expand(5000), "padding": 0}, "no tokenizer that"),
        ({"tokenizer": JSON.float(), "padding": 0}, "tokenizer is torch.float32"),
        ({"tokenizer": 3, "padding": 0}, "expected 'padding' and 'tokenizer'"),
        ({"tokenizer": JSON, "padding": -1}, "padding is -1"),
        ({"tokenizer": JSON, "padding": True}, "padding is True"),
        ({"tokenizer": JSON, "padding": 0, "more": 1}, "it holds"),
    ],
)
def test_a_strangers_state_is_refused(state: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made().restore(state)


def test_a_padding_beyond_the_vocabulary_is_refused(fitted: Tokenizer) -> None:
    with pytest.raises(ValueError, match="padding is 999"):
        made().restore(fitted.state() | {"padding": 999})


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a", None], "item 1 .* is NoneType, expected text"),
        ([3], "item 0 .* is int"),
        (["a\ud800"], "item 0 .* half of a character"),
    ],
)
def test_what_is_no_text(fitted: Tokenizer, texts: list[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        fitted.encode(texts)
    with pytest.raises(DataError, match=said):
        made().fit(texts)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=f"data.vocab_size=10: expected {LEAST_VOCABULARY}"):
        made(vocab_size=10)
    with pytest.raises(ConfigError, match="data.max_length=2: expected 8"):
        made(max_length=2)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, fitted: Tokenizer) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for call in (lambda: made().fit(TEXTS), lambda: made().restore(fitted.state())):
        with pytest.raises(ConfigError, match=r"pip install 'renate-cl\[hf\]'"):
            call()


def test_a_tokenizer_json_of_others(tmp_path: Path, fitted: Tokenizer) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content(fitted))
    other = made(tokenizer=str(path))
    other.fit(["this text isn't looked at"])
    path.unlink()
    assert other.encode(TEXTS).list() == fitted.encode(TEXTS).list()
    assert other.name == "tokenizer.json"

    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"tokenizer\.json: no tokenizer\.json"):
        made(tokenizer=str(path)).fit(TEXTS)
    with pytest.raises(DataError, match="No such file"):
        made(tokenizer=str(tmp_path / "none.json")).fit(TEXTS)


@pytest.mark.slow
def test_a_folder_of_transformers(tmp_path: Path, fitted: Tokenizer) -> None:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "their_tokenizer"
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fitted._ready(), pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    theirs.save_pretrained(folder)
    other = made(tokenizer=str(folder))
    other.fit(["this text isn't looked at"])
    assert other.encode(TEXTS).list() == theirs(TEXTS, truncation=True, max_length=16)["input_ids"]
    assert other.name == "their_tokenizer"

    with pytest.raises(ConfigError, match="none_such: no folder with a tokenizer"):
        made(tokenizer=str(tmp_path / "none_such")).fit(TEXTS)
