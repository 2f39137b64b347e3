"""`data=text` from the command line: weekly updates, pairs, a stream, and what it refuses."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import renate
from renate.data.fingerprint import Hashes
from renate.data.kept.trained import Trained, key_of
from renate.data.text.source import Texts
from renate.errors import ConfigError, DataError
from renate.jobs.identity.data_files import files_of
from renate.state.versions import State
from tests.command import renate as command

pytest.importorskip("tokenizers")

TOPICS = {
    "sports": ["goal", "match", "team", "coach", "league", "score"],
    "science": ["atom", "cell", "theory", "planet", "data", "lab"],
    "money": ["bank", "stock", "price", "market", "trade", "tax"],
}
ASKED = [
    "data=text",
    "data.text=text",
    "data.target=label",
    "model=text_bag",
    "optimizer=adam",
    "optimizer.lr=0.02",
]
QUICK = ["trainer.max_epochs=3", "data.batch_size=16", "data.vocab_size=400"]


def rows_of(seed: int, count: int = 150) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        label = rng.choice(sorted(TOPICS))
        words = rng.choices(TOPICS[label], k=rng.randint(2, 6))
        words += rng.choices(["the", "a", "of", f"week{seed}"], k=rng.randint(0, 5))
        rng.shuffle(words)
        rows.append({"text": " ".join(words).capitalize(), "label": label})
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


def source(folder: Path, rows: list[dict[str, Any]], name: str = "a.jsonl", **others: Any) -> Texts:
    settings: dict[str, Any] = {
        "train": str(write(folder / name, rows)),
        "test": None,
        "test_size": 0.2,
        "text": "text",
        "target": "label",
        "tokenizer": None,
        "vocab_size": 400,
        "lowercase": True,
        "max_length": 16,
        "batch_size": 16,
        "val_size": 0.1,
        "limit": None,
    }
    return Texts(**settings | others)


def scores(url: str, part: str = "after") -> dict[str, float]:
    state = State(url)
    found: dict[str, float] = json.loads(bytes(state.read(state.manifest(None), "metrics.json")))[
        part
    ]["test"]
    return found


@pytest.mark.slow
def test_three_weekly_updates_and_predictions_as_evaluated(workdir: Path) -> None:
    test = rows_of(9)
    write(workdir / "test.jsonl", test)
    for week, kind in ((1, "jsonl"), (2, "csv"), (3, "parquet")):
        write(workdir / f"{week}.{kind}", rows_of(week))
        command(
            *ASKED,
            *QUICK,
            f"data.train={week}.{kind}",
            "data.test=test.jsonl",
            "state.url=./state",
            f"state.first={str(week == 1).lower()}",
            cwd=workdir,
        )

    state = State("./state")
    fitted = [state.manifest(number).files["encoder.safetensors"].sha256 for number in (1, 2, 3)]
    assert len(set(fitted)) == 1, "a tokenizer is trained once"
    assert scores("./state")["accuracy"] > 0.9

    model = renate.load_model("./state")
    texts = [row["text"] for row in test]
    answers = model.predict(texts)
    right = sum(answer == row["label"] for answer, row in zip(answers, test, strict=True))
    assert right / len(test) == pytest.approx(scores("./state")["accuracy"], abs=1e-6)

    logits = model(texts).detach()
    targets = torch.tensor([model.labels.index(row["label"]) for row in test])
    loss = float(torch.nn.functional.cross_entropy(logits, targets))
    assert loss == pytest.approx(scores("./state")["loss"], abs=1e-5)
    for text, row in zip(texts[:5], logits, strict=False):
        assert torch.allclose(model([text])[0], row, atol=1e-6), "padding has no say"
    assert model.predict({"text": texts}) == answers, "by the column's name, too"

    asked = ["job=predict", *ASKED[:3], "data.train=test.jsonl", "output=answers.parquet"]
    command(*asked, "state.url=./state", cwd=workdir)
    assert pq.read_table("answers.parquet")["prediction"].to_pylist() == answers


@pytest.mark.slow
def test_where_tests_are_given_old_texts_are_not_read_again(workdir: Path) -> None:
    write(workdir / "test.jsonl", rows_of(9))
    asked = [*ASKED, *QUICK, "data.train=week*.jsonl", "data.test=test.jsonl", "state.url=./state"]
    write(workdir / "week1.jsonl", rows_of(1))
    command(*asked, "state.first=true", cwd=workdir)
    write(workdir / "week2.jsonl", rows_of(2))
    texts = workdir / "week1.jsonl"
    content = Hashes(workdir / "hashes.json").of(texts)
    state = State("./state")
    trained = Trained.read(state, state.manifest(1))
    assert trained.version_of([key_of(content)]) == 1
    said = command(*asked, cwd=workdir)
    assert "data: 1 new file of 2, 1 was trained on by version 1" in said.stdout + said.stderr
    seen = state.manifest(2).lineage["data"]["train"]
    assert [(Path(name).name, rows) for name, _, rows in seen if rows] == [("week2.jsonl", 150)]


@pytest.mark.slow
def test_pairs_know_which_text_is_which(workdir: Path) -> None:
    """The label is the topic of the second text, whatever the first is about."""
    for week in (1, 2, 3):
        firsts = rows_of(week, 400)
        pairs = [
            {"left": a["text"], "right": b["text"], "label": b["label"]}
            for a, b in zip(firsts, rows_of(week + 10, 400), strict=True)
        ]
        write(workdir / f"{week}.jsonl", pairs)
        first = f"state.first={str(week == 1).lower()}"
        train = [f"data.train={week}.jsonl", "data.text=[left,right]", first]
        command(*ASKED, *QUICK, *train, "state.url=./state", cwd=workdir)

    assert scores("./state")["accuracy"] > 0.85
    model = renate.load_model("./state")
    asked = {"left": ["goal match", "atom cell"], "right": ["atom cell", "goal match"]}
    assert model.predict(asked) == ["science", "sports"]
    with pytest.raises(
        DataError, match="no column 'right', which the state has, did you mean 'rigt'"
    ):
        model.predict({"left": ["a"], "rigt": ["b"]})


def test_a_pair_is_one_row_of_ids_and_types(workdir: Path) -> None:
    pairs = [{"q": f"goal {n}", "a": "yes it is", "label": n % 2} for n in range(60)]
    data = source(workdir, pairs, text=["q", "a"]).load(seed=0)
    ids = data.train["inputs.ids"]
    types = data.train["inputs.types"]
    assert ids.lengths.tolist() == types.lengths.tolist()
    assert data.encoder is not None
    assert data.encoder.facts["num_texts"] == 2
    for row in types.list():
        assert row == sorted(row)
        assert set(row) == {0, 1}


def test_a_tokenizer_of_another_travels_and_counts(workdir: Path) -> None:
    """It is a file that a job's identity covers, and that another machine is given."""
    fitted = source(workdir, rows_of(1))
    fitted.load(seed=0)
    content = bytes(fitted.texts.state()["tokenizer"].tolist())
    (workdir / "tokenizer.json").write_bytes(content)
    node = {
        "_target_": "renate.data.text.source.Texts",
        "train": "a.jsonl",
        "tokenizer": "tokenizer.json",
    }
    assert files_of(node, ()) == {"train": "a.jsonl", "tokenizer": "tokenizer.json"}
    assert files_of(node | {"tokenizer": "some/model"}, ()) == {"train": "a.jsonl"}

    url = f"file://{workdir / 'tokenizer.json'}"
    here = source(workdir, rows_of(1), tokenizer="tokenizer.json").load(seed=0)
    there = source(workdir, rows_of(1), tokenizer=url).load(seed=0)
    assert here.train["inputs.ids"].list() == there.train["inputs.ids"].list()
    assert here.encoder is not None
    assert there.encoder is not None
    assert here.encoder.settings == there.encoder.settings


@pytest.mark.slow
def test_a_stream(workdir: Path) -> None:
    write(workdir / "a.jsonl", rows_of(1))
    stream = ["job=stream", "scenario=class_incremental", "scenario.chunks=3", "updater=derpp"]
    command(*ASKED, *QUICK, *stream, "data.train=a.jsonl", "state.url=./state", cwd=workdir)
    assert State("./state").versions() == [1, 2, 3]


def test_what_is_held_out_follows_from_the_text(workdir: Path) -> None:
    """Whatever the tokenizer makes of it, and in whatever file it comes."""
    rows = rows_of(1)
    one = source(workdir, rows).load(seed=0)
    other = source(workdir, rows[::-1], "b.parquet", vocab_size=300).load(seed=0)
    assert len(one.test["test"]["targets"]) == len(other.test["test"]["targets"])
    assert one.split is not None
    assert other.split is not None
    assert one.split.key == other.split.key


def test_what_was_cut_is_said(workdir: Path) -> None:
    rows = [*rows_of(1), {"text": "goal " * 40, "label": "sports"}]
    said = source(workdir, rows, max_length=32).load(seed=0).notes
    assert any("inputs: 'text' as text, by a tokenizer of 3" in line for line in said), said
    assert f"data.text=text: 1 of {len(rows)} examples are longer than" in said[-1]
    assert "data.max_length=32 tokens, and cut there" in said[-1]


@pytest.mark.parametrize(
    ("row", "settings", "said"),
    [
        ({"text": 3, "label": "a"}, {}, "a.jsonl: column 'text' is int64, expected text"),
        ({"txt": "a", "label": "a"}, {}, "no column 'text', did you mean 'txt'?"),
        ({"text": "a", "lable": "a"}, {}, "no column 'label', did you mean 'lable'?"),
        ({"text": "a", "label": ""}, {}, "column 'label' has 8 empty values"),
    ],
)
def test_what_is_refused(
    row: dict[str, Any], settings: dict[str, Any], said: str, workdir: Path
) -> None:
    with pytest.raises(DataError, match=said.replace("?", "\\?")):
        source(workdir, [row] * 8, **settings).load(seed=0)


def test_an_empty_text_is_named_and_one_without_a_character_is_a_text(workdir: Path) -> None:
    rows = rows_of(1)
    with pytest.raises(DataError, match=r"column 'text' has 1 empty values, the first in row 7"):
        source(workdir, [*rows[:7], {"text": None, "label": "money"}, *rows[7:]]).load(seed=0)
    source(workdir, [*rows, {"text": "", "label": "money"}]).load(seed=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"text": ["text", "label"]}, "holds data.target=label"),
        ({"text": []}, "expected one column of text, or several others"),
        ({"text": ["a", "a"]}, "expected one column of text, or several others"),
        ({"text": ["a", "b", "a"]}, "expected one column of text, or several others"),
        ({"vocab_size": 10}, "data.vocab_size=10: expected 259 or more"),
        ({"test_size": 0.0}, "data.test_size=0.0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str, workdir: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        source(workdir, rows_of(1), **settings)


@pytest.mark.slow
def test_other_settings_and_other_models_are_refused(workdir: Path) -> None:
    write(workdir / "a.jsonl", rows_of(1))
    asked = [*ASKED, *QUICK, "data.train=a.jsonl"]
    command(*asked, "state.url=./state", "state.first=true", cwd=workdir)
    for more, said in [
        (["data.max_length=99"], "has max_length=99, that of the state 256"),
        (["data.target=topic"], "data.target=topic: the state's target is 'label'"),
        (["data.text=words"], "has texts=['words'], that of the state ['text']"),
        (["data.tokenizer=other"], "has tokenizer='other', that of the state None"),
    ]:
        again = ["state.url=./state", "data.seen=again"]
        refused = command(*asked, *again, *more, cwd=workdir, code=1)
        assert said in refused.stderr.splitlines()[-1]

    refused = command(*QUICK[:1], "model=text_bag", cwd=workdir, code=1).stderr.splitlines()[-1]
    assert "vocab_size is null, and the data has no texts: data=text reads them" in refused


SMALL = [
    "model.architecture.hidden_size=32",
    "model.architecture.num_hidden_layers=1",
    "model.architecture.intermediate_size=32",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "rows", "least"),
    [(["text_bag"], 2000, 0.75), (["text_transformer", *SMALL], 800, 0.5)],
    ids=["text_bag", "text_transformer"],
)
def test_news_in_three_weekly_updates(
    model: list[str], rows: int, least: float, data_dir: Path, workdir: Path
) -> None:
    """AG News, as the how-to on texts has it."""
    pytest.importorskip("transformers")
    news = pq.read_table(data_dir / "ag_news" / "train.parquet")
    for week in (1, 2, 3):
        pq.write_table(news.slice((week - 1) * rows, rows), workdir / f"{week}.parquet")
        command(
            *("data=text", "data.text=text", "data.target=label"),
            f"data.train={week}.parquet",
            f"data.test={data_dir / 'ag_news' / 'test.parquet'}",
            *(f"model={model[0]}", *model[1:]),
            *("optimizer=adamw", "optimizer.lr=0.005", "data.max_length=48"),
            *("state.url=./state", f"state.first={str(week == 1).lower()}"),
            "trainer.max_epochs=3",
            cwd=workdir,
        )

    test = pq.read_table(data_dir / "ag_news" / "test.parquet").to_pydict()
    answers = renate.load_model("./state").predict(test["text"])
    right = sum(a == label for a, label in zip(answers, test["label"], strict=True))
    assert right / len(answers) == pytest.approx(scores("./state")["accuracy"], abs=1e-6)
    assert right / len(answers) > least
